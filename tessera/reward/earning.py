"""What receipts should have earned against what the ledger says: the transfers that are missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from tessera.reward.programme import Programme
from tessera.store import queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "earning.sql")
NEVER = datetime(1, 1, 1, tzinfo=UTC)
TEXT, WHOLE = pa.string(), pa.int64()
POSTED = pa.schema(
    [
        ("transfer_id", WHOLE),
        ("source_type", TEXT),
        ("source_id", TEXT),
        ("source_line", TEXT),
        ("kind", TEXT),
        ("rule", TEXT),
        ("rule_version", TEXT),
        ("basis", WHOLE),
        ("points", WHOLE),
        ("customer_id", TEXT),
    ]
)
MEMBERS = pa.schema(
    [("owner_id", TEXT), ("bucket", TEXT), ("account_id", WHOLE), ("balance", WHOLE)]
)
ISSUED = pa.schema([("owner_id", TEXT), ("points", WHOLE)])


def find_receipts(
    duck: DuckDBPyConnection,
    programme: Programme,
    *,
    as_of: datetime,
    since: datetime | None,
    seen_files: pa.Table,
) -> pa.Table:
    """The receipts sold before `as_of` that no run has looked at, with what hangs together with
    them, into temporary tables; the ids (`source_id`) whose transfers the ledger must tell."""
    for name, value in {
        "as_of": as_of.replace(tzinfo=None),
        "since": (since or NEVER).replace(tzinfo=None),
        "currency": programme.currency,
    }.items():
        duck.execute(f"set variable {name} = ?", [value])
    rules = [
        {**rule.model_dump(), "version": rule.version, "rule": rule.rule}
        for rule in programme.earn_rules
    ]
    duck.register("rule", pa.Table.from_pylist(rules))
    duck.register("seen_file", seen_files)
    for step in ("points", "line", "touched", "scope", "receipt", "return_line"):
        duck.execute(SQL[step])
    return duck.execute(SQL["wanted"]).to_arrow_table()


def find_events(duck: DuckDBPyConnection, posted: pa.Table) -> None:
    """What is to be posted, into the temporary table `event`."""
    duck.register("posted", posted)
    for step in ("event", "first_earn", "corrected", "adjust_earn", "earned", "owed_back"):
        duck.execute(SQL[step])
    for step in ("taken_back", "clawback", "adjust_clawback"):
        duck.execute(SQL[step])


def members(duck: DuckDBPyConnection, *, losers: bool = False) -> pa.Table:
    """Whose points are to move; `losers` only those who give some back."""
    query = SQL["losers"] if losers else "select distinct customer_id from event"
    return duck.execute(query).to_arrow_table()


def settle(
    duck: DuckDBPyConnection, programme: Programme, *, accounts: pa.Table, issued: pa.Table
) -> pa.Table:
    """Apply the return policy to members' balances; the accounts (owner and bucket) it takes."""
    duck.register("known_account", accounts)
    duck.register("issued", issued)
    duck.execute("set variable returns = ?", [programme.returns])
    for step in ("member", "forgiven", "debt"):
        duck.execute(SQL[step])
    return duck.execute(SQL["owner"]).to_arrow_table()


def transfers(
    duck: DuckDBPyConnection, accounts: pa.Table, **constants: object
) -> pa.RecordBatchReader:
    """The events as rows of the store's `transfer` table, in batches."""
    duck.register("account", accounts)
    for name, value in constants.items():
        duck.execute(f"set variable {name} = ?", [value])
    return duck.execute(SQL["transfer"]).to_arrow_reader(500_000)
