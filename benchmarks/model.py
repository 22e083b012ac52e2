"""The model stage on a made-up shop of a million customers and 52 million receipt lines: the first
build, beside one hand-written DuckDB script for the same profile columns from the same Parquet (the
limit), beside the bare scan of all columns of all lines, beside the same profile in pandas on the
lines of one month in twelve, and a second day that brings one line in a hundred. The rows above
them are how the lines came there. Each is a process of its own, of which the highest memory is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from benchmarks._steps import Step, in_one_folder, peak, run, shown, spent
from tessera.feeds import FEEDS
from tessera.testing import workspace

CUSTOMERS, DAYS = 1_000_000, 365
ZONE = "Europe/Athens"
FIRST_DAY, SECOND_DAY = "2025-12-29", "2026-01-01"  # of the builds; all is landed on the second
WITHHELD = "timestamp '2025-12-29'"  # sold since then: one line in a hundred
BY_HAND = Path(__file__).with_name("profile_by_hand.sql")


def _database() -> duckdb.DuckDBPyConnection:
    settings = {"memory_limit": "4GB", "threads": 2, "preserve_insertion_order": False}
    db = duckdb.connect(config=settings)  # type: ignore[arg-type]
    db.execute("set TimeZone = 'UTC'")
    return db


def shop(folder: Path) -> dict[str, Any]:
    """A year of receipts in `folder`/shop; those of the last days in `folder`/second_day."""
    from datetime import date

    from tessera.shop import make_shop

    made = make_shop(
        folder / "shop",
        customers=CUSTOMERS,
        days=DAYS,
        seed=1,
        start=date(2025, 1, 1),
        file_format="parquet",
    )
    return {"lines": made.rows["transactions"]}


def withhold(folder: Path, since: str = WITHHELD, exports: str = "second_day") -> dict[str, Any]:
    """Put the receipts since then aside, into `folder`/`exports`."""
    last = max((folder / "shop").glob("receipts_*.parquet"))
    (folder / exports).mkdir()
    with _database() as db:
        db.execute(f"create view receipt as select * from '{last}'")
        for path, condition in (
            (folder / exports / last.name, f">= {since}"),
            (folder / "first.parquet", f"< {since}"),
        ):
            db.execute(
                f"copy (select * from receipt where till_time {condition}) "
                f"to '{path}' (format parquet, compression zstd)"
            )
    (folder / "first.parquet").replace(last)
    return {}


def _land(folder: Path, exports: str) -> dict[str, Any]:
    from tessera.land import land

    ws = workspace(folder / "home", SECOND_DAY, timezone=ZONE)
    report = land(ws, "made_up_shop", folder / exports)
    return {"lines": report.feeds["transactions"]}


def judge(folder: Path) -> dict[str, Any]:
    """All that was landed since it was judged last."""
    from flows.validate import judge as judge_all

    report = judge_all(workspace(folder / "home", SECOND_DAY, timezone=ZONE))
    assert report.rows_bad == report.files_refused == 0, report
    return {}


def _build(folder: Path, day: str) -> dict[str, Any]:
    from flows.model import build

    report = build(workspace(folder / "home", day, timezone=ZONE))
    return {"lines": report.lines, "customers": report.customers}


def scan(folder: Path) -> dict[str, Any]:
    """Every column of every line of the first day."""
    columns = ", ".join(f"max({column})" for column in FEEDS["transactions"].columns)
    with _database() as db:
        lines = f"read_parquet('{folder}/home/validated/transactions/*/rows.parquet')"
        row = db.execute(f"select count(*), {columns} from {lines}").fetchone()
    return {"lines": row[0] if row else 0}


def by_hand(folder: Path) -> dict[str, Any]:
    """The profile of every customer, written to `folder`/profile.parquet."""
    ws = workspace(folder / "home", FIRST_DAY, timezone=ZONE)
    values = {
        "validated": str(ws.home.validated),
        "as_of": ws.as_of.replace(tzinfo=None),
        "business_date": ws.business_date,
        "zone": ZONE,
    }
    script = BY_HAND.read_text(encoding="utf-8")
    target = folder / "profile.parquet"
    with _database() as db:
        db.execute(f"set temp_directory = '{folder}/spill'")
        for name, value in values.items():
            db.execute(f"set variable {name} = $value", {"value": value})
        for statement in db.extract_statements(script.replace("$target", f"'{target}'")):
            db.execute(statement)
        row = db.execute(f"select count(*) from '{target}'").fetchone()
    return {"customers": row[0] if row else 0}


def pandas(folder: Path) -> dict[str, Any]:
    """The profile of the customers of one file in twelve."""
    from benchmarks._profile_in_pandas import profile

    ws = workspace(folder / "home", FIRST_DAY, timezone=ZONE)
    return profile(ws.home.validated, ZONE)


STEPS: dict[str, Step] = {
    "make the shop": shop,
    "put the last days aside": withhold,
    "land the first day": lambda folder: _land(folder, "shop"),
    "judge the first day": judge,
    "bare scan": scan,
    "one script by hand": by_hand,
    "pandas, one month": pandas,
    "first build": lambda folder: _build(folder, FIRST_DAY),
    "land the second day": lambda folder: _land(folder, "second_day"),
    "judge the second day": judge,
    "second build": lambda folder: _build(folder, SECOND_DAY),
}


def imports() -> None:
    """What a day needs in memory before its first stage begins; it is not timed."""
    import flows.daily  # noqa: F401


def main() -> list[dict[str, object]]:
    found = in_one_folder("model", STEPS)
    limit, first = found["one script by hand"], found["first build"]
    assert first["customers"] == limit["customers"], found
    return [
        {
            "step": step,
            "lines": shown(its, "lines"),
            **spent(its),
            "times the script": f"{its['seconds'] / limit['seconds']:.2f}",
            "of the first build": f"{its['seconds'] / first['seconds']:.0%}",
            **peak(its),
        }
        for step, its in found.items()
    ]


if __name__ == "__main__":
    run(STEPS, main, imports)
