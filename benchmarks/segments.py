"""Fifty segments of a million customers, each a campaign with filters of its own over three columns that
takes a thirteenth of all, judged in one pass by the rules of `deciding` (case T38: segments of other tools
took 40 minutes for 260,000 people, 12 hours for 100,000). Beside it DuckDB's own count of the same fifty."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import deciding
from benchmarks._steps import Step, measured, peak, run, shown, spent

SIZES = (100_000, 1_000_000)
SEGMENTS, WIDTH = 50, 5  # of fifty numbers of receipts


def campaign(number: int) -> dict[str, Any]:
    """A letter to who has some of the numbers of receipts, a language and some revenue."""
    return {
        "campaign": f"s{number}",
        "purpose": "marketing",
        "audience": "a0",
        "where": [
            {"field": "receipts", "in": [(number + i) % SEGMENTS for i in range(WIDTH)]},
            {"field": "language", "ne": "fa"},
            {"field": "revenue", "gte": 1_000},
        ],
        "priority": number,
        "schedule": "0 9 * * *",
        "steps": [{"name": "first", "template": "c0/first"}],
    }


def prepare(folder: Path, customers: int) -> dict[str, Any]:
    return deciding.prepare(folder, customers, campaigns=map(campaign, range(SEGMENTS)))


def count(folder: Path) -> dict[str, Any]:
    """How many customers each segment has, in one scan."""
    counts = ", ".join(
        f"count(*) filter (receipts in {tuple((n + i) % SEGMENTS for i in range(WIDTH))} "
        "and language <> 'fa' and revenue >= 1000)"
        for n in range(SEGMENTS)
    )
    with duckdb.connect(config={"threads": 2}) as db:
        path = folder / "home" / "marts" / "made" / "customers" / "rows.parquet"
        found = db.execute(f"select {counts} from '{path}'").fetchall()[0]
    return {"candidates": sum(found)}


STEPS: dict[str, Step] = {
    **{f"prepare {size}": lambda folder, size=size: prepare(folder, size) for size in SIZES},  # type: ignore[misc]
    "pass": deciding.one_pass,
    "count": count,
}


def main() -> list[dict[str, object]]:
    rows = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            measured("segments", f"prepare {size}", Path(name))
            for step in ("pass", "count"):
                its = measured("segments", step, Path(name))
                rows.append(_row(f"{step}, {size:,} customers", its))
    return rows


def _row(step: str, its: dict[str, Any]) -> dict[str, object]:
    return {
        "step": step,
        "candidates": f"{its['candidates']:,}",
        "planned": shown(its, "planned"),
        **spent(its),
        **peak(its),
    }


if __name__ == "__main__":
    run(STEPS, main, deciding.imports)
