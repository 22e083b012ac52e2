"""The households in parts, each decided on its own: a processor's cache has room for one, and its cores
are there for several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tessera.decide.contenders import Numbers, Table
from tessera.decide.wording import NONE

AT_ONCE = 1 << 16  # people
LOOK = 1 << 20  # candidates


@dataclass(frozen=True)
class Part:
    """Some households, with their contenders and what they got; people and households by their places in it."""

    person: Table
    row: Numbers  # of the contenders
    cid: Numbers  # theirs
    got: Table


class Parts:
    """All of them. What does not hang on a household is decided before."""

    def __init__(self, person: Table) -> None:
        self.person, gid = person, person["gid"]
        self.order = np.argsort(gid, kind="stable").astype(np.int32)
        self.home = np.cumsum(
            np.diff(gid[self.order], prepend=gid[self.order[0]]) > 0, dtype=np.int32
        )
        first = np.unique(np.searchsorted(self.home, self.home[::AT_ONCE]))
        self.cuts = np.append(first, len(gid))
        self.seat = np.empty(len(gid), np.int32)
        self.seat[self.order] = np.arange(len(gid))
        self.number = (np.searchsorted(first, self.seat, "right") - 1).astype(np.int16)

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def of(self, given: Table, due_in: Numbers, horizon: int, but: Numbers) -> Numbers:
        """The part of every candidate that is still open, or comes within `horizon` days; NONE of the others, and
        of `but`."""
        found, is_due = np.empty(len(given["cid"]), np.int16), due_in == 0
        for start in range(0, len(found), LOOK):
            some = slice(start, start + LOOK)
            ahead = given["ahead"][some]
            is_open = (given["reason"][some] < 0) & is_due[given["course_id"][some]]
            is_open |= (ahead > 0) & (ahead <= horizon)
            found[some] = np.where(is_open, self.number[given["cid"][some]], NONE)
        found[but] = NONE
        return found

    def one(self, number: int, row: Numbers, cid: Numbers, got: Table) -> Part:
        """The contenders in the rows `row`, who are `cid`; `got` by all households, in their order."""
        start, end = self.cuts[number : number + 2].tolist()
        first = int(self.home[start])
        person = {name: its[self.order[start:end]] for name, its in self.person.items()}
        person["gid"] = (self.home[start:end] - first).astype(np.intp)
        of = self.number[got["gid"]]
        some = slice(*np.searchsorted(of, (number, number + 1)))
        got = {name: its[some] for name, its in got.items()}
        got["gid"] = self.home[self.seat[got["gid"]]] - first
        got["cid"] = self.seat[got["cid"]] - start
        return Part(person, row, (self.seat[cid] - start).astype(np.intp), got)
