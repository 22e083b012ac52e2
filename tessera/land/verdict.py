"""The verdict on a landed file: accepted with its good rows, or refused whole, and why.

Row rules are judged elsewhere; here their findings (a DuckDB table `reason` of file_id,
row_number, "column" and rule, beside the view `landed`) become the verdict on each file.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Annotated, Any

import duckdb
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from tessera import audit, clock
from tessera.errors import BadInput
from tessera.feeds import FEEDS
from tessera.home import Home
from tessera.land import manifest
from tessera.locks import alone_in
from tessera.quoting import literal
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.land", "verdict.sql")
READMITTED = "readmitted"  # the source of rows that come back out of quarantine
FOR_ANY_COLUMN = ("type", "rounded")  # rules whose query says the column, in "column"
ROWS_AT_ONCE = 20_000_000
FILES_AT_ONCE = 500


Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


@checked(frozen=True)
class Limits:
    """When a whole file is refused. A count and a share go together: both must be passed."""

    bad_share: Share = 0.10
    bad_rows: Count = 20
    repeated_share: Share = 0.05
    repeated_rows: Count = 20
    miscast_share: Share = 0.50
    miscast_rows: Count = 10
    usual_files: Annotated[int, Field(ge=1)] = 5  # so many earlier files make a habit
    # Times more or less than usual; None: any volume is usual.
    usual_volume: Annotated[float, Field(ge=1)] | None = 10
    usual_days: Count | None = 180  # before or after the dates seen so far; None: any is usual


@dataclass(frozen=True)
class Landed:
    """A landed file that waits for its verdict."""

    file_id: int
    source: str
    feed: str
    name: str
    rows: int
    landed_at: str  # ISO 8601, UTC
    content_hash: str
    verdict_reason: str | None  # 'allowed': its file rules were waived

    @property
    def title(self) -> str:
        return f"'{self.name}' ({self.source}, {self.feed}, file {self.file_id})"

    @property
    def is_free(self) -> bool:
        """Whether the file rules do not hold for it."""
        return self.source == READMITTED or self.verdict_reason == "allowed"


@dataclass(frozen=True)
class Batch:
    """Files of one source and feed that were landed together, and are judged together."""

    files: Sequence[Landed]

    @property
    def source(self) -> str:
        return self.files[0].source

    @property
    def feed(self) -> str:
        return self.files[0].feed

    @property
    def landed_at(self) -> datetime:
        return datetime.fromisoformat(self.files[0].landed_at)

    @property
    def title(self) -> str:
        first, last = self.files[0], self.files[-1]
        more = f" to {last.name} (file {last.file_id})" if last != first else ""
        return f"{first.name} (file {first.file_id}){more}"


@dataclass
class Measures:
    """What is known of a file after its row rules were judged."""

    rows: int
    bad_rows: int = 0
    repeated: int = 0
    commonest: str | None = None
    miscast: dict[str, tuple[int, int]] = field(default_factory=dict)  # column -> failed, of
    first_date: date | None = None
    last_date: date | None = None
    middle: date | None = None


@dataclass(frozen=True)
class Verdict:
    """Accepted, unless there are reasons against it."""

    file: Landed
    measures: Measures
    against: tuple[str, ...]

    @property
    def is_accepted(self) -> bool:
        return not self.against

    @property
    def quarantined(self) -> int:
        """How many rows go to quarantine; a re-admitted one that fails is still there."""
        is_new = self.is_accepted and self.file.source != READMITTED
        return self.measures.bad_rows if is_new else 0

    @property
    def sentence(self) -> str:
        return f"{self.file.title}: {'; '.join(self.against)}"


@contextmanager
def one_judge(home: Home) -> Iterator[None]:
    """One judge at a time."""
    with alone_in(home.validated):
        yield


def pending(ws: Workspace, only: int | None = None) -> list[Landed]:
    """The files without a verdict, oldest first; `only` one of them if a number is given."""
    with ws.store.read() as store:
        rows = store.all(SQL["pending"])
    return [Landed(**row) for row in rows if only in (None, row["file_id"])]


def batches(files: Sequence[Landed]) -> list[Batch]:
    """The files grouped by landing, source and feed, in order of their first file. Re-admitted ones
    stay alone: what one of them lets in decides what the next may."""
    groups: dict[tuple[object, ...], list[Landed]] = {}
    for file in files:
        alone = file.file_id if file.source == READMITTED else None
        groups.setdefault((file.landed_at, file.source, file.feed, alone), []).append(file)
    return [Batch(files) for group in groups.values() for files in _portions(group)]


def _portions(files: list[Landed]) -> Iterator[list[Landed]]:
    """As many files as are comfortably judged at once."""
    before = itertools.accumulate((file.rows for file in files), initial=0)
    places = zip(files, before, range(len(files)), strict=False)
    for _, portion in itertools.groupby(
        places, key=lambda place: (place[1] // ROWS_AT_ONCE, place[2] // FILES_AT_ONCE)
    ):
        yield [file for file, *_ in portion]


def show(db: duckdb.DuckDBPyConnection, home: Home, batch: Batch) -> None:
    """Make `landed` the rows of `batch`, and forget the reasons of the one before."""
    paths = (manifest.path(home, batch.feed, file.file_id) for file in batch.files)
    db.execute(SQL["view"].format(files=", ".join(literal(str(path)) for path in paths)))
    db.execute(SQL["reason"])


def add_reasons(
    db: duckdb.DuckDBPyConnection, query: str, *, rule: str, column: str, expected: int
) -> None:
    """Add the rows that `query` finds, for breaking `rule`. It must find as many as were counted."""
    its = '"column"' if rule in FOR_ANY_COLUMN else literal(column)
    names = {"rule": literal(rule), "column": its}
    row = db.execute(SQL["broken"].format(query=query, **names)).fetchone()
    found = int(row[0]) if row else 0
    if found != expected:
        raise RuntimeError(f"{expected} rows break {rule} of {column}, but {found} were found.")


def settle_reasons(db: duckdb.DuckDBPyConnection) -> None:
    """Drop the reasons that only follow from another; list the rows that are bad."""
    db.execute(SQL["knock_on"])
    db.execute(SQL["bad_rows"])


def reasons(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How often each rule was broken."""
    found = db.execute("select rule, count(*) from reason group by rule").fetchall()
    return {str(rule): int(times) for rule, times in found}


