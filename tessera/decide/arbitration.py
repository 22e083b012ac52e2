"""The slots under the caps go to the best: everybody's first choice, then the second, …

In each round the best that waits of every household gets its slot or does not, and what one is refused all
of its group are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tessera.decide.contenders import Contenders, Numbers, Table, ask, columns
from tessera.decide.room import (
    Cap,
    Contest,
    Messages,
    Near,
    Refusal,
    later,
    refusal,
    rivals,
)
from tessera.decide.wording import NONE, coded
from tessera.store import queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "arbitration.sql")
NUMBERS = {
    "person": ("cid", "gid", "level", "pace"),
    "course": (
        *("class_id", "priority", "due_in", "tag_bits", "may_repeat", "drops", "ends_at"),
        "valid_hours",
    ),
    "step": ("position",),
    "content": (),
    "slot": ("opens", "closes"),
    "planned": ("bits", "second"),
}


@dataclass(frozen=True)
class Book:
    """The small tables, by the numbers of what they hold; people by theirs."""

    person: Table
    course: Table
    step: Table
    content: Table
    slot: Table
    planned: Table
    tables: Mapping[str, pa.Table]  # with their texts
    caps: list[Cap]
    words: list[str]  # campaign/step

    @classmethod
    def read(cls, duck: DuckDBPyConnection) -> Book:
        found = {name: ask(duck, SQL[name]) for name in NUMBERS}
        table = {name: columns(its, *NUMBERS[name]) for name, its in found.items()}
        table["person"] = _by_number(table["person"])
        words = _code(table, found, "said", "step", "planned")
        _code(table, found, "template", "step", "content", "planned")
        return cls(**table, tables=found, caps=ask(duck, SQL["cap"]).to_pylist(), words=words)

    @property
    def people(self) -> int:
        return len(self.person["gid"])

    def among(self, person: Table) -> Book:
        """The same for some people."""
        return replace(self, person=person)


def _by_number(person: dict[str, Numbers]) -> dict[str, Numbers]:
    """Each column in the order of the people's numbers, which leave no place empty but the first."""
    cid = person.pop("cid")
    found = {name: np.zeros(int(cid.max(initial=0)) + 1, np.int32) for name in person}
    for name, its in person.items():
        found[name][cid] = its
    return found


def _code(
    table: dict[str, dict[str, Numbers]], found: Mapping[str, pa.Table], name: str, *of: str
) -> list[str]:
    """Give the texts of a column of several tables numbers; the texts by their numbers."""
    texts, numbers = coded(*(found[its][name] for its in of))
    for its, mine in zip(of, numbers, strict=True):
        table[its][name] = mine
    words: list[str] = texts.to_pylist()
    return words


@dataclass(frozen=True)
class Verdicts:
    """What became of the contenders so far."""

    sent_at: Numbers  # by place among them, the second; NONE: not granted
    beaten_by: Numbers  # by place, the word of what went first
    closed: Numbers  # by group, why there is no room for it, as one number; NONE: there is


FREED = 2  # of a group: another of it may go
ROOM = (4, 4096, 65_536, 4096)  # for reason, position, step and ahead, and for none


def packed(*reached: Numbers) -> Numbers:
    """Why there is no room, in one number."""
    found = np.zeros(len(reached[0]), np.int64)
    for its, room in zip(reached, ROOM, strict=True):
        found = found * room + its + 1
    return found


def unpacked(numbers: Numbers) -> Numbers:
    """Rows of reason, position, step and ahead."""
    found = []
    for room in reversed(ROOM):
        numbers, its = np.divmod(numbers, room)
        found.append(its - 1)
    return np.stack(found[::-1], axis=1)


