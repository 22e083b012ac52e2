"""The receipt lines of a made-up year in a file a month, beside the same lines in a file for each of eight stores and
days, as when stores send their own each night: landed, judged and built, and the next night with its own. Each
step is a process of its own, of which the highest memory is told."""

from __future__ import annotations

import shutil
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import model
from benchmarks._steps import Step, in_one_folder, peak, run, shown, spent

CUSTOMERS, STORES = 13_300, 8
FEW, MANY = "a month", "a store and day"
PIECES = """
create or replace table receipt as
select *, strftime(till_time, '%Y-%m-%d_') || receipt_no % {stores} as piece
from '{exports}/receipts_*.parquet'
"""


def prepare(folder: Path) -> dict[str, Any]:
    """The exports, which are made here."""
    from tessera.shop import make_shop

    made = {"customers": CUSTOMERS, "days": model.DAYS, "seed": 1, "start": date(2025, 1, 1)}
    make_shop(folder / FEW / "shop", **made, file_format="parquet")  # type: ignore[arg-type]
    model.withhold(folder / FEW)
    with duckdb.connect() as db:
        for exports in ("shop", "second_day"):
            _split(db, folder / FEW / exports, folder / MANY / exports)
    return {}


def _split(db: duckdb.DuckDBPyConnection, whole: Path, parts: Path) -> None:
    ignored = shutil.ignore_patterns("receipts_*", "truth")
    shutil.copytree(whole, parts, ignore=ignored)
    db.execute(PIECES.format(stores=STORES, exports=whole))
    for (piece,) in db.execute("select distinct piece from receipt order by 1").fetchall():
        its = f"select * exclude (piece) from receipt where piece = '{piece}'"
        db.execute(f"copy ({its}) to '{parts}/receipts_{piece}.parquet' (format parquet)")


WORK = (
    *("land the first day", "judge the first day", "first build"),
    *("land the second day", "judge the second day", "second build"),
)


def _in(kind: str, step: str, folder: Path) -> dict[str, Any]:
    told = model.STEPS[step](folder / kind)
    if step.startswith("land"):
        exports = "shop" if "first" in step else "second_day"
        told["files"] = len(list((folder / kind / exports).glob("receipts_*")))
    return told


STEPS: dict[str, Step] = {"prepare": prepare} | {
    f"{step}, a file {kind}": partial(_in, kind, step) for kind in (FEW, MANY) for step in WORK
}


def main() -> list[dict[str, object]]:
    found = in_one_folder("files", STEPS)
    return [
        {
            "step": step,
            "files": shown(its, "files"),
            "lines": shown(its, "lines"),
            **spent(its),
            **peak(its),
        }
        for step, its in found.items()
        if step != "prepare"
    ]


if __name__ == "__main__":
    run(STEPS, main, model.imports)
