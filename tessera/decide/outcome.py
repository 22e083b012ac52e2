"""What becomes of every candidate: the reason, what decided it, and when the message goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tessera.decide.arbitration import SQL, Arbitration, Book, Verdicts, history, unpacked
from tessera.decide.contenders import Contenders, Numbers, Table, alphabetical, ask
from tessera.decide.judging import CODE, Judged
from tessera.decide.parts import Parts
from tessera.decide.room import REFUSALS
from tessera.decide.wording import NONE, Wording, as_words, coded, same, whole

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REFUSED = np.array([CODE[name] for name in REFUSALS], np.int8)
Closed = tuple[Numbers, Numbers, Numbers]  # rows, which of the last each has, why there is no room
BATCH = 65_536  # messages
OUTBOX = [
    "customer_id", "household_id", "campaign", "campaign_version", "step", "occurrence", "channel",
    "purpose", "tags", "template", "variant", "language", "timezone",
]  # fmt: skip
COLUMNS = [
    "business_date", "decided_at", "campaign", "campaign_version", "step", "variant", "customer_id",
    "household_id", "occurrence", "channel", "purpose", "tags", "template", "language", "timezone",
    "priority", "expected_value", "reason", "decided_by", "send_at", "send_key",
]  # fmt: skip


def conclude(
    duck: DuckDBPyConnection,
    judged: Judged,
    *,
    day: date,
    as_of: datetime,
    reserve_days: int,
    threads: int | None,
) -> Outcome:
    """Arbitrate among those whom no rule has stopped."""
    book, spent = Book.read(duck), _spent(duck, judged)
    said = Said(judged.given, book, spent)
    _arbitrate(judged, book, history(duck), said, horizon=reserve_days, threads=threads)
    for name in ("lot", "ahead", "value", "reason"):  # have served
        del judged.given[name]
    return Outcome(book, judged, ask(duck, SQL["people"]), said=said, day=day, as_of=as_of)


def _arbitrate(
    judged: Judged, book: Book, got: Table, said: Said, *, horizon: int, threads: int | None
) -> None:
    """Household by household, many at once."""
    given, parts = judged.given, Parts(book.person)
    of = parts.of(given, book.course["due_in"], horizon, said.spent)

    def one(number: int) -> Closed:
        row = np.flatnonzero(of == number)
        part = parts.one(number, row, given["cid"][row], got)
        theirs = book.among(part.person)
        them = Contenders.gather(
            judged.occurrence, given, book.course,
            row=row, cid=part.cid, people=theirs.people,
        )  # fmt: skip
        return said.take(them, Arbitration(theirs, them, part.got).run())

    with ThreadPoolExecutor(threads) as pool:
        said.close(list(pool.map(one, range(len(parts)))))


def _spent(duck: DuckDBPyConnection, judged: Judged) -> pa.Table:
    """Candidates for whom nothing is left of a limited reward."""
    if not duck.execute("select count(*) from reward").fetchall()[0][0]:
        return pa.table({"id": pa.array([], pa.int32()), "reward": pa.array([], pa.string())})
    ids = np.arange(len(judged.by), dtype=np.int32)
    table = pa.table({**judged.given, "id": ids, "occurrence": judged.occurrence})
    duck.register("judged", table)
    found = ask(duck, SQL["spent"])
    duck.unregister("judged")
    return found


class Said:
    """The reason of every candidate by its number, the second of its message, and, where not the candidate
    itself says it, what decided."""

    def __init__(self, given: Table, book: Book, spent: pa.Table) -> None:
        self.book, self.spent = book, spent["id"].to_numpy()
        self.reason = given["reason"].copy()
        self.reason[self.reason < 0] = CODE["planned"]
        self.told_id = np.full(len(self.reason), NONE, np.int32)
        self.second = np.full(len(self.reason), NONE, np.int64)
        kept = np.flatnonzero(given["planned_id"] >= 0)
        kept = kept[given["reason"][kept] < 0]
        self.second[kept] = book.planned["second"][given["planned_id"][kept] - 1]
        rewards = spent["reward"].combine_chunks().dictionary_encode()
        self._words = [*book.words, *rewards.dictionary.to_pylist()]
        self._tell(self.spent, CODE["no_reward_left"], rewards.indices.to_numpy() + len(book.words))

    def take(self, them: Contenders, verdicts: Verdicts) -> Closed:
        """What became of some, and for whom of them there is no room, of which `close` must hear."""
        sent, beaten = (np.flatnonzero(its >= 0) for its in (verdicts.sent_at, verdicts.beaten_by))
        self.second[them.row[sent]] = verdicts.sent_at[sent]
        self._tell(them.row[beaten], CODE["outranked"], verdicts.beaten_by[beaten])
        closed = np.flatnonzero(them.is_open() & (verdicts.sent_at < 0) & (verdicts.beaten_by < 0))
        why = np.unique(verdicts.closed)
        which = np.searchsorted(why, verdicts.closed).astype(np.int32)
        return them.row[closed], which[them.group[closed]], why

    def close(self, closed: Sequence[Closed]) -> None:
        every = np.unique(np.concatenate([why[why >= 0] for _, _, why in closed]))
        self._closings = unpacked(every)
        reason = REFUSED[self._closings[:, 0]]
        for row, which, why in closed:
            number = np.searchsorted(every, why)[which]
            self._tell(row, reason[number], number + len(self._words))

    def _tell(self, row: Numbers, reason: Numbers | int, told: Numbers) -> None:
        self.reason[row], self.told_id[row] = reason, told

    def told(self, day: date) -> pa.Array:
        """What decided, in words."""
        return pa.array([*self._words, *self._reached(day)], pa.string())

    def _reached(self, day: date) -> Iterator[str]:
        """The cap, and what takes the place."""
        label = {cap["position"]: cap["label"] for cap in self.book.caps}
        said = self.book.step["said"]
        for reason, position, step, ahead in self._closings.tolist():
            name = self.book.words[said[step]] if step >= 0 else ""
            on = f" on {day + timedelta(days=ahead)}" if ahead > 0 else ""
            own = label[position]
            yield own if REFUSALS[reason] == "capped" else f"{name}{on} ({own})"


class Outcome:
    """The candidates of a pass, and what is said of them."""

    def __init__(
        self,
        book: Book,
        judged: Judged,
        people: pa.Table,
        *,
        said: Said,
        day: date,
        as_of: datetime,
    ) -> None:
        self.book, self.given, self.said, self.day, self.as_of = (
            book,
            judged.given,
            said,
            day,
            as_of,
        )
        self._now = int(as_of.replace(tzinfo=UTC).timestamp())
        self.due = book.course["due_in"] == 0
        self._campaigns = np.array(book.tables["course"]["campaign"].to_pylist(), object)
        self._persons = {name: whole(people[name]) for name in ("customer_id", "household_id")}
        self._of = {"occurrence": judged.occurrence, "expected_value": judged.expected_value}
        self._wording = Wording({**book.tables, "people": people})
        self._by, self._place, self._told = judged.by, judged.place, len(judged.texts)
        self._texts = pa.concat_arrays([judged.texts, said.told(day)])
        self._keys, self._key = pa.array([], pa.string()), np.full(len(said.reason), NONE, np.int32)

    def today(self) -> Numbers:
        """All candidates of today."""
        return np.flatnonzero(self.due[self.given["course_id"]])

    def of_campaign(self, name: str) -> Numbers:
        """A campaign's candidates, by customer, step and occurrence."""
        row = np.flatnonzero((self._campaigns == name)[self.given["course_id"]])
        place = np.full(self.book.people, NONE, np.int32)
        place[self.given["cid"][row]] = row
        once = place[place >= 0]
        return once if len(once) == len(row) else self._in_order(row)

    def _in_order(self, row: Numbers) -> Numbers:
        step = self.given["step_id"][row]
        position = np.append(self.book.step["position"], np.iinfo(np.int32).max)[step]
        letters = alphabetical(self._of["occurrence"].take(pa.array(row)))
        found: Numbers = row[np.lexsort((letters, position, self.given["cid"][row]))]
        return found

    def decisions(self, row: Numbers) -> pa.Table:
        """What is kept of them: one row per candidate, no personal data."""
        places = {
            name: self.given[f"{name}_id"][row] for name in ("course", "step", "content", "slot")
        }
        places["planned"] = np.maximum(self.given["planned_id"][row] - 1, NONE)
        places["people"] = self.given["cid"][row] - 1
        second = self.said.second[row]
        found = {
            "business_date": pa.repeat(pa.scalar(self.day, pa.date32()), len(row)),
            "decided_at": pa.repeat(pa.scalar(self.as_of, pa.timestamp("us")), len(row)),
            "customer_id": self._persons["customer_id"].take(pa.array(places["people"])),
            "household_id": self._household(places),
            "priority": self.book.course["priority"][places["course"]],
            **{name: its.take(pa.array(row)) for name, its in self._of.items()},
            "reason": as_words(self.said.reason[row], pa.array(CODE)),
            "decided_by": self._decided_by(row),
            "send_at": pa.array(second * 1_000_000, pa.timestamp("us"), mask=second < 0),
            "send_key": self._send_key(row, places["planned"]),
            **dict(self._wording.columns(places)),
        }
        return pa.table({name: found[name] for name in COLUMNS})

    def _household(self, places: Table) -> pa.Array:
        return self._kept(
            "household_id",
            places["planned"],
            self._persons["household_id"].take(pa.array(places["people"])),
        )

    def _kept(self, name: str, planned: Numbers, else_: pa.Array) -> pa.Array:
        """What a message planned earlier today was planned with."""
        if not (planned >= 0).any():
            return else_
        theirs = whole(self.book.tables["planned"][name]).take(pa.array(planned, mask=planned < 0))
        return pc.coalesce(theirs, else_)

    def _decided_by(self, row: Numbers) -> pa.Array:
        told = self.said.told_id[row]
        by = self._place[self._by[row]]
        return as_words(np.where(told < 0, by, told + self._told), self._texts)

    def _send_key(self, row: Numbers, planned: Numbers) -> pa.Array:
        is_planned = self.said.reason[row] == CODE["planned"]
        key = np.where(is_planned, self._key[row], NONE)
        return self._kept(
            "send_key",
            np.where(is_planned, planned, NONE),
            self._keys.take(pa.array(key, mask=key < 0)),
        )

    def messages(self, duck: DuckDBPyConnection) -> pa.Table:
        """Those that are planned now, or that a campaign gives up for a cap, as the outbox has them."""
        row = self._leaving
        kept, count = self.decisions(row), len(row)
        keys = _send_keys(duck, kept)
        self._keys, self._key[row] = keys, np.arange(count)
        is_planned = self.said.reason[row] == CODE["planned"]
        now = same(pa.array([self.as_of.replace(tzinfo=UTC).isoformat()]), count)
        return pa.table(
            {name: kept[name] for name in COLUMNS if name in OUTBOX}
            | {
                "send_key": keys,
                "business_date": same(pa.array([str(self.day)]), count),
                "decided_at": now,
                "send_at": _instants(self._moment(row)),
                "not_after": _instants(self._not_after(row)),
                "state": as_words(np.where(is_planned, 0, 1), pa.array(["ready", "cancelled"])),
                "state_reason": _dropped(kept, np.flatnonzero(~is_planned)),
                "state_at": now,
            }
        )

    def rewards(self, messages: pa.Table) -> pa.Table:
        """What goes with the messages that are planned."""
        row = self._leaving
        rewards = whole(self.book.tables["step"]["reward"]).take(
            pa.array(self.given["step_id"][row])
        )
        found = messages.select(["send_key", "customer_id"]).append_column("reward", rewards)
        goes = pc.and_(pc.is_valid(rewards), pa.array(self.said.reason[row] == CODE["planned"]))
        return found.filter(goes).sort_by("send_key")

    @cached_property
    def _leaving(self) -> Numbers:
        """The new ones by customer, for people are numbered in the order of their names: so each page of the outbox's
        indexes by person is written once. Of one second they leave in this order."""
        row = self._new()
        small = self.book.tables
        campaign = alphabetical(small["course"]["campaign"])[self.given["course_id"][row]]
        step = alphabetical(small["step"]["step"])[self.given["step_id"][row]]
        found: Numbers = row[np.lexsort((step, campaign, self.given["cid"][row]))]
        return found

    def _moment(self, row: Numbers) -> Numbers:
        second = self.said.second[row]
        return np.where(second < 0, self._now, second)

    def _not_after(self, row: Numbers) -> Numbers:
        course, slot = self.given["course_id"][row], self.given["slot_id"][row]
        ends, hours = self.book.course["ends_at"][course], self.book.course["valid_hours"][course]
        valid = np.where(hours < 0, ends, self.book.slot["opens"][slot] + hours * 3600)
        found: Numbers = np.minimum(np.minimum(self.book.slot["closes"][slot], ends), valid)
        return found

    def _new(self) -> Numbers:
        course, reason = self.given["course_id"], self.said.reason
        goes = reason == CODE["planned"]
        if (drops := self.book.course["drops"]).any():
            goes |= drops[course] & np.isin(reason, REFUSED)
        row: Numbers = np.flatnonzero(goes)
        its: Numbers = row[self.due[course[row]] & (self.given["planned_id"][row] < 0)]
        return its

    def counts(self, campaign: str) -> tuple[dict[str, int], str | None, str | None]:
        """A campaign's candidates by reason, and when its first and its last message goes."""
        row = np.flatnonzero((self._campaigns == campaign)[self.given["course_id"]])
        count = np.bincount(self.said.reason[row], minlength=len(CODE)).tolist()
        second = self.said.second[row]
        times = [_instant(second[second >= 0], end) for end in (np.min, np.max)]
        return {name: n for name, n in zip(CODE, count, strict=True) if n}, times[0], times[1]


