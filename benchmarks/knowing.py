"""What is known of a million made-up customers: their purchases of the last fifth foretold from the days before (fitted, levelled and scored), and what they bought, some twenty million lines, read from published marts and summed up (`sales`), and, that included, ten products recommended to each, tuned, scored and chosen by the shop's rules. Each is a process of its own, of which the highest memory is told."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute

from benchmarks._steps import measured, peak, spent, tell
from tessera.testing import publish, workspace

CUSTOMERS = 1_000_000
DAYS = 500
ITEMS = 20_000
END = 425
FIRST = date(2024, 1, 1)


def made_purchases(home: Path) -> None:
    """Customers who buy at a rate of their own and leave after some purchase."""
    rng = np.random.default_rng(1)
    rate, leaving = rng.gamma(0.8, 1 / 60, CUSTOMERS), rng.beta(1, 4, CUSTOMERS)
    at = rng.integers(0, 300, CUSTOMERS).astype(float)
    here, bought = np.arange(CUSTOMERS), []
    while len(here):
        bought.append((here, at[here].astype(int)))
        here = here[rng.random(len(here)) > leaving[here]]
        at[here] += rng.exponential(1 / rate[here])
        here = here[at[here] < DAYS]
    customer, day = (np.concatenate(column) for column in zip(*bought, strict=True))
    rows = pa.table({"c": customer, "d": day, "a": rng.gamma(6, 8, len(day)).round(2)})
    connection = duckdb.connect()
    connection.register("rows", rows)
    columns = f"c as customer_id, date '{FIRST}' + d::integer as purchased_at, a as amount"
    connection.execute(f"copy (select {columns} from rows) to '{home}/purchases.parquet'")


def value(home: Path) -> dict[str, Any]:
    from tessera.know.purchases import Columns
    from tessera.know.value import evaluate

    end, until = (FIRST + timedelta(days=days) for days in (END, DAYS))
    found = evaluate(home / "purchases.parquet", end, until, Columns(), "weeks")
    return {
        "customers": found.customers,
        "result": f"{found.expected / found.actual:.3f} of actual",
    }


def recommendations(home: Path) -> dict[str, Any]:
    from tessera.know.recommendations import choose

    with _sold(home) as connection:
        chosen, taste = choose(connection)
        (lines,) = connection.execute("select count(*) from sold").fetchone() or (0,)
    found = len(pa.compute.unique(chosen["customer_id"]))
    return {"customers": found, "result": f"{len(chosen):,} from {lines:,} bought, {taste}"}


def sales(home: Path) -> dict[str, Any]:
    with _sold(home) as connection:
        (people,) = connection.execute("select count(*) from person").fetchone() or (0,)
    return {"customers": people, "result": "read, numbered and summed up, with habits"}


@contextmanager
def _sold(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    from tessera.know.sales import load
    from tessera.warehouse import marts

    ws = workspace(home / "home", str(FIRST + timedelta(days=DAYS)))
    with marts.connect(ws.home, threads=2) as connection:
        load(connection, ws)
        yield connection


def made_marts(home: Path) -> None:
    """Twenty items each, from a few of their own and from what everybody buys, in up to ten baskets."""
    ws = workspace(home / "home", str(FIRST + timedelta(days=DAYS)))
    publish(ws)
    folder = ws.home.marts / "by-hand"
    with duckdb.connect() as db:
        db.execute(
            f"""copy (
                select
                    'C' || customer as customer_id,
                    'P' || case
                        when hash(row, 1) % 10 < 6 then hash(customer * 5 + hash(row, 2) % 5, 3) % {ITEMS}
                        else floor({ITEMS} * power((hash(row, 4) % 1000003) / 1000003, 4))::integer
                    end as product_id,
                    timestamp '{FIRST}' + to_days((400 - 40 * (row % 20 // 2) + hash(customer) % 90)::integer)
                        + to_hours((8 + hash(row, 5) % 12)::integer) as sold_at,
                    'Europe/Athens' as timezone, 'sale' as kind, 'EUR' as currency, 500::bigint as amount, 0::bigint as discount
                from (
                    select customer, customer * 20 + line as row
                    from range({CUSTOMERS}) t (customer), range(20) u (line)
                )
            ) to '{folder}/transactions/rows.parquet'"""
        )
        db.execute(
            f"""copy (
                select 'P' || n as product_id, 'c' || n % 12 as category, 'EUR' as currency,
                    (100 + hash(n) % 900)::bigint as price, (20 + hash(n, 1) % 80)::bigint as unit_margin
                from range({ITEMS}) t (n)
            ) to '{folder}/products/rows.parquet'"""
        )


STEPS = {"value": value, "sales": sales, "recommendations": recommendations}


def main() -> list[dict[str, object]]:
    """All steps, in rows."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        made_purchases(home)
        made_marts(home)
        return [_row(step, measured("knowing", step, home)) for step in STEPS]


def _row(step: str, told: dict[str, Any]) -> dict[str, object]:
    return {
        "step": step,
        "customers": f"{told['customers']:,}",
        **spent(told),
        **peak(told),
        "result": told["result"],
    }


if __name__ == "__main__":
    tell(STEPS[sys.argv[1]], Path(sys.argv[2]))