def weigh(
    ws: Workspace, db: duckdb.DuckDBPyConnection, batch: Batch, limits: Limits
) -> list[Verdict]:
    """The verdict on each file of `batch`."""
    measured = _measure(db, batch, limits)
    usual = _usual(ws, batch)
    return [
        Verdict(file, its, () if file.is_free else tuple(_objections(batch, its, usual, limits)))
        for file in batch.files
        for its in [measured[file.file_id]]
    ]


def commit(store: Connection, verdict: Verdict, *, as_of: datetime) -> None:
    """Write the verdict down. It is the last thing written of a judged file."""
    its = verdict.measures
    good = its.rows - its.bad_rows if verdict.is_accepted else 0
    store.run(
        SQL["judged"],
        file_id=verdict.file.file_id,
        verdict="accepted" if verdict.is_accepted else "refused",
        verdict_reason="; ".join(verdict.against) or verdict.file.verdict_reason,
        judged_at=clock.stamp(as_of),
        good_rows=good,
        bad_rows=its.bad_rows,
        first_date=its.first_date and its.first_date.isoformat(),
        last_date=its.last_date and its.last_date.isoformat(),
    )


def allow(ws: Workspace, file_id: int) -> None:
    """Let a refused file be judged again, by the row rules only; BadInput if it is none."""
    with ws.store.write() as store:
        if store.run(SQL["allow"], file_id=file_id):
            audit.record(ws, store, "allow", f"file {file_id}")
            return
        found = store.one(SQL["one"], file_id=file_id)
    if found is None:
        raise BadInput(f"There is no file {file_id}; 'tessera quarantine summary' lists them.")
    state = found["verdict"] or "not judged yet"
    raise BadInput(f"File {file_id} ({found['name']}) was not refused: it is {state}.")