def _instants(seconds: Numbers) -> pa.DictionaryArray:
    """As the store writes them."""
    different, place = np.unique(seconds, return_inverse=True)
    texts = [datetime.fromtimestamp(one, UTC).isoformat() for one in different.tolist()]
    return pa.DictionaryArray.from_arrays(pa.array(place), pa.array(texts, pa.string()))


def _dropped(kept: pa.Table, some: Numbers) -> pa.DictionaryArray:
    """Why those were given up that were."""
    them = kept.select(["reason", "decided_by"]).take(pa.array(some)).to_pylist()
    told = [" ".join(["dropped:", *filter(None, one.values())]) for one in them]
    texts, (numbers,) = coded(pa.chunked_array([told], pa.string()))
    place = np.full(kept.num_rows, NONE, np.int32)
    place[some] = numbers
    return as_words(place, texts)


def _send_keys(duck: DuckDBPyConnection, kept: pa.Table) -> pa.Array:
    named = kept.select(["customer_id", "campaign", "step", "occurrence"])
    named = named.append_column("place", pa.array(np.arange(kept.num_rows)))
    # DuckDB reads a batch with one thread.
    batches = named.to_batches(max_chunksize=BATCH)
    duck.register("named", pa.Table.from_batches(batches, named.schema))
    found = ask(duck, SQL["send_key"])
    return whole(found["send_key"]).take(pc.sort_indices(found["place"]))


def _instant(seconds: Numbers, end: Callable[[Numbers], int]) -> str | None:
    return datetime.fromtimestamp(int(end(seconds)), UTC).isoformat() if len(seconds) else None