class Arbitration:
    """The rounds among some households, with what they got on other days."""

    def __init__(self, book: Book, them: Contenders, got: Table) -> None:
        self.book, self.them, self.messages = book, them, Messages(book.people)
        self.messages.add(**got, rank=0, step=NONE, ahead=0, said=NONE, template=NONE)
        self.gid = book.person["gid"]
        places = np.arange(len(them.row))
        is_kept = them.of("planned_id", places) >= 0
        mixed = np.zeros(book.people, bool)
        mixed[self.gid[them.cid[is_kept]]] = True
        self.rank = them.ranks(self.gid, mixed)
        self._keep(places[is_kept])
        self.waiting = places[~is_kept]
        self.verdicts = Verdicts(
            np.full(len(places), NONE, np.int64),
            np.full(len(places), NONE, np.int32),
            np.full(them.groups, NONE, np.int64),
        )

    def _keep(self, kept: Numbers) -> None:
        """What was planned earlier today keeps its place."""
        kept = kept[np.argsort(self.gid[self.them.cid[kept]], kind="stable")]
        its = {
            name: column[self.them.of("planned_id", kept) - 1]
            for name, column in self.book.planned.items()
        }
        self.messages.add(
            self.gid[self.them.cid[kept]], cid=self.them.cid[kept], rank=self.rank[kept],
            step=self.them.of("step_id", kept), ahead=0, **its,
        )  # fmt: skip

    def run(self) -> Verdicts:
        group = self.them.group
        head = self.them.first(self.waiting, group[self.waiting], self.them.groups)
        self.waiting = self._without(self.waiting, head)
        number = 0
        while len(head):
            number += 1
            best = self.them.first(head, self.gid[self.them.cid[head]], self.book.people)
            freed = self._round(self._contest(best, number))
            head = np.concatenate([self._without(head, best), self._next(freed)])
        return self.verdicts

    def _without(self, places: Numbers, some: Numbers) -> Numbers:
        is_gone = np.zeros(len(self.them.row), bool)
        is_gone[some] = True
        left: Numbers = places[~is_gone[places]]
        return left

    def _next(self, freed: Numbers) -> Numbers:
        """The next of the groups whose first went, or was beaten."""
        group = self.them.group[self.waiting]
        state = (self.verdicts.closed < 0).astype(np.int8)
        state[self.them.group[freed]] = FREED
        its = state[group]
        is_next = its == FREED
        found = self.them.first(self.waiting[is_next], group[is_next], self.them.groups)
        self.waiting = self._without(self.waiting[its > 0], found)
        return found

    def _contest(self, best: Numbers, number: int) -> Contest:
        them, book = self.them, self.book
        course, slot = them.of("course_id", best), them.of("slot_id", best)
        step, content, ahead = (them.of(name, best) for name in ("step_id", "content_id", "ahead"))
        cid, moved = them.cid[best], ahead.astype(np.int64) * 86_400
        own = book.step["template"][step]
        given = book.content["template"][content] if len(book.content["template"]) else own
        return Contest(
            best, cid, self.gid[cid], book.course["tag_bits"][course],
            book.person["level"][cid], book.person["pace"][cid],
            opens=book.slot["opens"][slot] + moved,
            closes=np.minimum(book.slot["closes"][slot], book.course["ends_at"][course]) + moved,
            rank=np.where(self.rank[best] > 0, self.rank[best], number),
            ahead=ahead, step=step, said=book.step["said"][step],
            template=np.where(content >= 0, given, own),
            may_repeat=book.course["may_repeat"][course],
        )  # fmt: skip

    def _round(self, contest: Contest) -> Numbers:
        """Those whose group goes on: they are granted, or beaten by the same step or content."""
        near = Near(contest, self.messages)
        why = refusal(contest, near, self.book.caps)
        second, is_refused = self._moved(contest, why)
        self._close(contest, why, is_refused)
        by = np.where(is_refused | (contest.ahead > 0), NONE, rivals(contest, near))
        self.verdicts.beaten_by[contest.place[by >= 0]] = self.messages.column["said"][by[by >= 0]]
        self._grant(contest, second, ~is_refused & (by < 0))
        freed: Numbers = contest.place[~is_refused & (contest.ahead == 0)]
        return freed

    def _moved(self, contest: Contest, why: Refusal) -> tuple[Numbers, Numbers]:
        """When each may go, and whether it may not."""
        second, is_refused = contest.opens.copy(), why.is_full.copy()
        movable = np.flatnonzero(why.is_full & why.is_movable)
        if len(movable):
            some = contest.narrowed(movable)
            free, fits = later(some, Near(some, self.messages), self.book.caps)
            second[movable[fits]] = free[fits]
            is_refused[movable[fits]] = False
        return second, is_refused

    def _close(self, contest: Contest, why: Refusal, is_refused: Numbers) -> None:
        some = np.flatnonzero(is_refused & (contest.ahead == 0))
        reason, position, by = (its[some] for its in why.first())
        message = {
            name: np.where(
                by >= 0, self.messages.column[name][by] if self.messages.count else NONE, NONE
            )
            for name in ("step", "ahead")
        }
        group = self.them.group[contest.place[some]]
        self.verdicts.closed[group] = packed(reason, position, message["step"], message["ahead"])

    def _grant(self, contest: Contest, second: Numbers, goes: Numbers) -> None:
        some = contest.narrowed(goes)
        is_today = some.ahead == 0
        self.messages.add(
            some.gid, cid=some.cid, bits=some.bits, second=second[goes], rank=some.rank, step=some.step,
            ahead=some.ahead, said=np.where(is_today, some.said, NONE), template=some.template,
        )  # fmt: skip
        self.verdicts.sent_at[some.place[is_today]] = second[goes][is_today]


def history(duck: DuckDBPyConnection) -> Table:
    """What counts under the caps and is not judged in this pass, in the order of the households."""
    return columns(ask(duck, SQL["message"]), "gid", "cid", "bits", "second")
