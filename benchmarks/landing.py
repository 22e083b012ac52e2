"""Landing receipt lines, exported as CSV with a zone for each store: five million lines in one file, beside
DuckDB's bare copy of the same file to Parquet; and thirty thousand lines in one file, beside the same in three
hundred, as when each store sends its own, and once more the night after, with nothing new. Each is a process
of its own, of which the highest memory is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from benchmarks._steps import Step, in_one_folder, peak, run, spent
from tessera.land import land
from tessera.testing import workspace

MANY, FEW, STORES = 5_000_000, 30_000, 300
# As the mapping `made_up_shop` takes them.
LINES = """
copy (
    select
        i // 3 as receipt_no, i % 3 as line_no, 2900000000000 + hash(i // 3) % 800000 as card_no,
        ['GR', 'DE', 'LV', 'CY', 'IE'][1 + (hash(i // 3, 1) % 5)::bigint] || lpad((hash(i // 3, 2) % 99)::varchar, 3, '0') as store_no,
        timestamp '2026-01-01' + to_seconds(i % 7500000) as till_time, 'Europe/Athens' as tz,
        'P' || hash(i, 3) % 5000 as article_no, 1 + hash(i, 4) % 4 as qty,
        ((50 + hash(i, 5) % 5000) / 100)::decimal(9, 2) as paid, '0.00' as saved, null as coupon, 'S' as type,
        null as refers_to, null as clerk, 'EUR' as ccy
    from range({first}, {last}) as t (i)
) to '{path}' (header, delimiter ';')
"""


def prepare(folder: Path) -> dict[str, Any]:
    """The files, which are made here."""
    with duckdb.connect() as db:
        _export(db, folder / "one large", 0, MANY, 1)
        _export(db, folder / "one small", 0, FEW, 1)
        _export(db, folder / "many", 0, FEW, STORES)
    return {}


def _export(db: duckdb.DuckDBPyConnection, folder: Path, first: int, last: int, files: int) -> None:
    folder.mkdir(parents=True)
    step = (last - first) // files
    for number in range(files):
        begins = first + number * step
        path = folder / f"receipts_{number}.csv"
        db.execute(LINES.format(first=begins, last=begins + step, path=path))


def bare_copy(folder: Path) -> dict[str, Any]:
    """Every column as text."""
    with duckdb.connect(config={"threads": 2, "memory_limit": "4GB"}) as db:
        row = db.execute(
            f"copy (from read_csv('{folder}/one large/*.csv', delim = ';', all_varchar = true)) "
            f"to '{folder}/bare.parquet' (format parquet, compression zstd)"
        ).fetchone()
    return {"lines": row[0] if row else 0}


def landed(folder: Path, name: str) -> dict[str, Any]:
    report = land(workspace(folder / f"home {name}"), "made_up_shop", folder / name)
    assert (report.refused, report.unreadable_rows) == ((), 0), report
    return {"lines": report.rows}


STEPS: dict[str, Step] = {
    "prepare": prepare,
    "bare copy": bare_copy,
    **{
        f"land {name}": lambda folder, name=name: landed(folder, name)  # type: ignore[misc]
        for name in ("one large", "one small", "many")
    },
    "land many again": lambda folder: landed(folder, "many"),
}
SAID = {"many": f"{STORES} files", "one large": "one file", "one small": "one file"}
SAID["many again"] = f"{STORES} files again, with nothing new"


def main() -> list[dict[str, object]]:
    found = in_one_folder("landing", STEPS)
    return [
        {
            "step": f"land {SAID[step.removeprefix('land ')]}" if step.startswith("land") else step,
            "lines": f"{its['lines']:,}",
            **spent(its),
            "lines a second": f"{its['lines'] / its['seconds']:,.0f}",
            **peak(its),
        }
        for step, its in found.items()
        if step != "prepare"
    ]


if __name__ == "__main__":
    run(STEPS, main)
