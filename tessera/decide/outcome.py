"""What becomes of every candidate: the reason, what decided it, and when the message goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tessera.decide.arbitration import Arbitration, Book, Verdicts, ask, history
from tessera.decide.contenders import LAST, Contenders, Numbers, Table, alphabetical, columns
from tessera.decide.reasons import Reason
from tessera.decide.room import NONE, REFUSALS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CODE = {reason.value: number for number, reason in enumerate(Reason)}
REFUSED = np.array([CODE[name] for name in REFUSALS], np.int8)
JUDGED = ("course_id", "cid", "step_id", "content_id", "slot_id", "planned_id", "lot", "ahead", "reason")
KEPT = ("course_id", "cid", "step_id", "content_id", "slot_id", "planned_id")
ROWS = 122_880  # at once, as DuckDB takes them


def conclude(duck: DuckDBPyConnection, judged: pa.Table, day: date, reserve_days: int) -> Outcome:
    """Arbitrate among those whom no rule has stopped."""
    book = Book.read(duck)
    given = columns(judged, *JUDGED)
    given["value"] = pc.fill_null(judged["expected_value"], LAST).to_numpy()
    spent = _spent(duck, judged)
    them = Contenders.find(
        judged["occurrence"], given, book.course, reserve_days,
        people=book.people, but=spent["id"].to_numpy(),
    )  # fmt: skip
    verdicts = Arbitration(book, them, history(duck, book)).run()
    people = ask(duck, "people")
    found = Outcome(book, {name: given[name] for name in KEPT}, judged, people, Said(given, book))
    found.said.take(them, verdicts, spent)
    return found


def _spent(duck: DuckDBPyConnection, judged: pa.Table) -> pa.Table:
    """Candidates for whom nothing is left of a limited reward."""
    if not duck.execute("select count(*) from reward").fetchall()[0][0]:
        return pa.table({"id": pa.array([], pa.int32()), "reward": pa.array([], pa.string())})
    ids = pa.array(np.arange(judged.num_rows, dtype=np.int32))
    duck.register("judged", judged.append_column("id", ids))
    found = ask(duck, "spent")
    duck.unregister("judged")
    return found


class Said:
    """The reason of every candidate by its number, the second of its message, and, where not the candidate
    itself says it, what decided."""

    def __init__(self, given: Table, book: Book) -> None:
        self.book = book
        self.reason = np.where(given["reason"] < 0, CODE["planned"], given["reason"]).astype(np.int8)
        self.told_id = np.full(len(self.reason), NONE, np.int32)
        self.second = np.full(len(self.reason), NONE, np.int64)
        kept = np.flatnonzero((given["reason"] < 0) & (given["planned_id"] >= 0))
        self.second[kept] = book.planned["second"][given["planned_id"][kept] - 1]

    def take(self, them: Contenders, verdicts: Verdicts, spent: pa.Table) -> None:
        self.closings, which = verdicts.distinct()
        self.rewards = spent["reward"].combine_chunks().dictionary_encode()
        sent, beaten = np.flatnonzero(verdicts.sent_at >= 0), np.flatnonzero(verdicts.beaten_by >= 0)
        self.second[them.row[sent]] = verdicts.sent_at[sent]
        closed = them.is_open() & (verdicts.sent_at < 0) & (verdicts.beaten_by < 0)
        row, closing = them.row[closed], which[verdicts.closed[them.group[closed]]]
        self._tell(row, REFUSED[self.closings[0][closing]], closing)
        words = self.closings.shape[1]
        self._tell(them.row[beaten], CODE["outranked"], verdicts.beaten_by[beaten] + words)
        rewards = self.rewards.indices.to_numpy() + words + len(self.book.words)
        self._tell(spent["id"].to_numpy(), CODE["no_reward_left"], rewards)

    def _tell(self, row: Numbers, reason: Numbers | int, told: Numbers) -> None:
        self.reason[row], self.told_id[row] = reason, told

    def told(self, day: date) -> pa.Table:
        """What decided, in words."""
        texts = [*self._reached(day), *self.book.words, *self.rewards.dictionary.to_pylist()]
        return pa.table({"told_id": pa.array(range(len(texts)), pa.int32()), "decided_by": texts})

    def _reached(self, day: date) -> Iterator[str]:
        """The cap, and what takes the place."""
        label = {cap["position"]: cap["label"] for cap in self.book.caps}
        said = self.book.step["said"]
        for reason, position, step, ahead in self.closings.T.tolist():
            name = self.book.words[said[step]] if step >= 0 else ""
            on = f" on {day + timedelta(days=ahead)}" if ahead > 0 else ""
            own = label[position]
            yield own if REFUSALS[reason] == "capped" else f"{name}{on} ({own})"


@dataclass(frozen=True)
class Outcome:
    """The candidates of a pass, and what is said of them."""

    book: Book
    given: Table
    judged: pa.Table
    people: pa.Table
    said: Said

    @cached_property
    def _campaigns(self) -> Numbers:
        return np.array(self.book.campaigns, object)

    @cached_property
    def _texts(self) -> dict[str, pa.Array]:
        return {name: _whole(self.judged[name]) for name in ("occurrence", "decided_by")}

    @cached_property
    def _persons(self) -> dict[str, pa.Array]:
        found = {name: _whole(self.people[name]) for name in self.people.column_names}
        return found | {"language": found["language"].dictionary_encode()}

    def today(self) -> Numbers:
        """All candidates of today."""
        return np.flatnonzero((self.book.course["due_in"] == 0)[self.given["course_id"]])

    def messages(self) -> Numbers:
        """Those that are planned, or that a campaign gives up for a cap."""
        gives_up = self.book.course["drops"][self.given["course_id"]] & np.isin(self.said.reason, REFUSED)
        is_today = (self.book.course["due_in"] == 0)[self.given["course_id"]]
        return np.flatnonzero(is_today & (gives_up | (self.said.reason == CODE["planned"])))

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
        letters = alphabetical(self._texts["occurrence"].take(pa.array(row)))
        found: Numbers = row[np.lexsort((letters, position, self.given["cid"][row]))]
        return found

    def part(self, row: Numbers) -> pa.Table:
        """The table `outcome` for some of the candidates."""
        second, person = self.said.second[row], pa.array(self.given["cid"][row] - 1)
        reasons = pa.DictionaryArray.from_arrays(pa.array(self.said.reason[row]), [*map(str, Reason)])
        table = pa.table(
            {name: its[row] for name, its in self.given.items()}
            | {name: its.take(person) for name, its in self._persons.items()}
            | {name: its.take(pa.array(row)) for name, its in self._texts.items()}
            | {
                "expected_value": self._values.take(pa.array(row)),
                "reason": reasons,
                "told_id": self.said.told_id[row],
                "send_at": pa.array(second * 1_000_000, pa.timestamp("us"), mask=second < 0),
            }
        )
        return pa.Table.from_batches(table.to_batches(ROWS), table.schema)

    @cached_property
    def _values(self) -> pa.Array:
        return _whole(self.judged["expected_value"])

    def counts(self, campaign: str) -> tuple[dict[str, int], str | None, str | None]:
        """A campaign's candidates by reason, and when its first and its last message goes."""
        row = np.flatnonzero((self._campaigns == campaign)[self.given["course_id"]])
        count = np.bincount(self.said.reason[row], minlength=len(CODE)).tolist()
        second = self.said.second[row]
        times = [_instant(second[second >= 0], end) for end in (np.min, np.max)]
        return {name: n for name, n in zip(CODE, count, strict=True) if n}, times[0], times[1]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def _instant(seconds: Numbers, end: Callable[[Numbers], int]) -> str | None:
    return datetime.fromtimestamp(int(end(seconds)), UTC).isoformat() if len(seconds) else None
