"""Makes the shop: the world in DuckDB, then the files its systems would export."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

import duckdb

from tessera.errors import BadInput
from tessera.quoting import literal
from tessera.shop import defects, words
from tessera.shop.calendar import Period, default_start, periods
from tessera.store import queries

Format = Literal["csv", "parquet"]
Progress = Callable[[int, int], None]  # files done, files in all

MOST_CUSTOMERS, MOST_DAYS, MOST_DEFECTS = 10_000_000, 3_650, 0.5
MOST_DUPLICATES = 0.5
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)
TRIAL_ENDS = 30  # days before the last, on which a trial's coupons go out
LEAST_TRIAL_DAYS = 120
WALK_INS = 0.12  # people without a card, per customer
SPILL = ".spill"
EXPORTED = {
    "csv": "format csv, header, delimiter ';'",
    "parquet": "format parquet, compression zstd, row_group_size 122880",
}
TRUE = {"csv": "format csv, header", "parquet": EXPORTED["parquet"]}


@dataclass(frozen=True)
class _Size:
    """At least so many, one more per so many customers, at most so many."""

    least: int
    customers_each: int
    most: int

    def of(self, customers: int) -> int:
        return min(self.least + customers // self.customers_each, self.most)


PRODUCTS = _Size(480, 100, 12_000)
STORES = _Size(12, 20_000, 60)


@dataclass(frozen=True)
class Made:
    """What `make_shop` wrote: rows by feed, planted bad rows, files and bytes."""

    directory: Path
    start: date
    days: int
    rows: dict[str, int]
    defects: int
    files: int
    bytes: int


@dataclass(frozen=True)
class _Shop:
    db: duckdb.DuckDBPyConnection
    directory: Path
    format: Format
    defect_share: float
    rows: dict[str, int] = field(default_factory=dict)

    def write(self, feed: str, name: str, query: str) -> None:
        """One landing file of `feed`, with its share of bad rows."""
        file = f"{name}.{self.format}"
        if self.defect_share:
            self.db.execute(f"create or replace temp table good as {query}")
            [rows] = self.db.execute("select count(*) from good").fetchone() or [0]
            query = defects.plant(self.db, feed=feed, file=file, rows=rows, share=self.defect_share)
        self.rows[feed] = self.rows.get(feed, 0) + self.copy(query, file, EXPORTED[self.format])

    def copy(self, query: str, file: str, options: str) -> int:
        path = literal(str(self.directory / file))
        [rows] = self.db.execute(f"copy ({query}) to {path} ({options})").fetchone() or [0]
        return int(rows)


def make_shop(
    directory: Path,
    *,
    customers: int,
    days: int,
    seed: int,
    defect_share: float = 0.0,
    duplicates: float = 0.0,
    start: date | None = None,
    trial: bool = False,
    file_format: Format = "csv",
    memory: str = "4GB",
    threads: int = 2,
    progress: Progress = lambda _done, _all: None,
) -> Made:
    """Write a shop's landing files below `directory`, and the truth about it in `truth/`; with `trial`,
    of a shop that gave half of its members a coupon by lot, a month before the end.

    The same arguments but the last three give the same bytes. The folder appears whole or not at
    all. BadInput when it is there already and not empty, or a number makes no sense.
    """
    directory = directory.expanduser().resolve()
    _check(customers=customers, days=days, defect_share=defect_share, duplicates=duplicates)
    _check_folder(directory)
    first_day = start or default_start(days)
    _check_start(first_day)
    if trial and days < LEAST_TRIAL_DAYS:
        raise BadInput(f"--trial: give --days {LEAST_TRIAL_DAYS} or more, not {days}.")
    with _appearing(directory) as making, _opened(making, memory, threads) as db:
        shop = _Shop(db, making, file_format, defect_share)
        db.execute("set variable duplicates = $value", {"value": duplicates})
        db.execute(f"set variable trial_day = {days - TRIAL_ENDS if trial else -1}")
        _make_world(db, customers=customers, days=days, seed=seed, start=first_day)
        _write_all(shop, periods(first_day, days), progress)
        _write_truth(shop, with_duplicates=duplicates > 0)
        [planted] = db.execute("select count(*) from planted").fetchone() or [0]
    sizes = [path.stat().st_size for path in directory.rglob("*") if path.is_file()]
    return Made(directory, first_day, days, shop.rows, planted, len(sizes), sum(sizes))


def _check(*, customers: int, days: int, defect_share: float, duplicates: float) -> None:
    if not 1 <= customers <= MOST_CUSTOMERS:
        raise BadInput(f"--customers {customers}: give a number from 1 to {MOST_CUSTOMERS:,}.")
    if not 1 <= days <= MOST_DAYS:
        raise BadInput(f"--days {days}: give a number from 1 to {MOST_DAYS:,}.")
    if not 0 <= defect_share <= MOST_DEFECTS:
        raise BadInput(f"--defects {defect_share}: give a share from 0 to {MOST_DEFECTS}.")
    if not 0 <= duplicates <= MOST_DUPLICATES:
        raise BadInput(f"--duplicates {duplicates}: give a share from 0 to {MOST_DUPLICATES}.")


def _check_start(start: date) -> None:
    if not EARLIEST <= start <= LATEST:
        raise BadInput(f"--start {start}: give a date from {EARLIEST} to {LATEST}.")


def _check_folder(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"'{directory}' is a file; name a folder that is new or empty.")
    if directory.exists() and _holds_something(directory):
        raise BadInput(f"The folder '{directory}' is not empty; name one that is new or empty.")


def _holds_something(directory: Path) -> bool:
    """Whether there is anything in it but the hidden folder of a run that was killed."""
    return any(not path.name.startswith(_prefix(directory)) for path in directory.iterdir())


def _prefix(directory: Path) -> str:
    return f".{directory.name}.making-"


@contextmanager
def _appearing(directory: Path) -> Iterator[Path]:
    """A hidden folder whose files come into `directory` once all of them are written."""
    there = directory.is_dir()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        beside = directory if there else directory.parent
        making = Path(tempfile.mkdtemp(prefix=_prefix(directory), dir=beside))
    except OSError as error:
        raise BadInput(f"'{directory}' cannot be made: {error.strerror}.") from error
    try:
        yield making
        shutil.rmtree(making / SPILL, ignore_errors=True)
        _check_folder(directory)  # another run may have been quicker
        _publish(making, directory, there=there)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _publish(making: Path, directory: Path, *, there: bool) -> None:
    if there:
        for path in sorted(making.iterdir()):
            path.replace(directory / path.name)
    else:
        making.chmod(0o755)
        making.replace(directory)


def _opened(making: Path, memory: str, threads: int) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={"memory_limit": memory, "threads": threads, "temp_directory": str(making / SPILL)}
    )


def _make_world(
    db: duckdb.DuckDBPyConnection, *, customers: int, days: int, seed: int, start: date
) -> None:
    walk_ins = int(customers * WALK_INS)
    variables = {
        "seed": seed,
        "customers": customers,
        "walk_ins": walk_ins,
        "shoppers": customers + walk_ins,
        "days": days,
        "start": start,
        "start_weekday": start.weekday() + 7,  # days before the first count from -7
        "products": PRODUCTS.of(customers),
        "stores": STORES.of(customers),
    }
    for name, value in variables.items():
        db.execute(f"set variable {name} = $value", {"value": value})
    words.load(db)
    defects.prepare(db)
    for file in ("chance.sql", "world.sql", "visits.sql"):
        for query in queries("tessera.shop", file).values():
            db.execute(query)


def _write_all(shop: _Shop, months: list[Period], progress: Progress) -> None:
    exports = queries("tessera.shop", "exports.sql")
    receipts = queries("tessera.shop", "receipts.sql")
    files = len(exports) + len(months)
    for done, (feed, query) in enumerate(exports.items()):
        progress(done, files)
        shop.write(feed, feed, query)
    for done, month in enumerate(months, start=len(exports)):
        progress(done, files)
        shop.db.execute(f"set variable from_day = {month.from_day}")
        shop.db.execute(f"set variable to_day = {month.to_day}")
        shop.db.execute(receipts["visit"])
        shop.db.execute(receipts["reach"])
        shop.write("transactions", f"receipts_{month.name}", receipts["receipt_lines"])
    progress(files, files)


def _write_truth(shop: _Shop, *, with_duplicates: bool) -> None:
    (shop.directory / "truth").mkdir()
    truths = dict(queries("tessera.shop", "truth.sql"))
    duplicates = truths.pop("duplicates")
    if not shop.db.execute("from trial limit 1").fetchall():
        truths.pop("trial")
    for name, query in truths.items():
        shop.copy(query, f"truth/{name}.{shop.format}", TRUE[shop.format])
    if with_duplicates:
        shop.copy(duplicates, "truth/duplicates.csv", TRUE["csv"])
    shop.copy(
        "select * from planted order by feed, file, row_number", "truth/defects.csv", TRUE["csv"]
    )
