"""The engine's own rows go back to the front door: each closed day is written once, as Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tessera import clock
from tessera.feeds import FEEDS
from tessera.locks import alone_in
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.hear", "export.sql")
# Feeds whose days are instants in the store; the ledger's are dates.
BY_INSTANT = (
    "messages",
    "message_events",
    "preferences",
    "consents",
    "interactions",
    "prospects",
    "cards",
)
BY_DATE = ("point_transfers", "lots", "lot_moves", "point_balances", "tier_moves")
UNCONFIRMED_DAYS = 30
TYPES = {
    "text": pa.string(),
    "integer": pa.int64(),
    "money": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


@dataclass(frozen=True)
class ExportReport:
    """Rows written by feed, and how many files they went to."""

    files: int
    messages: int
    message_events: int
    preferences: int
    consents: int
    interactions: int
    prospects: int
    cards: int
    point_transfers: int
    lots: int
    lot_moves: int
    point_balances: int
    tier_moves: int


def export(ws: Workspace) -> ExportReport:
    """Write every closed day (before the business date) that has rows and no file yet. Of two at once one
    waits for the other, and finds little to do."""
    with alone_in(ws.home.engine):
        return _export(ws)


def _export(ws: Workspace) -> ExportReport:
    rows = dict.fromkeys((*BY_INSTANT, *BY_DATE), 0)
    files = 0
    _forget_unconfirmed(ws)
    through = _reopen_late_days(ws)
    with ws.store.read() as store:  # one for all: of a large store a process reads
        for feed in rows:
            for day in days(ws, store, feed):
                path = ws.home.engine / feed / f"{day.isoformat()}.parquet"
                if not path.exists():
                    rows[feed] += _write(ws, store, feed, day, path)
                    files += 1
    with ws.store.write() as connection:
        connection.run(SQL["export_through"], through=through)
    return ExportReport(files, **rows)


def _reopen_late_days(ws: Workspace) -> int:
    """Days of the ledger that were posted to after they were exported are exported anew once they are
    over, and so are the balances and tiers since; the number of the last transfer looked at."""
    with ws.store.read() as connection:
        last = int(connection.scalar(SQL["last_transfer"]))
        through = connection.scalar(SQL["exported_through"])
        after = last if through is None else through
        late = [row["business_date"] for row in connection.all(SQL["late_days"], through=after)]
    for path in ws.home.engine.glob("*/*.parquet") if late else ():
        is_since = path.parent.name in ("point_balances", "tier_moves") and path.stem >= late[0]
        if is_since or (path.parent.name in BY_DATE and path.stem in late):
            path.unlink()
    return last


def _forget_unconfirmed(ws: Workspace) -> None:
    before = clock.stamp(ws.as_of - timedelta(days=UNCONFIRMED_DAYS))
    with ws.store.write() as connection:
        connection.run(SQL["forget_unconfirmed"], before=before)


def days(ws: Workspace, store: Connection, feed: str) -> Iterator[date]:
    """The closed days on which `feed` has rows: one look into an index per day."""
    start = date(1970, 1, 1)
    while True:
        found = store.scalar(SQL[f"next_{feed}"], start=_bound(ws, feed, start))
        day = None if found is None else _day(ws, found)
        if day is None or day >= ws.business_date:
            return
        yield day
        start = day + timedelta(days=1)


def _day(ws: Workspace, text: str) -> date:
    if "T" not in text:
        return date.fromisoformat(text)
    return clock.business_date(datetime.fromisoformat(text), ws.settings.timezone)


def _bound(ws: Workspace, feed: str, day: date) -> str:
    """Where `day` begins in the column that dates the feed's rows."""
    if feed not in BY_INSTANT:
        return day.isoformat()
    midnight = clock.day_starts(day, clock.zone(ws.settings.timezone))
    return clock.stamp(midnight)


def _write(ws: Workspace, store: Connection, feed: str, day: date, path: Path) -> int:
    """One day's rows, sorted by key; how many. The file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    raw = pa.schema([(name, _raw(kind)) for name, kind in FEEDS[feed].columns.items()])
    bounds = {
        "start": _bound(ws, feed, day),
        "until": _bound(ws, feed, day + timedelta(days=1)),
        "day": day.isoformat(),
    }
    table = _typed(feed, store, raw, bounds)
    pq.write_table(table, beside, compression="zstd")
    beside.replace(path)
    return int(table.num_rows)


def _typed(feed: str, store: Connection, raw: pa.Schema, bounds: dict[str, str]) -> pa.Table:
    table = store.scan(SQL[feed], raw, **bounds)
    columns = {name: _cast(table[name], TYPES[kind]) for name, kind in FEEDS[feed].columns.items()}
    return pa.table(columns)


def _raw(kind: str) -> pa.DataType:
    return pa.int64() if kind in ("integer", "money", "boolean") else pa.string()


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Instants lose the zone they all share, UTC."""
    if kind == TYPES["timestamp"]:
        return column.cast(pa.timestamp("us", tz="UTC")).cast(kind)
    return column.cast(kind)
