"""What is known of a million made-up customers: their purchases of the last fifth foretold from the days before (fitted, levelled and scored), and ten items recommended to each from some twenty million bought, tuned and scored. Each is a process of its own, of which the highest memory is told."""

from __future__ import annotations

import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks._steps import measured, tell

CUSTOMERS = 1_000_000
DAYS = 500
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


def recommendations(_home: Path) -> dict[str, Any]:
    from tessera.know.baskets import recommend, tune

    baskets = made_baskets()
    taste = tune(baskets)
    found = recommend(baskets, taste)
    return {"customers": len(found), "result": f"{len(baskets.item):,} bought, {taste}"}


def made_baskets() -> Any:
    """Twenty items each, from a few of their own and from what everybody buys, in up to ten baskets."""
    from tessera.know.baskets import Baskets

    rng = np.random.default_rng(2)
    customer = np.repeat(np.arange(CUSTOMERS), 20)
    own = rng.integers(0, 20_000, (CUSTOMERS, 5))[customer, rng.integers(0, 5, len(customer))]
    everybodys = (20_000 * rng.random(len(customer)) ** 4).astype(np.int64)
    item = np.where(rng.random(len(customer)) < 0.6, own, everybodys)
    age = np.tile(np.repeat(np.arange(10), 2), CUSTOMERS)
    return Baskets(customer, item, age, CUSTOMERS, 20_000)


STEPS = {"value": value, "recommendations": recommendations}


def main() -> list[dict[str, object]]:
    """Both steps, in rows."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        made_purchases(home)
        return [_row(step, measured("knowing", step, home)) for step in STEPS]


def _row(step: str, told: dict[str, Any]) -> dict[str, object]:
    return {
        "step": step,
        "customers": f"{told['customers']:,}",
        "seconds": f"{told['seconds']:.1f}",
        "processor seconds": f"{told['cpu_seconds']:.1f}",
        "peak memory, MB": f"{told['peak_mb']:,}",
        "result": told["result"],
    }


if __name__ == "__main__":
    tell(STEPS[sys.argv[1]], Path(sys.argv[2]))