def _measure(db: duckdb.DuckDBPyConnection, batch: Batch, limits: Limits) -> dict[int, Measures]:
    found = {file.file_id: Measures(file.rows) for file in batch.files}
    for file_id, bad_rows, repeated in db.execute(SQL["counted"]).fetchall():
        found[file_id].bad_rows, found[file_id].repeated = bad_rows, repeated
    for file_id, commonest in db.execute(SQL["commonest"]).fetchall():
        found[file_id].commonest = commonest
    for file_id, column, failed in db.execute(
        SQL["miscast"], {"at_least": limits.miscast_rows}
    ).fetchall():
        found[file_id].miscast[column] = (failed, failed + _given(db, file_id, column))
    if dated_by := FEEDS[batch.feed].dated_by:
        rows = db.execute(SQL["dated"].format(dated_by=dated_by)).fetchall()
        for file_id, first, last, middle in rows:
            its = found[file_id]
            its.first_date, its.last_date, its.middle = first, last, middle
    return found


def _given(db: duckdb.DuckDBPyConnection, file_id: int, column: str) -> int:
    query = f'select count("{column}") from landed where file_id = ?'
    return int(db.execute(query, [file_id]).fetchall()[0][0])


def _usual(ws: Workspace, batch: Batch) -> list[dict[str, Any]]:
    with ws.store.read() as store:
        rows = store.all(
            SQL["usual"],
            source=batch.source,
            feed=batch.feed,
            file_id=batch.files[0].file_id,
            landed_at=batch.files[0].landed_at,
            as_of=clock.stamp(ws.as_of),
        )
    return [dict(row) for row in rows]


def _objections(
    batch: Batch, its: Measures, usual: list[dict[str, Any]], limits: Limits
) -> Iterator[str]:
    for column, (failed, given) in its.miscast.items():
        if failed > limits.miscast_share * given:
            kind = FEEDS[batch.feed].columns.get(column, "value")
            yield f"{column} is not of type {kind} in {failed:,} of {given:,} values"
    if its.bad_rows > max(limits.bad_rows, limits.bad_share * its.rows):
        yield f"{its.bad_rows:,} of {its.rows:,} rows are bad, most often {its.commonest}"
    if its.repeated > max(limits.repeated_rows, limits.repeated_share * its.rows):
        key = ", ".join(FEEDS[batch.feed].key)
        yield f"{its.repeated:,} of {its.rows:,} rows repeat a key ({key})"
    if len(usual) >= limits.usual_files:
        yield from _unusual_volume(its, usual, limits.usual_volume)
        yield from _unusual_dates(its, usual, limits.usual_days)


def _unusual_volume(
    its: Measures, usual: list[dict[str, Any]], times: float | None
) -> Iterator[str]:
    """Far more or fewer rows than usual, both in all and a day (a month's worth in one file may
    well be catching up), and than in any file before (a small branch may send a file of its own)."""
    if times is None:
        return
    rows = [file["rows"] for file in usual]
    daily = median(file["rows"] / _days(file) for file in usual)
    mine = its.rows / _days({"first_date": its.first_date, "last_date": its.last_date})
    middle = median(rows)
    is_low = its.rows < min(middle / times, *rows) and mine < daily / times
    is_high = its.rows > max(middle * times, *rows) and mine > daily * times
    if is_low or is_high:
        yield f"it has {its.rows:,} rows, where {middle:,.0f} are usual"


def _days(file: dict[str, Any]) -> int:
    """How many days a file spans; 1 where its feed has no dates."""
    if not file["first_date"]:
        return 1
    first, last = (date.fromisoformat(str(file[end])) for end in ("first_date", "last_date"))
    return (last - first).days + 1


def _unusual_dates(its: Measures, usual: list[dict[str, Any]], days: int | None) -> Iterator[str]:
    seen = [file for file in usual if file["first_date"]]
    if days is None or its.middle is None or not seen:
        return
    first = date.fromisoformat(min(file["first_date"] for file in seen))
    last = date.fromisoformat(max(file["last_date"] for file in seen))
    if not first - timedelta(days) <= its.middle <= last + timedelta(days):
        yield f"its dates lie about {its.middle}, where {first} to {last} are usual"
