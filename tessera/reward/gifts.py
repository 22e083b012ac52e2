"""Gifts: points for a birthday or for joining, given on the day, or within a fortnight where no night
came by or the customer became known late. Each once, whoever the member is found to be."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tessera.reward import ledger
from tessera.reward.night import SQL as NIGHT
from tessera.reward.night import Counts, Night
from tessera.reward.terms import Terms, terms
from tessera.store import Connection, queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "gifts.sql")
TEXT, WHOLE, DAY = pa.string(), pa.int64(), pa.date32()
GIFT = pa.schema(
    [
        *((name, TEXT) for name in ("gift", "version", "to_mark")),
        ("points", WHOLE),
        *((name, DAY) for name in ("since", "until")),
    ]
)
KIN = pa.schema([("customer_id", TEXT), ("into_customer_id", TEXT)])
TRANSFER = pa.schema(
    [(name, TEXT) for name in ("programme", "idem_key", "kind")]
    + [(name, WHOLE) for name in ("debit_id", "credit_id", "amount")]
    + [(name, TEXT) for name in ("source_type", "source_id", "rule", "rule_version")]
    + [(name, TEXT) for name in ("effective_at", "posted_at", "business_date")]
    + [(name, TEXT) for name in ("activates_at", "expires_at", "expires_on")]
)
Row = dict[str, Any]


def give(night: Night) -> Counts:
    """All gifts that are due tonight, or none of them."""
    if not night.programme.gifts:
        return {"points_given": 0}
    with closing(night.marts()) as duck, night.ws.store.write() as store:
        ledger.lock(store)
        return {"points_given": _post(store, night, _due(duck, store, night))}


def _due(duck: DuckDBPyConnection, store: Connection, night: Night) -> list[Row]:
    gifts = [{**one.model_dump(), "version": one.version} for one in night.programme.gifts]
    duck.register("gift", pa.Table.from_pylist(gifts, GIFT))
    duck.register("kin", store.arrow(SQL["kin"], KIN, programme=night.name))
    said = {
        "today": night.ws.business_date,
        "zone": night.zone,
        "leap_day": night.programme.leap_day_of_year,
    }
    marked: list[Row] = duck.execute(SQL["marked"], said).to_arrow_table().to_pylist()
    keys = json.dumps([key for row in marked for key in row["keys"]])
    asked = SQL["given"].format(keys=store.listed("keys"))
    given = {row["idem_key"] for row in store.all(asked, programme=night.name, keys=keys)}
    return [row for row in marked if given.isdisjoint(row["keys"])]


def _post(store: Connection, night: Night, due: list[Row]) -> int:
    if not due:
        return 0
    people = pa.array(sorted({row["customer_id"] for row in due}), TEXT)
    owners = pa.table({"owner_id": people, "bucket": pa.repeat("available", len(people))})
    issuance = ledger.open_accounts(store, night.name, owners)
    found = ledger.accounts(store, night.name, owners.select(["owner_id"])).to_pylist()
    account = {row["owner_id"]: row["account_id"] for row in found if row["bucket"] == "available"}
    rows = [
        {**_transfer(night, row), "debit_id": issuance, "credit_id": account[row["customer_id"]]}
        for row in due
    ]
    before = int(store.scalar(ledger.SQL["last_transfer"]))
    ledger.insert(store, pa.Table.from_pylist(rows, TRANSFER).to_reader())
    last = int(store.scalar(ledger.SQL["last_transfer"]))
    if store.run(NIGHT["repay"], first=before + 1, last=last, **night.due):
        ledger.settle(store, last)
    return sum(row["points"] for row in due)


def _transfer(night: Night, row: Row) -> Row:
    return {
        "programme": night.name, "idem_key": row["idem_key"], "kind": "grant",
        "amount": row["points"], "source_type": "gift", "source_id": row["gift"],
        "rule": row["gift"], "rule_version": row["version"], "effective_at": night.at,
        "posted_at": night.at, "business_date": night.on, **vars(lasting(night, row["joined_on"])),
    }  # fmt: skip


def lasting(night: Night, joined: date | None) -> Terms:
    """They last as long as if they were earned today, and can be spent at once."""
    today, expiry = night.ws.business_date, night.programme.expiry
    found = terms(expiry=expiry, first_day=today, joined=joined, timezone=night.zone)
    return replace(found, activates_at=None)
