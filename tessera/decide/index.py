"""The decisions of past weeks once more, in buckets by customer, so that one customer's are found
at once among years of everybody's.

Derived and disposable: `decision_index/week=MONDAY/STAMP-BUCKETS/bucket=N/data_0.parquet`, where the
stamp is of the week's own files. A week whose files have changed since has no index and is read as
it is: nothing can be out of date, and a kill costs no more than the time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

import duckdb

from tessera.home import Home
from tessera.locks import taken
from tessera.quoting import literal

ROWS = 20_000  # in a bucket, or up to twice as many
ROW_GROUP = 2_048  # sorted, so that hardly more than one of them is read
BUCKETS_MAX = 256
WEEKS_AT_ONCE = 4  # a home that was never indexed catches up over some passes
PREFIX = "date="
HASH = "cast('0x' || left(md5(customer_id), 8) as uinteger)"


@dataclass(frozen=True)
class Day:
    """The decisions of one day."""

    date: date
    files: dict[str, str]  # campaign -> path
    stamp: str


@dataclass(frozen=True)
class Week:
    """The days of one week on which something was decided, and where their index lies, if it does."""

    monday: date
    days: Sequence[Day]
    folder: Path

    @property
    def files(self) -> list[str]:
        return [path for day in self.days for path in day.files.values()]

    @property
    def stamp(self) -> str:
        return _digest(f"{day.date} {day.stamp}" for day in self.days)

    def bucket(self, customer_id: str) -> str | None:
        """The file that holds the customer's decisions, if any; None when there is no index."""
        for found in _names(self.folder):
            stamp, _, buckets = found.partition("-")
            if stamp == self.stamp:
                number = _hash(customer_id) % int(buckets)
                return f"{self.folder}/{found}/bucket={number}/data_0.parquet"
        return None


def weeks(home: Home) -> Iterator[Week]:
    """Every week with decisions, the oldest first."""
    names = [name for name in _names(home.decisions) if name.startswith(PREFIX)]
    days = (_day(home.decisions, date.fromisoformat(name.removeprefix(PREFIX))) for name in names)
    for monday, found in groupby(days, lambda day: day.date - timedelta(day.date.weekday())):
        yield Week(monday, list(found), home.decision_index / f"week={monday}")


def refresh(home: Home, *, before: date, memory: str = "4GB") -> int:
    """Index the weeks that ended before `before` and have none, the latest first; how many. Nothing
    is done while somebody else does."""
    home.decision_index.mkdir(parents=True, exist_ok=True)
    if (lock := taken(home.decision_index / ".lock")) is None:
        return 0
    with lock:
        missing = [
            week
            for week in weeks(home)
            if week.monday + timedelta(7) <= before and week.files and week.bucket("") is None
        ][-WEEKS_AT_ONCE:]
        for week in reversed(missing):
            _write(week, memory=memory, spill=home.root / "tmp" / "index")
        return len(missing)


def _day(folder: Path, day: date) -> Day:
    files, states = {}, []
    with os.scandir(folder / f"{PREFIX}{day}") as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.endswith(".parquet") and not entry.name.startswith("."):
                state = entry.stat()
                files[entry.name.removesuffix(".parquet")] = entry.path
                states.append(f"{entry.name} {state.st_size} {state.st_mtime_ns}")
    return Day(day, files, _digest(states))


def _write(week: Week, *, memory: str, spill: Path) -> None:
    """Beside, then renamed; what others the week had are of no use any more."""
    beside = week.folder / ".part"
    shutil.rmtree(beside, ignore_errors=True)
    week.folder.mkdir(exist_ok=True)
    old = _names(week.folder)
    buckets = _copy(week.files, beside, memory=memory, spill=spill)
    beside.rename(week.folder / f"{week.stamp}-{buckets}")
    for name in old:
        shutil.rmtree(week.folder / name)


def _copy(files: list[str], target: Path, *, memory: str, spill: Path) -> int:
    """The rows of `files`, sorted, a folder per bucket below `target`; how many buckets."""
    # One thread writes one file per bucket, in order.
    spill.parent.mkdir(exist_ok=True)
    spilled = {"memory_limit": memory, "temp_directory": str(spill)}
    with duckdb.connect(config={"threads": 1, **spilled}) as connection:
        connection.read_parquet(files, union_by_name=True).create_view("kept")
        rows = int(connection.execute("select count(*) from kept").fetchall()[0][0])
        buckets = min(BUCKETS_MAX, 1 << max(0, (rows // ROWS).bit_length() - 1))
        connection.execute(
            f"copy (select *, {HASH} % {buckets} as bucket from kept order by customer_id) "
            f"to {literal(str(target))} (format parquet, compression zstd, row_group_size {ROW_GROUP}, "
            "partition_by (bucket))"
        )
    return buckets


def _hash(customer_id: str) -> int:
    """As `HASH` has it."""
    return int(_md5(customer_id)[:8], 16)


def _digest(lines: Iterator[str] | Sequence[str]) -> str:
    return _md5("\n".join(lines))[:16]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - only the names are wanted
    except FileNotFoundError:
        return []
