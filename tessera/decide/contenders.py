"""Who passed every rule, and who of them goes first: columns of numbers, which take a tenth of the time of
a table that is sorted and joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Numbers = npt.NDArray[Any]
Table = Mapping[str, Numbers]  # its columns
LAST = -(1 << 62)  # the value of who has none


def ask(duck: DuckDBPyConnection, query: str) -> pa.Table:
    return duck.sql(query).to_arrow_table()


def columns(table: pa.Table, *names: str) -> dict[str, Numbers]:
    """The columns named; where a number is missing, -1."""
    return {name: filled(table[name], -1).to_numpy() for name in names}


def filled(column: Any, value: object) -> Any:
    """The column with `value` where it has none; as it is, uncopied, where it has all."""
    return pc.fill_null(column, value) if column.null_count else column


def alphabetical(texts: pa.ChunkedArray | pa.Array) -> Numbers:
    """Their places in the alphabet, the same for those that are the same."""
    order: Numbers = pc.rank(texts, tiebreaker="dense").to_numpy().astype(np.int64)
    return order


@dataclass(frozen=True)
class Contenders:
    """Candidates who are still open, and those that a place is kept for. One verdict does for a `group`: all
    candidates of a person that are alike under the caps; what comes soon has a group of its own."""

    judged: Table
    occurrences: pa.Array
    row: Numbers  # in `judged`
    cid: Numbers
    group: Numbers
    groups: int  # how many there may be
    turn: Numbers  # by priority, and among equals first what is for today

    @classmethod
    def gather(
        cls,
        occurrences: pa.Array,
        given: Table,
        course: Table,
        *,
        row: Numbers,
        cid: Numbers,
        people: int,
    ) -> Contenders:
        """Those in the rows `row`, of the people `cid`."""
        of, is_coming = given["course_id"][row], given["ahead"][row] > 0
        classes = int(course["class_id"].max(initial=0)) + 1
        group = cid.astype(np.int64) * classes + course["class_id"][of]
        coming = int(np.count_nonzero(is_coming))
        group[is_coming] = people * classes + np.arange(coming)
        _, priority = np.unique(-course["priority"], return_inverse=True)
        turn = (2 * priority).astype(np.int32)[of] + is_coming
        return cls(given, occurrences, row, cid, group, people * classes + coming, turn)

    def of(self, name: str, places: Numbers) -> Numbers:
        """A column of theirs."""
        return self.judged[name][self.row[places]]

    def is_open(self) -> Numbers:
        """Who is for today, and has not been planned yet."""
        is_open: Numbers = (self.judged["ahead"][self.row] == 0) & (
            self.judged["planned_id"][self.row] < 0
        )
        return is_open

    def first(self, places: Numbers, group: Numbers, groups: int) -> Numbers:
        """Of `places`, who goes first of each group: the first key that tells decides."""
        if 50 * len(places) < groups:
            _, group = np.unique(group, return_inverse=True)
            groups = len(places)
        for key in self._keys():
            if _are_unique(group, groups):
                break
            its = key(places)
            least = np.full(groups, np.iinfo(its.dtype).max, its.dtype)
            np.minimum.at(least, group, its)
            is_first = its == least[group]
            places, group = places[is_first], group[is_first]
        return places

    def _keys(self) -> Iterator[Callable[[Numbers], Numbers]]:
        yield lambda places: self.turn[places]
        yield lambda places: -self.of("value", places)
        yield lambda places: self.of("lot", places).astype(np.int64)
        yield lambda places: alphabetical(self.occurrences.take(pa.array(self.row[places])))
        yield lambda places: self.cid[places]

    def ranks(self, gid: Numbers, mixed: Numbers) -> Numbers:
        """The order of all whose household is `mixed`, by a number from 1 on; of others 0."""
        rank = np.zeros(len(self.row), np.int64)
        places = np.flatnonzero(mixed[gid[self.cid]])
        keys = [key(places) for key in self._keys()] if len(places) else []
        if keys:
            rank[places[np.lexsort(keys[::-1])]] = np.arange(1, len(places) + 1)
        return rank


def _are_unique(group: Numbers, groups: int) -> bool:
    seen = np.zeros(groups, bool)
    seen[group] = True
    return bool(np.count_nonzero(seen) == len(group))
