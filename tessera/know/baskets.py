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
    return scored(baskets, taste, top)[0]


def scored(baskets: Baskets, taste: Taste, top: int, other: int = 0) -> tuple[Ints, Floats]:
    """The same with the items' scores, and beside them the first `other` of everybody's favourites that
    are not among a customer's own."""
    weight = taste.decay ** baskets.age.astype(float)
    everybodys = taste.popularity / max(baskets.customers, 1)
    popular = np.asarray(np.bincount(baskets.item, weight, baskets.items) * everybodys, float)
    shelf = np.argsort(-popular, kind="stable")[:SHELF]
    wide = top + min(other, len(shelf))
    chunks = _chunks(baskets, weight, popular, shelf, (top, wide - top))
    items, scores = zip((np.full((0, wide), -1), np.zeros((0, wide))), *chunks, strict=True)
    return np.vstack(items), np.vstack(scores)


def _chunks(
    baskets: Baskets, weight: Floats, popular: Floats, shelf: Ints, most: tuple[int, int]
) -> Iterator[tuple[Ints, Floats]]:
    for start in range(0, baskets.customers, CHUNK):
        number = min(CHUNK, baskets.customers - start)
        low, high = np.searchsorted(baskets.customer, (start, start + number))
        rows = slice(low, high)
        customer, item = baskets.customer[rows] - start, baskets.item[rows]
        keys, where = np.unique(customer * baskets.items + item, return_inverse=True)
        own, item = np.divmod(keys, baskets.items)
        score = np.bincount(where, weight[rows], len(keys)) + popular[item]
        mine = _own_best(own, item, score, number, most[0])
        scores = np.where(_others(own, item, shelf, number), popular[shelf], -np.inf)
        everybodys = np.broadcast_to(shelf, scores.shape), scores
        none = np.full((number, 0), -1), np.zeros((number, 0))
        parts = _best(mine, everybodys, most[0]), _best(none, everybodys, most[1])
        yield tuple(np.hstack(pair) for pair in zip(*parts, strict=True))  # type: ignore[misc]


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


def _best(
    own: tuple[Ints, Floats], everybodys: tuple[Ints, Floats], top: int
) -> tuple[Ints, Floats]:
    items, scores = (np.hstack(pair) for pair in zip(own, everybodys, strict=True))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    chosen, worth = (np.take_along_axis(of, best, axis=1) for of in (items, scores))
    return np.where(np.isfinite(worth), chosen, -1), worth


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
