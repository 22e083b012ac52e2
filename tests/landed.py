"""Landed files made by hand: one good row of every feed, and files of rows like it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tessera.feeds import FEEDS, SQL_TYPES
from tessera.land import manifest
from tessera.workspace import Workspace

GOOD: dict[str, dict[str, Any]] = {
    "transactions": {
        "transaction_id": "R1",
        "line_id": "1",
        "card_id": "C1",
        "store_id": "S1",
        "sold_at": "2026-03-29 10:00:00",
        "timezone": "Europe/Athens",
        "product_id": "P1",
        "quantity": "2.000",
        "amount": 1250,
        "discount": 100,
        "kind": "sale",
        "currency": "EUR",
    },
    "customers": {
        "customer_id": "K1",
        "given_name": "Μαρία",
        "email": "maria@example.gr",
        "birth_date": "1980-02-29",
        "language": "el",
        "timezone": "Europe/Athens",
        "country": "GR",
        "joined_at": "2024-01-01 09:00:00",
    },
    "cards": {"card_id": "C1", "customer_id": "K1", "issued_at": "2024-01-01 09:00:00"},
    "consents": {
        "customer_id": "K1",
        "channel": "email",
        "purpose": "marketing",
        "granted": True,
        "recorded_at": "2024-01-01 09:00:00",
    },
    "products": {"product_id": "P1", "name": "Tea", "price": 625, "currency": "EUR"},
    "stores": {"store_id": "S1", "timezone": "Europe/Athens", "country": "GR"},
    "prospects": {
        "prospect_id": "L1",
        "email": "ivan@example.com",
        "language": "ru",
        "created_at": "2026-03-01 12:00:00",
    },
    "interactions": {
        "interaction_id": "I1",
        "customer_id": "K1",
        "kind": "complaint",
        "channel": "phone",
        "status": "open",
        "score": 10,
        "occurred_at": "2026-03-01 12:00:00",
    },
    "source_costs": {
        "acquisition_source": "leaflet",
        "period_start": "2026-03-01",
        "period_end": "2026-03-31",
        "cost": 12000,
        "currency": "EUR",
    },
    "targets": {
        "metric": "revenue",
        "scope": "shop",
        "scope_id": "all",
        "period_start": "2026-04-01",
        "period_end": "2026-04-30",
        "target": "1000.000",
    },
    "messages": {
        "send_key": "0" * 32,
        "customer_id": "K1",
        "campaign": "welcome",
        "step": "hello",
        "channel": "email",
        "purpose": "marketing",
        "state": "accepted",
        "business_date": "2026-03-30",
    },
    "message_events": {
        "event_key": "e1",
        "send_key": "0" * 32,
        "event": "delivered",
        "occurred_at": "2026-03-30 08:00:00",
    },
    "preferences": {
        "preference_id": "1",
        "customer_id": "K1",
        "name": "language",
        "value": "el",
        "recorded_at": "2026-03-30 08:00:00",
    },
    "point_transfers": {
        "programme": "club",
        "idem_key": "x1",
        "kind": "earn",
        "debit": "issued",
        "credit": "K1",
        "amount": 12,
        "business_date": "2026-03-30",
    },
    "lots": {
        "programme": "club",
        "idem_key": "x1",
        "customer_id": "K1",
        "bucket": "available",
        "amount": 12,
        "earned_at": "2026-03-30 08:00:00",
        "expires_on": "2027-03-31",
        "business_date": "2026-03-30",
    },
    "lot_moves": {
        "programme": "club",
        "idem_key": "x2",
        "lot_key": "x1",
        "kind": "redeem",
        "delta": -5,
        "business_date": "2026-03-30",
    },
    "point_balances": {
        "programme": "club",
        "customer_id": "K1",
        "bucket": "available",
        "balance": 7,
        "business_date": "2026-03-30",
    },
    "tier_moves": {
        "programme": "club",
        "customer_id": "K1",
        "business_date": "2026-03-30",
        "position": 0,
        "tier": "silver",
        "previous_tier": "basic",
        "reason": "reached",
        "qualifying": 300,
        "until": "2027-03-30",
    },
    "person_merges": {
        "customer_id": "K2",
        "into_customer_id": "K1",
        "is_in_force": True,
        "recorded_at": "2026-03-30 08:00:00",
    },
}
_serial = itertools.count(1)


def good(feed: str, number: int = 1, **columns: Any) -> dict[str, Any]:
    """A good row of `feed`, its `number`th; `columns` say what is to be different."""
    row = dict(GOOD[feed])
    first = FEEDS[feed].key[0]
    return {**row, first: f"{row[first]}-{number}", **columns}


def land(
    ws: Workspace,
    feed: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    source: str = "shop",
    name: str = "",
) -> int:
    """Land `rows` as one file; its number. A row's `_cast_errors` is a dict of column -> raw text."""
    title = name or f"{feed}-{next(_serial)}.csv"
    part = ws.home.root / "part.parquet"
    part.parent.mkdir(parents=True, exist_ok=True)
    _write(feed, rows, part)
    landing = manifest.Landing(source, feed, title, title, len(rows), part.stat().st_size)
    file_id = manifest.commit(ws, landing, part)
    assert file_id is not None
    return file_id


def _write(feed: str, rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    columns = FEEDS[feed].columns
    texts = pa.table(
        {
            **{c: pa.array([_text(row.get(c)) for row in rows], pa.string()) for c in columns},
            "_row_number": pa.array(range(1, len(rows) + 1), pa.int64()),
            "_cast_errors": pa.array(
                [
                    list(row["_cast_errors"].items()) if row.get("_cast_errors") else None
                    for row in rows
                ],
                pa.map_(pa.string(), pa.string()),
            ),
        }
    )
    casts = ", ".join(
        f"{column}::{SQL_TYPES[kind]} as {column}" for column, kind in columns.items()
    )
    with duckdb.connect() as db:
        db.register("texts", texts)
        db.execute(
            f"copy (select {casts}, _row_number, _cast_errors from texts) to '{path}' (format parquet)"
        )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def stored(folder: Path, feed: str) -> list[dict[str, Any]]:
    """The rows below `folder` (validated/ or quarantine/) of `feed`, with their `file_id`."""
    if not list((folder / feed).glob("*/rows.parquet")):
        return []
    with duckdb.connect() as db:
        found = db.execute(
            "select * from read_parquet(?, hive_partitioning = true, hive_types = {'file_id': bigint})",
            [f"{folder}/{feed}/*/rows.parquet"],
        )
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def reasons(ws: Workspace, feed: str) -> dict[int, set[tuple[str, str]]]:
    """Of every quarantined row of `feed` (by its number) the reasons: column and rule."""
    return {
        row["row_number"]: {(reason["column"], reason["rule"]) for reason in row["reasons"]}
        for row in stored(ws.home.quarantine, feed)
    }


def everything(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every Parquet file below `home` with its bytes, to see whether anything changed."""
    for path in sorted(home.rglob("*.parquet")):
        yield str(path.relative_to(home)), path.read_bytes()
