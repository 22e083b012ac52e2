"""The next basket: what a customer buys, lately above all, filled with what everybody does.

An item's score is the customer's own count of it, each basket back worth `decay` of the one after,
plus `popularity` times the same count over all customers, per customer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.know.fitting import Floats

TOP = 10
SHELF = 60  # of everybody's favourites, more than a customer's own that are among them
CHUNK = 100_000  # customers at a time
DECAYS = (0.7, 0.8, 0.9, 0.95, 1.0)
POPULARITIES = (0.01, 1.0, 3.0, 10.0, 30.0)
TUNED_ON = 20_000  # customers

Ints = NDArray[np.int64]
Scored = tuple[Ints, Floats]  # items and their scores, a row per customer


@dataclass(frozen=True)
class Baskets:
    """One row per customer, basket and item; ages count baskets back from the customer's last, 0."""

    customer: Ints  # ascending
    item: Ints
    age: Ints
    customers: int
    items: int

    def before(self) -> Baskets:
        """Without everybody's last basket."""
        kept = self.age > 0
        parts = (self.customer[kept], self.item[kept], self.age[kept] - 1)
        return Baskets(*parts, self.customers, self.items)

    def of_first(self, customers: int) -> Baskets:
        """The first so many customers'."""
        end = int(np.searchsorted(self.customer, customers))
        parts = (self.customer[:end], self.item[:end], self.age[:end])
        return Baskets(*parts, min(customers, self.customers), self.items)


@dataclass(frozen=True)
class Taste:
    """How fast the past fades, and how much everybody's taste counts beside one's own."""

    decay: float = 0.9
    popularity: float = 10.0


def tune(baskets: Baskets) -> Taste:
    """The taste that would have foretold everybody's last basket best, from those before it."""
    known = baskets.of_first(TUNED_ON)
    last = known.age == 0
    if not last.any():
        return Taste()
    wanted = Wanted(known.customer[last], known.item[last])
    earlier = known.before()
    tried = [Taste(decay, popularity) for decay in DECAYS for popularity in POPULARITIES]
    return max(tried, key=lambda taste: sum(wanted.measure(recommend(earlier, taste))))


def recommend(baskets: Baskets, taste: Taste, top: int = TOP) -> Ints:
    """The `top` items of each customer, best first; -1 where there are no more."""
    found = [_best(own, other, top)[0] for own, other in _chunks(baskets, taste, top)]
    return np.vstack([np.full((0, top), -1), *found])


def candidates(baskets: Baskets, taste: Taste, own: int, other: int) -> Scored:
    """Each customer's `own` best items and then, from column `own` on, the first `other` of everybody's
    that are not among them."""
    none = np.full((0, own + other), -1), np.zeros((0, own + other))
    found = [_beside(mine, _first(others, other)) for mine, others in _chunks(baskets, taste, own)]
    items, scores = zip(none, *found, strict=True)
    return np.vstack(items), np.vstack(scores)


def _chunks(baskets: Baskets, taste: Taste, top: int) -> Iterator[tuple[Scored, Scored]]:
    """The `top` own items of some customers, and everybody's favourites, each with its score; -inf where
    it is an own one."""
    weight = taste.decay ** baskets.age.astype(float)
    everybodys = taste.popularity / max(baskets.customers, 1)
    popular = np.asarray(np.bincount(baskets.item, weight, baskets.items) * everybodys, float)
    shelf = np.argsort(-popular, kind="stable")[:SHELF]
    shelf = shelf[np.isin(shelf, baskets.item)]  # what nobody bought yet is nobody's favourite
    for start in range(0, baskets.customers, CHUNK):
        number = min(CHUNK, baskets.customers - start)
        low, high = np.searchsorted(baskets.customer, (start, start + number))
        rows = slice(low, high)
        customer, item = baskets.customer[rows] - start, baskets.item[rows]
        keys, where = np.unique(customer * baskets.items + item, return_inverse=True)
        own, item = np.divmod(keys, baskets.items)
        score = np.bincount(where, weight[rows], len(keys)) + popular[item]
        others = np.where(_others(own, item, shelf, number), popular[shelf], -np.inf)
        yield (
            _own_best(own, item, score, number, top),
            (np.broadcast_to(shelf, others.shape), others),
        )


def _first(found: Scored, number: int) -> Scored:
    """The first `number` that are there, -1 for the rest; they are in order already."""
    items, scores = found
    there = np.isfinite(scores)
    place = np.cumsum(there, axis=1) - 1
    who, where = np.nonzero(there & (place < number))
    kept, worth = np.full((len(items), number), -1), np.full((len(items), number), -np.inf)
    kept[who, place[who, where]] = items[who, where]
    worth[who, place[who, where]] = scores[who, where]
    return kept, worth


def _beside(one: Scored, other: Scored) -> Scored:
    return np.hstack([one[0], other[0]]), np.hstack([one[1], other[1]])


def _own_best(own: Ints, item: Ints, score: Floats, number: int, top: int) -> tuple[Ints, Floats]:
    """Each customer's own best items, a row each."""
    order = np.lexsort((item, -score, own))
    own, item, score = own[order], item[order], score[order]
    rank = np.arange(len(own)) - np.searchsorted(own, own)
    kept = rank < top
    items, scores = np.full((number, top), -1), np.full((number, top), -np.inf)
    items[own[kept], rank[kept]] = item[kept]
    scores[own[kept], rank[kept]] = score[kept]
    return items, scores


def _others(own: Ints, item: Ints, shelf: Ints, number: int) -> NDArray[np.bool_]:
    """Which of everybody's favourites are not among a customer's own."""
    place = np.full(max(int(item.max(initial=0)), int(shelf.max(initial=0))) + 1, -1)
    place[shelf] = np.arange(len(shelf))
    others = np.ones((number, len(shelf)), bool)
    on_shelf = place[item] >= 0
    others[own[on_shelf], place[item[on_shelf]]] = False
    return others


def _best(own: Scored, other: Scored, top: int) -> Scored:
    items, scores = _beside(own, other)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    chosen, worth = (np.take_along_axis(of, best, axis=1) for of in (items, scores))
    return np.where(np.isfinite(worth), chosen, -1), np.asarray(worth, float)


@dataclass(frozen=True)
class Wanted:
    """Baskets to be foretold: a row per customer and item, each once."""

    customer: Ints
    item: Ints

    def measure(self, recommended: Ints) -> tuple[float, float]:
        """Recall and NDCG of the recommended items, means over the customers with a basket."""
        most = int(max(self.item.max(initial=0), recommended.max(initial=0))) + 1
        keys = np.unique(self.customer * most + self.item)
        sizes = np.bincount(keys // most, minlength=len(recommended)).astype(float)
        asked = np.arange(len(recommended))[:, None] * most + recommended
        hits = np.isin(asked, keys) & (recommended >= 0)
        gains = 1 / np.log2(np.arange(2, recommended.shape[1] + 2))
        ideal = np.concatenate([[np.inf], np.cumsum(gains)])
        best = ideal[np.minimum(sizes, len(gains)).astype(int)]
        there = sizes > 0
        recall = hits.sum(axis=1)[there] / sizes[there]
        return float(recall.mean()), float((hits @ gains / best)[there].mean())
