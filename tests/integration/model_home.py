"""Homes with validated rows, written straight to where the model stage reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tessera.feeds import FEEDS, SQL_TYPES
from tessera.home import Home
from tessera.quoting import literal

Row = Mapping[str, Any]
LINE = {
    "line_id": "1", "store_id": "S1", "product_id": "P1", "quantity": 1, "amount": 100, "discount": 0,
    "kind": "sale", "currency": "EUR", "sold_at": "2026-01-10 12:00:00",
}  # fmt: skip


def line(transaction_id: str, card_id: str | None = None, **columns: Any) -> dict[str, Any]:
    """A receipt line of 100 cents; a negative `amount` makes a return of one unit."""
    row = {**LINE, "transaction_id": transaction_id, "card_id": card_id, **columns}
    if row["amount"] < 0 and "kind" not in columns:
        row |= {"kind": "return", "quantity": -1}
    return row


def validated(home: Home, feed: str, file_id: int, rows: Iterable[Row]) -> Path:
    """The rows as file `file_id` of `feed`; columns that a row does not name are null."""
    given = list(rows)
    types = {name: SQL_TYPES[kind] for name, kind in FEEDS[feed].columns.items()}
    folder = home.validated / feed / f"file_id={file_id}"
    folder.mkdir(parents=True, exist_ok=True)
    columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    with duckdb.connect() as db:
        db.execute(f"create table made ({columns}, _row_number bigint)")
        if given:
            every = [
                {**{name: row.get(name) for name in types}, "_row_number": number}
                for number, row in enumerate(given, 1)
            ]
            db.register("given", pa.Table.from_pylist(every))
            db.execute("insert into made by name select * from given")
        db.execute(f"copy made to {literal(str(folder / 'rows.parquet'))} (format parquet)")
    return folder / "rows.parquet"
