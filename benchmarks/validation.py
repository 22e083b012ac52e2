"""Judging one landed file of 10 million receipt lines, one in a hundred of them bad: suite, quarantine
Parquet, validated Parquet and Data Docs, beside one hand-written query of the same rules, beside
that query with the good and bad rows written as well, and beside the bare scan of all columns. Each
is a process of its own, of which the highest memory is told; `judge` is timed without its imports,
which the row before it has."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import duckdb
from babel.numbers import list_currencies

from benchmarks._steps import Step, measured, peak, shown, tell
from expectations.rules import ROUNDED
from tessera.feeds import FEEDS
from tessera.land import manifest
from tessera.testing import workspace

LINES = 10_000_000
FEED = FEEDS["transactions"]
# A hundred turns: twelve kinds of bad row take one in a hundred between them.
MADE = """
copy (
    with numbered as (
        select i, hash(i) as lot, if(lot % 100 = 0, (lot // 100) % 12, -1) as defect
        from range({lines}) as t (i)
    )
    select
        if(defect = 0, null, 'R' || lpad((i // 3)::varchar, 9, '0')) as transaction_id,
        if(defect = 1 and i > 3, ((i - 1) % 3 + 1)::varchar, (i % 3 + 1)::varchar) as line_id,
        if(lot % 4 = 1, null, 'C' || lpad((hash(i // 3, 1) % 800000)::varchar, 7, '0')) as card_id,
        'S' || (hash(i // 3, 2) % 200) as store_id,
        case defect
            when 2 then timestamp '2999-01-01'
            when 3 then timestamp '1970-01-01'
            when 4 then null
            else timestamp '2026-01-01' + to_seconds(i * 7500000 // {lines})
        end as sold_at,
        if(defect = 5, 'Mars/Olympus', ['Europe/Athens', 'Europe/Riga'][1 + (hash(i // 3, 3) % 2)::bigint]) as timezone,
        'P' || (hash(i, 4) % 5000) as product_id,
        (if(defect = 6, 250000, 1 + hash(i, 5) % 4))::decimal(18, 3) as quantity,
        case defect when 7 then -500 when 8 then null else 50 + (hash(i, 6) % 5000)::bigint end as amount,
        if(defect = 9, -1, (hash(i, 7) % 10)::bigint) as discount,
        if(hash(i, 8) % 10 = 0, 'SPRING', null) as coupon_code,
        if(defect = 10, 'gift', 'sale') as kind,
        null::varchar as original_transaction_id,
        'E' || (hash(i, 9) % 900) as salesperson_id,
        if(defect = 11, 'eur', 'EUR') as currency,
        i + 1 as _row_number,
        (case defect when 4 then map {{'sold_at': '31/02/2026'}} when 8 then map {{'amount': 'abc'}} end)
            ::map(varchar, varchar) as _cast_errors
    from numbered
) to '{path}' (format parquet, compression zstd)
"""
BY_HAND = """
with suspects as (
    select hash(transaction_id, line_id) as suspect from l group by suspect having count(*) > 1
), repeated as (
    select _row_number from l
    where hash(transaction_id, line_id) in (from suspects)
        and transaction_id is not null and line_id is not null
    qualify row_number() over (partition by transaction_id, line_id order by _row_number) > 1
)
select _row_number from l
where _cast_errors is not null
    or transaction_id is null or line_id is null or sold_at is null or product_id is null
    or quantity is null or amount is null or kind is null or currency is null
    or kind not in ('sale', 'return')
    or quantity not between -100000 and 100000 or amount not between -1000000000 and 1000000000
    or discount < 0
    or (kind = 'sale' and (amount < 0 or quantity < 0))
    or (kind = 'return' and (amount > 0 or quantity > 0))
    or sold_at < timestamp '1990-01-01' or sold_at > timestamp '2026-04-01'
    or timezone not in ({zones}) or currency not in ({currencies})
    or {rounded}
union
select _row_number from repeated
"""


def prepare(home: Path) -> dict[str, Any]:
    """Land the lines, which are made here, as one file."""
    ws = workspace(home)
    path = home / "lines.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        db.execute(MADE.format(lines=LINES, path=path))
    size = path.stat().st_size
    landing = manifest.Landing("shop", FEED.name, "lines", "lines.csv", LINES, size)
    manifest.commit(ws, landing, path)
    return {}


def _lines(home: Path) -> duckdb.DuckDBPyConnection:
    db = duckdb.connect(config={"memory_limit": "4GB"})
    path = manifest.path(workspace(home).home, FEED.name, 1)
    db.execute(f"create view l as select * from read_parquet('{path}')")
    db.execute("set preserve_insertion_order = false")
    return db


def scan(home: Path) -> dict[str, Any]:
    """Every column of every line."""
    columns = ", ".join(f"max({column})" for column in [*FEED.columns, "_row_number"])
    with _lines(home) as db:
        db.execute(f"select {columns}, count(_cast_errors) from l").fetchall()
    return {}


def _by_hand() -> str:
    zones, currencies = (
        ", ".join(f"'{name}'" for name in sorted(names))
        for names in (available_timezones(), list_currencies())
    )
    identifiers = [name for name in FEED.columns if name.endswith("_id")]
    rounded = " or ".join(
        f"(contains({name}, '+') and regexp_full_match({name}, '{ROUNDED}'))"
        for name in identifiers
    )
    return BY_HAND.format(zones=zones, currencies=currencies, rounded=rounded)


def query(home: Path) -> dict[str, Any]:
    """The bad lines, counted."""
    with _lines(home) as db:
        row = db.execute(f"select count(*) from ({_by_hand()})").fetchone()
        return {"bad": row[0] if row else 0}


def query_and_write(home: Path) -> dict[str, Any]:
    """The bad lines and the good lines, written."""
    with _lines(home) as db:
        db.execute(f"create table bad as {_by_hand()}")
        for name, join in (("bad", "semi"), ("good", "anti")):
            db.execute(
                f"copy (select l.* from l {join} join bad using (_row_number)) "
                f"to '{home}/{name}.parquet' (format parquet, compression zstd)"
            )
        row = db.execute("select count(*) from bad").fetchone()
        return {"bad": row[0] if row else 0}


def imports(_home: Path) -> dict[str, Any]:
    """What `judge` needs in memory before it begins."""
    import flows.validate  # noqa: F401

    return {}


def _ready() -> None:
    imports(Path())


def judge(home: Path) -> dict[str, Any]:
    from flows.validate import judge as judge_all

    report = judge_all(workspace(home))
    assert report.rows_good + report.rows_bad == LINES, report
    return {"bad": report.rows_bad}


STEPS: dict[str, Step] = {
    "prepare": prepare,
    "bare scan": scan,
    "one query by hand": query,
    "one query by hand, and rows written": query_and_write,
    "imports": imports,
    "judge": judge,
}


def main() -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        found = {step: measured("validation", step, home) for step in STEPS}
    least = found["bare scan"]["seconds"]
    bad = {its["bad"] for its in found.values() if "bad" in its}
    assert len(bad) == 1, found
    return [
        {
            "step": step,
            "seconds": f"{its['seconds']:.1f}",
            "lines a second": f"{LINES / its['seconds']:,.0f}" if step != "imports" else "",
            "times the scan": f"{its['seconds'] / least:.1f}",
            "bad lines": shown(its, "bad"),
            **peak(its),
        }
        for step, its in found.items()
        if step != "prepare"
    ]


if __name__ == "__main__":
    if sys.argv[1:]:
        step = sys.argv[1]
        ready = _ready if step == "judge" else lambda: None
        tell(STEPS[step], Path(sys.argv[2]), prepare=ready)
    else:
        for line in main():
            print(line)
