"""What buying models need to know of customers: how often, until when, since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.know.fitting import Floats

MOST_ROWS = 20_000  # customers that parameters are fitted from


@dataclass(frozen=True)
class History:
    """Distinct rows of (repeat purchases, time of the last one, time observed), with their number.

    Times begin with the first purchase. Days with several purchases count once."""

    x: Floats
    recency: Floats
    age: Floats
    count: Floats

    def sample(self) -> History:
        """The rows of `MOST_ROWS` customers at most, evenly spread: parameters need no more."""
        rows, count = thin(self.count, MOST_ROWS)
        return History(self.x[rows], self.recency[rows], self.age[rows], count)

    def rows(self, which: NDArray[Any]) -> History:
        return History(self.x[which], self.recency[which], self.age[which], self.count[which])


@dataclass(frozen=True)
class Calendar:
    """The same in whole days counted back from the end of the history, which seasons need."""

    x: Floats
    since_last: NDArray[np.int64]
    since_first: NDArray[np.int64]
    count: Floats
    inverse: NDArray[np.int64]  # from customers to rows
    repeats_ago: Floats  # repeat purchases of everybody, by days ago

    def sample(self) -> Calendar:
        """The same of a calendar; `repeats_ago` is still everybody's."""
        rows, count = thin(self.count, MOST_ROWS)
        parts = (self.x[rows], self.since_last[rows], self.since_first[rows], count)
        return Calendar(*parts, np.arange(0), self.repeats_ago)

    @property
    def days(self) -> int:
        return int(self.since_first.max()) + 1

    def in_units(self, unit_days: float) -> History:
        age = self.since_first / unit_days
        return History(self.x, age - self.since_last / unit_days, age, self.count)

    def in_season(self, elapsed: Floats) -> History:
        """On a clock that has run `elapsed[d]` since d days ago."""
        age = elapsed[self.since_first]
        return History(self.x, age - elapsed[self.since_last], age, self.count)


def calendar(
    x: NDArray[Any], since_last: NDArray[Any], since_first: NDArray[Any], repeats_ago: Floats
) -> Calendar:
    """Group customers with the same history."""
    key = (since_first.astype(np.int64) << 40) | (since_last.astype(np.int64) << 20)
    _, first, inverse, count = np.unique(
        key | x.astype(np.int64), return_index=True, return_inverse=True, return_counts=True
    )
    return Calendar(
        x[first].astype(float),
        since_last[first].astype(np.int64),
        since_first[first].astype(np.int64),
        count.astype(float),
        inverse,
        repeats_ago,
    )


def thin(count: Floats, most: int) -> tuple[NDArray[np.int64], Floats]:
    """Every n-th customer of rows that occur `count` times: the rows, and how often they occur then."""
    if len(count) <= most:
        return np.arange(len(count)), count
    every = (np.arange(most) + 0.5) * count.sum() / most
    rows, found = np.unique(np.searchsorted(np.cumsum(count), every), return_counts=True)
    return rows, found.astype(float)
