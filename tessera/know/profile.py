"""Puts what was learned of people into the published `customers` mart."""

from __future__ import annotations

import duckdb

from tessera.quoting import literal
from tessera.store import queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

SQL = queries("tessera.know", "profile.sql")
LEARNED = ("habits", "scores", "offers")


def fill(ws: Workspace, connection: duckdb.DuckDBPyConnection) -> None:
    """Write the mart's file anew, with the columns that the build left null; readers see the old or the
    new one. What was not learned today is what was learned last."""
    for name in LEARNED:
        path = ws.home.know / f"{name}.parquet"
        if path.exists():
            connection.execute(
                f"create temp view {name} as from read_parquet({literal(str(path))})"
            )
        else:
            connection.execute(SQL[f"no_{name}"])
    marts.rewrite(ws.home, connection, "customers", SQL["customers"])
