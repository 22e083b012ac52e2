"""The slots under the caps go to the best: everybody's first choice, then the second, …

In each round the best that waits of every household gets its slot or does not, and what one is refused all
of its group are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tessera.decide.contenders import LAST, Contenders, Numbers, Table, columns
from tessera.decide.reasons import Reason
from tessera.decide.room import (
    NONE,
    REFUSALS,
    Cap,
    Contest,
    Messages,
    Near,
    later,
    refusal,
    rivals,
)
from tessera.store import queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "arbitration.sql")
CODE = {reason.value: number for number, reason in enumerate(Reason)}
REFUSED = np.array([CODE[name] for name in REFUSALS], np.int8)


NUMBERS = {
    "person": ("cid", "gid", "level", "pace"),
    "course": ("class_id", "priority", "due_in", "tag_bits", "may_repeat", "ends_at"),
    "step": ("course_id",),
    "content": (),
    "slot": ("opens", "closes"),
    "planned": ("bits", "second"),
}
JUDGED = ("course_id", "cid", "step_id", "content_id", "slot_id", "planned_id", "lot", "ahead", "reason")


@dataclass(frozen=True)
class Shop:
    """The small tables, by the numbers of what they hold; people by theirs."""

    person: Table
    course: Table
    step: Table
    content: Table
    slot: Table
    planned: Table
    caps: list[Cap]
    words: list[str]  # campaign/step

    @classmethod
    def read(cls, duck: DuckDBPyConnection) -> Shop:
        found = {name: _ask(duck, name) for name in NUMBERS}
        table = {name: columns(its, *NUMBERS[name]) for name, its in found.items()}
        table["person"] = _by_number(table["person"])
        words = _code(table, found, "said", "step", "planned")
        _code(table, found, "template", "step", "content", "planned")
        return cls(**table, caps=_ask(duck, "cap").to_pylist(), words=words)

    @property
    def people(self) -> int:
        return len(self.person["gid"])


def _ask(duck: DuckDBPyConnection, name: str) -> pa.Table:
    return duck.execute(SQL[name]).to_arrow_table()


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
    every = pa.chunked_array([one for its in of for one in found[its][name].chunks], pa.string())
    coded = every.combine_chunks().dictionary_encode()
    start = 0
    for its in of:
        table[its][name] = coded.indices.to_numpy()[start : (start := start + found[its].num_rows)]
    words: list[str] = coded.dictionary.to_pylist()
    return words


@dataclass
class Verdicts:
    """What became of the contenders so far."""

    sent_at: Numbers  # by place among them, the second; NONE: not granted
    beaten_by: Numbers  # by place, the word of what went first
    closed: Numbers  # by group, the place in `closings`
    closings: list[Numbers] = field(default_factory=list)  # columns reason, position, step, ahead
    count: int = 0

    def close(self, group: Numbers, *closing: Numbers) -> None:
        self.closed[group] = np.arange(self.count, self.count + len(group))
        self.closings.append(np.stack(closing))
        self.count += len(group)

    def distinct(self) -> tuple[Numbers, Numbers]:
        """The different closings, and which of them each is."""
        every = np.concatenate([np.empty((4, 0), np.int64), *self.closings], axis=1)
        reason, position, step, ahead = every + 1
        one = ((reason * 4096 + position) * 65_536 + step) * 4096 + ahead
        _, first, which = np.unique(one, return_index=True, return_inverse=True)
        return every[:, first], which


class Arbitration:
    """The rounds of one pass."""

    def __init__(self, shop: Shop, them: Contenders, messages: Messages) -> None:
        self.shop, self.them, self.messages = shop, them, messages
        self.gid = shop.person["gid"]
        places = np.arange(len(them.row), dtype=np.int32)
        is_kept = them.of("planned_id", places) >= 0
        mixed = np.zeros(shop.people, bool)
        mixed[self.gid[them.cid[is_kept]]] = True
        self.rank = them.ranks(self.gid, mixed)
        self._keep(places[is_kept])
        self.waiting = places[~is_kept]
        self.verdicts = Verdicts(
            np.full(len(places), NONE, np.int64),
            np.full(len(places), NONE, np.int32),
            np.full(them.groups, NONE, np.int32),
        )

    def _keep(self, kept: Numbers) -> None:
        """What was planned earlier today keeps its place."""
        kept = kept[np.argsort(self.gid[self.them.cid[kept]], kind="stable")]
        its = {name: column[self.them.of("planned_id", kept) - 1] for name, column in self.shop.planned.items()}
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
            best = self.them.first(head, self.gid[self.them.cid[head]], self.shop.people)
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
        group = self.them.group
        self.waiting = self.waiting[self.verdicts.closed[group[self.waiting]] < 0]
        is_freed = np.zeros(self.them.groups, bool)
        is_freed[group[freed]] = True
        places = self.waiting[is_freed[group[self.waiting]]]
        found = self.them.first(places, group[places], self.them.groups)
        self.waiting = self._without(self.waiting, found)
        return found

    def _contest(self, best: Numbers, number: int) -> Contest:
        them, shop = self.them, self.shop
        course, slot = them.of("course_id", best), them.of("slot_id", best)
        step, content, ahead = (them.of(name, best) for name in ("step_id", "content_id", "ahead"))
        cid, moved = them.cid[best], ahead.astype(np.int64) * 86_400
        own = shop.step["template"][step]
        given = shop.content["template"][content] if len(shop.content["template"]) else own
        return Contest(
            best, cid, self.gid[cid], shop.course["tag_bits"][course],
            shop.person["level"][cid], shop.person["pace"][cid],
            opens=shop.slot["opens"][slot] + moved,
            closes=np.minimum(shop.slot["closes"][slot], shop.course["ends_at"][course]) + moved,
            rank=np.where(self.rank[best] > 0, self.rank[best], number),
            ahead=ahead, step=step, said=shop.step["said"][step],
            template=np.where(content >= 0, given, own),
            may_repeat=shop.course["may_repeat"][course],
        )  # fmt: skip

    def _round(self, contest: Contest) -> Numbers:
        """Those whose group goes on: they are granted, or beaten by the same step or content."""
        near = Near(contest, self.messages)
        why = refusal(contest, near, self.shop.caps)
        second, is_refused = self._moved(contest, why)
        self._close(contest, why, is_refused)
        by = np.where(is_refused | (contest.ahead > 0), NONE, rivals(contest, near))
        self.verdicts.beaten_by[contest.place[by >= 0]] = self.messages.column["said"][by[by >= 0]]
        self._grant(contest, second, ~is_refused & (by < 0))
        return contest.place[~is_refused & (contest.ahead == 0)]

    def _moved(self, contest: Contest, why: Any) -> tuple[Numbers, Numbers]:
        """When each may go, and whether it may not."""
        second, is_refused = contest.opens.copy(), why.is_full.copy()
        movable = np.flatnonzero(why.is_full & why.is_movable)
        if len(movable):
            some = contest.narrowed(movable)
            free, fits = later(some, Near(some, self.messages), self.shop.caps)
            second[movable[fits]] = free[fits]
            is_refused[movable[fits]] = False
        return second, is_refused

    def _close(self, contest: Contest, why: Any, is_refused: Numbers) -> None:
        some = np.flatnonzero(is_refused & (contest.ahead == 0))
        reason, position, by = (its[some] for its in why.first())
        message = {
            name: np.where(by >= 0, self.messages.column[name][by] if self.messages.count else NONE, NONE)
            for name in ("step", "ahead")
        }
        group = self.them.group[contest.place[some]]
        self.verdicts.close(group, reason, position, message["step"], message["ahead"])

    def _grant(self, contest: Contest, second: Numbers, goes: Numbers) -> None:
        some = contest.narrowed(goes)
        is_today = some.ahead == 0
        self.messages.add(
            some.gid, cid=some.cid, bits=some.bits, second=second[goes], rank=some.rank, step=some.step,
            ahead=some.ahead, said=np.where(is_today, some.said, NONE), template=some.template,
        )  # fmt: skip
        self.verdicts.sent_at[some.place[is_today]] = second[goes][is_today]


def arbitrate(
    duck: DuckDBPyConnection, judged: pa.Table, day: date, reserve_days: int
) -> tuple[pa.Table, pa.Table]:
    """`outcome`: what becomes of every candidate of today, and when; and `told`, in words, by what."""
    shop = Shop.read(duck)
    given = columns(judged, *JUDGED)
    given["value"] = pc.fill_null(judged["expected_value"], LAST).to_numpy()
    spent = _spent(duck, judged)
    them = Contenders.find(
        judged["occurrence"], given, shop.course, reserve_days, people=shop.people, but=spent["id"].to_numpy()
    )
    verdicts = Arbitration(shop, them, _history(duck, shop)).run()
    said = Said(given, them, verdicts)
    told = said.told(shop, spent, day)
    return said.outcome(judged), told


def _history(duck: DuckDBPyConnection, shop: Shop) -> Messages:
    messages, found = Messages(shop.people), _ask(duck, "message")
    its = columns(found, "gid", "cid", "bits", "second")
    messages.add(its.pop("gid"), **its, rank=0, step=NONE, ahead=0, said=NONE, template=NONE)
    return messages


def _spent(duck: DuckDBPyConnection, judged: pa.Table) -> pa.Table:
    """Candidates for whom nothing is left of a limited reward."""
    if not duck.execute("select count(*) from reward").fetchall()[0][0]:
        return pa.table({"id": pa.array([], pa.int32()), "reward": pa.array([], pa.string())})
    duck.register("judged", judged.append_column("id", pa.array(np.arange(judged.num_rows, dtype=np.int32))))
    found = _ask(duck, "spent")
    duck.unregister("judged")
    return found


class Said:
    """The reason of every candidate, and, where it is not its own, what decided it."""

    def __init__(self, given: Table, them: Contenders, verdicts: Verdicts) -> None:
        self.closings, which = verdicts.distinct()
        self.reason = np.where(given["reason"] < 0, CODE["planned"], given["reason"]).astype(np.int8)
        self.told_id = np.full(len(self.reason), NONE, np.int32)
        self.second = np.full(len(self.reason), NONE, np.int64)
        self.second[them.row] = verdicts.sent_at
        closed = np.flatnonzero(them.is_open() & (verdicts.sent_at < 0) & (verdicts.beaten_by < 0))
        closing = which[verdicts.closed[them.group[closed]]]
        self._tell(them.row[closed], REFUSED[self.closings[0][closing]], closing)
        beaten = np.flatnonzero(verdicts.beaten_by >= 0)
        words = verdicts.beaten_by[beaten] + self.closings.shape[1]
        self._tell(them.row[beaten], CODE["outranked"], words)

    def _tell(self, row: Numbers, reason: Numbers | int, told: Numbers) -> None:
        self.reason[row], self.told_id[row] = reason, told

    def told(self, shop: Shop, spent: pa.Table, day: date) -> pa.Table:
        """What decided, in words."""
        texts = [*self._reached(shop, day), *shop.words]
        rewards = spent["reward"].combine_chunks().dictionary_encode()
        self._tell(
            spent["id"].to_numpy(), CODE["no_reward_left"], rewards.indices.to_numpy() + len(texts)
        )
        texts += rewards.dictionary.to_pylist()
        return pa.table({"told_id": pa.array(range(len(texts)), pa.int32()), "decided_by": texts})

    def _reached(self, shop: Shop, day: date) -> Iterator[str]:
        """The cap, and what takes the place."""
        label = {cap["position"]: cap["label"] for cap in shop.caps}
        for reason, position, step, ahead in self.closings.T.tolist():
            name = shop.words[shop.step["said"][step]] if step >= 0 else ""
            on = f" on {day + timedelta(days=ahead)}" if ahead > 0 else ""
            own = label[position]
            yield own if REFUSALS[reason] == "capped" else f"{name}{on} ({own})"

    def outcome(self, judged: pa.Table) -> pa.Table:
        """Each candidate with its reason and time."""
        columns = judged.drop_columns(["ahead", "lot", "reason"])
        said = pa.DictionaryArray.from_arrays(pa.array(self.reason), [*map(str, Reason)])
        times = pa.array(self.second * 1_000_000, pa.timestamp("us"), mask=self.second < 0)
        return (
            columns.append_column("reason", said)
            .append_column("told_id", pa.array(self.told_id))
            .append_column("send_at", times)
        )
