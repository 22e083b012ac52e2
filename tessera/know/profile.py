"""Puts what was learned of people into the published `customers` mart."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb

from tessera.errors import BadInput
from tessera.outage import is_full
from tessera.quoting import literal
from tessera.store import queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

SQL = queries("tessera.know", "profile.sql")
LEARNED = ("habits", "scores", "offers")
COLUMNS = (
    *("favourite_product_id", "favourite_weekday", "favourite_hour", "price_level", "churn_risk"),
    *("chance_alive", "predicted_purchases", "predicted_revenue", "is_offer_advised"),
    "offer_reason",
)


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


def keep(ws: Workspace, folder: Path) -> None:
    """Fill what the snapshot in force knows of people into the `customers` of the one in `folder`, before it
    is in force itself: until this day's learning ends, or where it is cut short, nobody is unknown who was not."""
    if not (ws.home.know.is_dir() and marts.is_published(ws.home)):
        return
    try:
        with closing(ws.marts()) as connection:
            _keep(ws, connection, folder / "customers/rows.parquet")
    except (BadInput, duckdb.Error) as error:  # what is in force is damaged, and made anew just now
        if is_full(error):
            raise


def _keep(ws: Workspace, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    there = connection.table("customers").columns  # which an earlier version may have made
    learned = ", ".join(f"before.{name} as {name}" for name in COLUMNS if name in there)
    query = SQL["kept"].format(learned=learned, path=literal(str(path)))
    marts.replace(ws.home, connection, path, query)
