"""Every candidate meets the rules in their order, the first that stands against it is its reason: columns of
numbers, some hundred thousand candidates at a time, as a processor's cache has room for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tessera.decide.contenders import LAST, Numbers, Table, ask, columns, filled
from tessera.decide.members import Members
from tessera.decide.reasons import Reason
from tessera.decide.wording import NONE, coded, whole
from tessera.store import queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "judging.sql")
CODE = {reason.value: number for number, reason in enumerate(Reason)}
NEVER = -(1 << 30)  # days from now, of what was not
AT_ONCE = 1 << 18
BITS, HALF, TEN_THOUSAND = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(10_000)
FIRM = (CODE["no_address"], CODE["no_consent"])  # before a topic that was declined


@dataclass(frozen=True)
class Judged:
    """The candidates: their numbers; what arbitration does not look at; and what decided, as far as a rule did."""

    given: dict[str, Numbers]
    occurrence: pa.Array
    expected_value: pa.Array
    by: Numbers  # among the words as they came
    place: Numbers  # of each of these words among `texts`; the last: of none
    texts: pa.Array


def judge(duck: DuckDBPyConnection, others: Members, *, day: date, threads: int | None) -> Judged:
    """All candidates: those in the table, and `others` of whom no more is known; and what was planned earlier
    today of those that are none any more."""
    rules = Judge(duck, day)
    found = ask(duck, SQL["candidate"])
    place, apart = rules.apart(duck, found["id"].to_numpy())
    joined = _joined([found, others.table], threads)
    own = {name: joined.pop(name) for name in ("occurrence", "expected_value")}
    rows = {"counted": _days(joined.pop("entered_on"), day)}
    rows |= {name: its.to_numpy() for name, its in joined.items()}
    del found, joined
    count = len(rows["cid"])
    out: dict[str, Numbers] = {name: np.empty(count, kind) for name, kind in OUT.items()}

    def some(which: Any, apart: Table) -> None:
        part = {name: its[which] for name, its in rows.items()}
        part |= {name: part[name].astype(np.intp) for name in PLACES}
        for name, its in rules.judge(part, apart).items():
            out[name][which] = its

    parts = [slice(start, start + AT_ONCE) for start in range(0, count, AT_ONCE)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(some, part, {}) for part in parts]:
            done.result()
    some(place, apart)
    given = {name: rows[name] for name in ("course_id", "cid", "step_id")} | out
    return _with_planned(duck, given, own, rules)


ROWS = ("course_id", "cid", "step_id", "entered_on", "occurrence", "expected_value")
# Places in the small tables, which are looked up again and again: by numbers that are not its own numpy takes
# twice as long.
PLACES = ("course_id", "step_id")


def _joined(tables: Sequence[pa.Table], threads: int | None) -> dict[str, pa.Array]:
    """The columns of several tables, each copied once."""

    def join(name: str) -> pa.Array:
        chunks = [chunk for table in tables for chunk in table[name].chunks]
        return pa.concat_arrays(chunks) if chunks else whole(tables[0][name])

    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(ROWS, pool.map(join, ROWS), strict=True))


def _days(dates: pa.Array, day: date) -> Numbers:
    """Days from `day` on; of who has no date none."""
    number = np.int32((day - date(1970, 1, 1)).days)
    days: Numbers = filled(dates, day).view(pa.int32()).to_numpy() - number
    return days


def _with_planned(
    duck: DuckDBPyConnection, given: dict[str, Numbers], own: dict[str, pa.Array], rules: Judge
) -> Judged:
    """What was planned earlier today stays, even if the audience or the campaign has moved on since."""
    planned = ask(duck, SQL["still_planned"])
    known = given["planned_id"]
    is_new = ~np.isin(planned["planned_id"].to_numpy(), known[known >= 0])
    planned = planned.filter(pa.array(is_new))
    if planned.num_rows:
        rules.tables["planned"] = planned
        more = columns(planned, *(name for name in given if name not in ("by", "lot"))) | {
            "by": rules.coded("planned", "dropped_by")["dropped_by"],
            "lot": lot(**columns(planned, "draw", "salt")),
        }
        given = {
            name: np.concatenate([its, more[name].astype(its.dtype)]) for name, its in given.items()
        }
        own = {name: pa.concat_arrays([its, whole(planned[name])]) for name, its in own.items()}
    given["value"] = filled(own["expected_value"], LAST).to_numpy()
    texts, (number,) = coded(pa.chunked_array([rules.texts], pa.string()))
    place = np.append(number, NONE)  # whichever thread had its words first
    return Judged(given, **own, by=given.pop("by"), place=place, texts=texts)


OUT: Mapping[str, type] = {
    "content_id": np.int32, "slot_id": np.int32, "planned_id": np.int32, "lot": np.uint32,
    "ahead": np.int16, "reason": np.int8, "by": np.int32,
}  # fmt: skip
NUMBERS = {
    "course": (
        *(
            "channel_id",
            "is_marketing",
            "salt",
            "control_group",
            "re_entry_after_days",
            "valid_days",
        ),
        *("ends_at", "is_held", "is_broken", "due_in", "hours_id"),
    ),
    "step": ("salt", "after_days", "units", "turn"),
    "slot": ("hours_id", "zone_id", "opens"),
    "turn": ("content_id",),
    "reach": ("cid", "channel_id", "zone_id", "draw", "marketing", "service"),
}
APART = {  # what is known of some candidates only: numbers, and words
    "through": (("through",), ()),
    "met_before": (("met",), ()),
    "over": ((), ("ended_by",)),
    "unmet": ((), ("unmet",)),
    "picked": (("content_id",), ("seen",)),
    "paced": ((), ("paced",)),
    "declined": ((), ("declined_tag",)),
    "planned": (("planned_id", "dropped"), ("dropped_by",)),
}
DAYS = ("met", "through")  # from now


class Judge:
    """The rules of a pass, and the words of their answers."""

    def __init__(self, duck: DuckDBPyConnection, day: date) -> None:
        self.day, self._lock = np.datetime64(day, "D"), Lock()
        self.texts: list[str] = []
        self._known: dict[str, int] = {}
        self.tables = {name: ask(duck, SQL[name]) for name in NUMBERS}
        table = {name: columns(self.tables[name], *its) for name, its in NUMBERS.items()}
        self.course, self.step, self.slot = table["course"], table["step"], table["slot"]
        self.turn = table["turn"]["content_id"]
        self.courses = self.tables["course"].to_pylist()
        self.runs_in = np.array([its["runs_in"] for its in self.courses] or [[0]])
        self.campaign = self.coded("course", "campaign")["campaign"]
        self.people = int(table["reach"]["cid"].max(initial=0)) + 1
        self.reach = self._by_place(
            table["reach"] | self.coded("reach", "marketing_by", "service_by")
        )
        hours, zones = (int(self.slot[name].max(initial=0)) + 1 for name in ("hours_id", "zone_id"))
        self.zones, self.slots = zones, np.full(hours * zones, NONE)
        place = self.slot["hours_id"] * zones + self.slot["zone_id"]
        self.slots[place] = np.arange(len(self.slot["opens"]))
        self.as_of, self.stale = duck.execute(SQL["now"]).fetchall()[0]

    def apart(self, duck: DuckDBPyConnection, ids: Numbers) -> tuple[Numbers, dict[str, Numbers]]:
        """The places among `ids` of those of whom more is known, and that."""
        tables = {name: ask(duck, SQL[name]) for name in APART}
        self.tables |= tables
        last = max(int(one["id"].to_numpy().max(initial=0)) for one in tables.values())
        place = np.full(max(last, int(ids.max(initial=0))) + 1, NONE, np.int32)
        place[ids] = np.arange(len(ids))
        found: dict[str, tuple[Numbers, Numbers]] = {}
        for name, (numbers, words) in APART.items():
            its = columns(tables[name], "id", *numbers) | self.coded(name, *words)
            at = place[its.pop("id")]  # NONE: a member who has begun
            found |= {column: (at[at >= 0], values[at >= 0]) for column, values in its.items()}
        where = np.unique(np.concatenate([at for at, _ in found.values()]))
        known = {
            name: np.full(len(where), NEVER if name in DAYS else NONE, np.int32) for name in found
        }
        for name, (at, values) in found.items():
            known[name][np.searchsorted(where, at)] = values
        return where, known

    def coded(self, table: str, *names: str) -> dict[str, Numbers]:
        found = {}
        for name in names:
            texts, (numbers,) = coded(self.tables[table][name])
            found[name] = np.append(self._codes(texts.to_pylist()), NONE)[numbers]
        return found

    def _codes(self, texts: Sequence[str]) -> Numbers:
        """The numbers of texts."""
        with self._lock:
            for text in texts:
                if text not in self._known:
                    self._known[text] = len(self.texts)
                    self.texts.append(text)
            return np.array([self._known[text] for text in texts], np.int32)

    def _by_place(self, reach: dict[str, Numbers]) -> dict[str, Numbers]:
        """By channel and person."""
        place = reach.pop("channel_id") * self.people + reach.pop("cid")
        found = {}
        for name, its in reach.items():
            found[name] = np.zeros(int(place.max(initial=0)) + self.people, its.dtype)
            found[name][place] = its
        return found

    def judge(self, rows: Table, apart: Table) -> dict[str, Numbers]:
        """What becomes of each; `apart`: what is known of these only."""
        one = self._seen(rows, apart)
        course = rows["course_id"]
        early, late = self._early(one), self._late(one)
        reason = np.select([early >= 0, one["waits"] > 0], [early, CODE["not_due"]], late)
        is_open = (early < 0) & (late < 0) & (one["planned_id"] < 0)
        reason = np.where(one["planned_id"] >= 0, one["dropped"], reason).astype(np.int8)
        ahead = np.clip(one["comes_in"], 0, self.runs_in.shape[1] - 1)
        return {
            "content_id": self._content(one),
            "slot_id": one["slot"],
            "planned_id": one["planned_id"],
            "lot": lot(one["draw"], self.step["salt"][rows["step_id"]]),
            "ahead": np.where(is_open & (ahead > 0), self.runs_in[course, ahead], 0),
            "reason": reason,
            "by": self._by(reason, one),
        }

    def _seen(self, rows: Table, apart: Table) -> dict[str, Numbers]:
        """What the rules look at."""
        course, count = rows["course_id"], len(rows["cid"])
        at = self.course["channel_id"][course].astype(np.int64) * self.people + rows["cid"]
        nothing = np.broadcast_to(np.int32(NONE), count)
        waits = rows["counted"] + self.step["after_days"][rows["step_id"]]
        return {
            **dict.fromkeys(("planned_id", "dropped", "dropped_by", "declined_tag", "ended_by", "unmet",
                             "seen", "paced", "content_id"), nothing),
            **dict.fromkeys(DAYS, np.broadcast_to(np.int32(NEVER), count)),
            **rows, **apart, "at": at,
            "waits": waits, "comes_in": np.maximum(waits, self.course["due_in"][course]),
            "slot": self.slots[self.course["hours_id"][course] * self.zones + self.reach["zone_id"][at]],
            "draw": self.reach["draw"][at], "is_marketing": self.course["is_marketing"][course],
        }  # fmt: skip

    def _early(self, one: Table) -> Numbers:
        """What the person is, the lot, and the journey."""
        course, marketing = one["course_id"], self.reach["marketing"][one["at"]]
        stop = np.where(one["is_marketing"], marketing, self.reach["service"][one["at"]])
        is_firm = one["is_marketing"] & np.isin(marketing, FIRM)
        stop = np.where((one["declined_tag"] >= 0) & ~is_firm, CODE["no_consent"], stop)
        drawn = (mixed(one["draw"], self.course["salt"][course]) * TEN_THOUSAND) >> HALF
        is_again = np.abs(one["met"]) < self.course["re_entry_after_days"][course]
        return _first(stop, {
            "control_group": drawn < self.course["control_group"][course].astype(np.uint64),
            "re_entry": (one["through"] != NEVER) | is_again,
            "exited": one["ended_by"] >= 0,
        })  # fmt: skip

    def _late(self, one: Table) -> Numbers:
        """The step, its content, and the time."""
        course, opens = one["course_id"], self._opens(one)
        valid, count = self.course["valid_days"][course], len(opens)
        begins = np.where(opens < 0, self.as_of, opens)
        is_late = (valid >= 0) & (one["waits"] + valid < 0)
        return _first(np.full(count, NONE, np.int8), {
            "condition_not_met": one["unmet"] >= 0,
            "repeat_content": one["seen"] >= 0,
            "stale_data": np.broadcast_to(self.stale is not None, count),
            "broken_template": self.course["is_broken"][course],
            "too_late": is_late | (self.course["ends_at"][course] <= begins),
            "outside_window": (self.course["is_held"][course] & (one["comes_in"] <= 0)) | (opens < 0),
            "capped": one["paced"] >= 0,
        })  # fmt: skip

    def _opens(self, one: Table) -> Numbers:
        """The second at which the slot opens; NONE: it does not."""
        found: Numbers = np.append(self.slot["opens"], NONE)[one["slot"]]
        return found

    def _content(self, one: Table) -> Numbers:
        """What the draw falls on, unless it has been seen."""
        step = one["step_id"]
        units = self.step["units"][step]
        unit, drawn = np.zeros(len(step), np.int64), np.flatnonzero(units > 1)
        lots = mixed(one["draw"][drawn], self.step["salt"][step[drawn]])
        unit[drawn] = (lots * units[drawn].astype(np.uint64)) >> HALF
        content = np.where(
            one["content_id"] >= 0, one["content_id"], self.turn[self.step["turn"][step] + unit]
        )
        return np.where(one["through"] != NEVER, NONE, content)

    def _by(self, reason: Numbers, one: Table) -> Numbers:
        """What decided, as a number among `texts`."""
        by = np.where(one["planned_id"] >= 0, one["dropped_by"], NONE)
        is_new = (reason >= 0) & (one["planned_id"] < 0)
        for code in np.flatnonzero(np.bincount(reason[is_new])).tolist():
            some = np.flatnonzero(is_new & (reason == code))
            by[some] = self._words(code, {name: its[some] for name, its in one.items()})
        return by

    def _words(self, code: int, one: Table) -> Numbers:
        name = list(CODE)[code]
        if name in KNOWN:
            return one[KNOWN[name]]
        if name in SPELLED:
            return self._spelled(name, one)
        if name == "stale_data":
            return np.resize(self._codes([self.stale or ""]), len(one["at"]))
        by = np.where(
            one["is_marketing"],
            *(self.reach[its][one["at"]] for its in ("marketing_by", "service_by")),
        )
        is_marketing = one["is_marketing"] & (self.reach["marketing"][one["at"]] == code)
        others = {
            "control_group": self.campaign[one["course_id"]],
            "no_consent": one["declined_tag"],
        }
        return np.where(is_marketing, by, others.get(name, by))

    def _spelled(self, name: str, one: Table) -> Numbers:
        """Words with days and the like in them, once for all of which they are the same."""
        kind, day = one["slot"].astype(np.int64) + 1, one["waits"]
        if name == "re_entry":
            kind = (one["through"] != NEVER).astype(np.int64)
            day = np.where(kind, one["through"], one["met"])
        same = ((day.astype(np.int64) + FAR) << 32) + (kind << 16) + one["course_id"]
        different, place = np.unique(same, return_inverse=True)
        say: Callable[[int, int, Mapping[str, Any]], str] = getattr(self, SPELLED[name])
        texts = [
            say((it >> 32) - FAR, it >> 16 & 0xFFFF, self.courses[it & 0xFFFF])
            for it in different.tolist()
        ]
        return self._codes(texts)[place]

    def _again(self, day: int, is_through: int, course: Mapping[str, Any]) -> str:
        wait = "" if is_through else f", again after {course['re_entry_after_days']} days"
        return f"planned on {self.day + day}{wait}"

    def _due(self, day: int, _: int, __: Mapping[str, Any]) -> str:
        return f"due on {self.day + day}"

    def _over(self, day: int, _: int, course: Mapping[str, Any]) -> str:
        valid = course["valid_days"]
        if valid is not None and day + valid < 0:
            return f"due on {self.day + day}, valid for {valid} days"
        return f"not after {course['not_after']}"

    def _broken(self, _: int, __: int, course: Mapping[str, Any]) -> str:
        return str(course["broken_by"])

    def _closed(self, _: int, slot: int, course: Mapping[str, Any]) -> str:
        zone = self.tables["slot"]["zone"][slot - 1].as_py() if slot else ""
        return str(course["held_by"] or f"{course['hours']} {zone}")


KNOWN = {
    "exited": "ended_by", "condition_not_met": "unmet", "repeat_content": "seen", "capped": "paced",
}  # fmt: skip
SPELLED = {
    "re_entry": "_again",
    "not_due": "_due",
    "too_late": "_over",
    "outside_window": "_closed",
    "broken_template": "_broken",
}
FAR = 1 << 29  # days


def _first(reason: Numbers, rules: Mapping[str, Numbers]) -> Numbers:
    """The reason there is, else the first that holds."""
    for name, holds in rules.items():
        reason = np.where((reason < 0) & holds, np.int8(CODE[name]), reason)
    return reason


def lot(draw: Numbers, salt: Numbers) -> Numbers:
    """The order among equals: a number nobody chose that is the same every time."""
    return (draw * salt) & BITS


def mixed(draw: Numbers, salt: Numbers) -> Numbers:
    """As the macro `mixed` has it."""
    found: Numbers = draw ^ salt
    for bits, times in ((16, 2_146_121_005), (15, 2_221_713_035)):
        found = ((found ^ (found >> np.uint64(bits))) * np.uint64(times)) & BITS
    return found
