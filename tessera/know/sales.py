"""What was sold to whom, from the published marts, as tables in the connection to them."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from tessera import clock
from tessera.know.results import currency_of
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.know", "sales.sql")
TABLES = (
    "counted",
    "rate",
    "person",
    "article",
    "moment",
    "sold",
    "visit",
    "days",
    "owned",
    "shelf",
    "habit",
)


def load(connection: duckdb.DuckDBPyConnection, ws: Workspace) -> None:
    """Make the tables of `sales.sql`, of all sales before `ws.as_of`."""
    values = {
        "as_of": clock.naive(ws.as_of),
        "zone": ws.settings.timezone,
        "today": ws.business_date,
        "currency": currency_of(ws, connection),
    }
    for name, value in values.items():
        connection.execute(f"set variable {name} = $value", {"value": value})
    for table in TABLES:
        connection.execute(SQL[table])


def habits(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """One row per customer who bought: favourite product, weekday and hour, and price level."""
    return connection.execute(SQL["habits"]).to_arrow_table()
