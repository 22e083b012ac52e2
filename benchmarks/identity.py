"""Duplicates among the customers of a made-up shop, one in twenty of whom registered twice: the register read, names spelt, chances learned, pairs compared and judged. How many of those merged without asking are right, and how many of the planted are merged or asked about. Each is a process of its own, of which the highest memory is told."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from benchmarks._steps import measured, tell
from tessera.testing import workspace

SIZES = (10_000, 100_000, 1_000_000)
REGISTER = """
copy (
    select
        member_no as customer_id, first_name as given_name, surname as family_name,
        email_address as email, mobile as phone, date_of_birth::date as birth_date,
        country_code as country, town as city, postal_code as postcode,
        member_since::timestamp as joined_at
    from read_csv('{shop}/customers.csv', delim = ';', all_varchar = true)
) to '{folder}/rows.parquet' (format parquet)
"""


def made_register(home: Path, customers: int) -> None:
    """As if it had been landed and validated."""
    from tessera.shop import make_shop

    shop, folder = home / "shop", home / "home/validated/customers/file_id=1"
    make_shop(shop, customers=customers, days=1, seed=4, duplicates=0.05)
    folder.mkdir(parents=True)
    duckdb.execute(REGISTER.format(shop=shop, folder=folder))


def find(home: Path) -> dict[str, Any]:
    from tessera.know.duplicates import find as look

    ws = workspace(home / "home", "2026-01-01")
    report = look(ws)
    pairs = f"""(
        select found.verdict, truth.kind from '{ws.home.duplicates}' as found
        left join '{home}/shop/truth/duplicates.csv' as truth on
            (found.customer_id, found.into_customer_id) = (truth.customer_id, truth.duplicate_of)
            or (found.into_customer_id, found.customer_id) = (truth.customer_id, truth.duplicate_of)
    )"""
    planted = f"(select count(*) from '{home}/shop/truth/duplicates.csv')"
    right, recall = duckdb.execute(
        f"select avg((kind is not null)::int) filter (verdict = 'automatic'), "
        f"count(kind) / {planted} from {pairs}"
    ).fetchall()[0]
    return {
        "customers": report.customers,
        "merged": report.automatic,
        "right": right,
        "asked about": report.review,
        "found": recall,
    }


def main() -> list[dict[str, object]]:
    rows = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            made_register(Path(folder), size)
            rows.append(row(measured("identity", "find", Path(folder))))
    return rows


def row(step: dict[str, Any]) -> dict[str, object]:
    return {
        "customers": f"{step['customers']:,}",
        "seconds": f"{step['seconds']:.1f}",
        "processor": f"{step['cpu_seconds']:.1f}",
        "merged": f"{step['merged']:,}",
        "of them right": f"{step['right']:.2%}",
        "asked about": f"{step['asked about']:,}",
        "found of the planted": f"{step['found']:.1%}",
        "peak memory, MB": step["peak_mb"],
    }


if __name__ == "__main__":
    tell(find, Path(sys.argv[2]))
