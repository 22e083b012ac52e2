"""Quarantine: where bad rows wait, with their reasons, for somebody to set them right."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from tessera.errors import BadInput
from tessera.feeds import FEEDS
from tessera.home import Home
from tessera.land import manifest
from tessera.land.sieve import sift
from tessera.land.verdict import Landed, Verdict
from tessera.quoting import literal, name
from tessera.store import queries
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

SQL = queries("tessera.land", "quarantine.sql")
T = TypeVar("T")
PAIR = pa.schema({"file_id": pa.int64(), "row_number": pa.int64()})


@dataclass(frozen=True)
class Counts:
    """Where the rows of one feed are that a retailer's files brought:
    landed = good + open + readmitted + refused + waiting."""

    feed: str
    landed: int
    good: int
    open: int  # in quarantine
    readmitted: int  # out of quarantine again
    refused: int  # in files refused whole
    waiting: int  # in files not judged yet


def counts(ws: Workspace) -> list[Counts]:
    """Where the landed rows of each feed are."""
    with ws.store.read() as store:
        rows = store.all(SQL["counts"])
    return [
        Counts(
            feed=row["feed"],
            landed=int(row["landed"]),
            good=int(row["good"]),
            open=int(row["bad"] - row["readmitted"]),
            readmitted=int(row["readmitted"]),
            refused=int(row["refused"]),
            waiting=int(row["waiting"]),
        )
        for row in rows
    ]


def refused(ws: Workspace) -> list[dict[str, Any]]:
    """The files refused whole, with the reason."""
    with ws.store.read() as store:
        return [dict(row) for row in store.all(SQL["refused"])]


def write(db: duckdb.DuckDBPyConnection, home: Home, verdict: Verdict) -> None:
    """Put the rows of a judged file where its verdict says: good ones in `validated/`, bad ones in
    `quarantine/`, and none of a refused file anywhere."""
    file = verdict.file
    good = good_rows(home, file.feed, file.file_id).parent
    bad = bad_rows(home, file.feed, file.file_id).parent
    landed = manifest.path(home, file.feed, file.file_id)
    if not verdict.is_accepted:
        _remove(good, bad)
    elif not verdict.measures.bad_rows:
        put_good(home, landed, (), file.feed, file.file_id)
        _remove(bad)
    else:
        numbers = db.execute(SQL["numbers"], [file.file_id]).fetchnumpy()["row_number"]
        found = put_good(home, landed, numbers, file.feed, file.file_id)
        if verdict.quarantined:
            _put(bad, lambda to: _quarantine(db, file, found, to))


def good_rows(home: Home, feed: str, file_id: int) -> Path:
    """The rows of an accepted file that go on to the models."""
    return home.validated / feed / f"file_id={file_id}" / "rows.parquet"


def bad_rows(home: Home, feed: str, file_id: int) -> Path:
    """Its rows that do not, where it has any."""
    return home.quarantine / feed / f"file_id={file_id}" / "rows.parquet"


def put_good(home: Home, landed: Path, bad: Any, feed: str, file_id: int) -> pa.Table | None:
    """Put the rows of `landed` but for the numbers `bad` among the validated ones; the others, if any."""
    good = good_rows(home, feed, file_id).parent
    if not len(bad):
        return _put(good, lambda to: _link(landed, to))
    return _put(good, lambda to: sift(landed, bad, to))


def _quarantine(db: duckdb.DuckDBPyConnection, file: Landed, bad: pa.Table, to: Path) -> None:
    """Write the bad rows of `file` to `to`, as text and with their reasons."""
    feed = FEEDS[file.feed]
    texts = {
        column: f"coalesce(_cast_errors['{column}'], {column}::varchar)" for column in feed.columns
    }
    key = ", ".join(f"coalesce({texts[column]}, '')" for column in feed.key)
    row = ", ".join(f"'{column}': {text}" for column, text in texts.items())
    values = {
        "source": file.source,
        "feed": file.feed,
        "file_id": file.file_id,
        "name": file.name,
        "columns": list(feed.columns),
    }
    db.register("bad", bad)
    query = SQL["quarantined"].format(row_key=f"concat_ws('|', {key})", row=f"{{{row}}}")
    db.execute(query, values)
    db.unregister("bad")
    db.execute(f"copy quarantined to {literal(str(to))} (format parquet, compression zstd)")


def _link(landed: Path, to: Path) -> None:
    """A clean file is its own validated file: landed files never change, so a second name does."""
    try:
        os.link(landed, to)
    except OSError:
        shutil.copyfile(landed, to)


def _put(folder: Path, write_to: Callable[[Path], T]) -> T:
    """Write `rows.parquet` beside and rename it; what a killed judge left behind goes."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.part"):
        left.unlink()
    part = folder / "rows.part"
    made = write_to(part)
    part.replace(folder / "rows.parquet")
    part.unlink(missing_ok=True)  # renaming onto another link to the same file does nothing
    return made


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Choice:
    """Which of the open rows are meant; None is all."""

    feed: str | None = None
    rule: str | None = None
    file_id: int | None = None


def open_rows(ws: Workspace, choice: Choice) -> duckdb.DuckDBPyConnection:
    """A DuckDB with the chosen rows still in quarantine as table `open_row`, and the pairs
    (file_id, row_number) of all that came out of it as table `readmitted`."""
    if choice.feed is not None and choice.feed not in FEEDS:
        raise BadInput(f"There is no feed '{choice.feed}'; the feeds are {', '.join(FEEDS)}.")
    with ws.store.read() as store:
        files = store.all(SQL["files"])
        back = store.arrow(SQL["readmitted"], PAIR)
    paths = [
        str(bad_rows(ws.home, row["feed"], row["file_id"]))
        for row in files
        if choice.feed in (None, row["feed"]) and choice.file_id in (None, row["file_id"])
    ]
    db = duckdb.connect(config={"memory_limit": ws.settings.duckdb_memory})
    db.execute(SQL["empty"])
    db.register("readmitted", back)
    if paths:
        db.execute(SQL["fill"], {"files": paths, "rule": choice.rule})
    return db


def groups(ws: Workspace, choice: Choice) -> list[dict[str, Any]]:
    """How many open rows each file has for each column and rule."""
    with open_rows(ws, choice) as db:
        return named(db.execute(SQL["grouped"], {"rule": choice.rule}))


def rows(ws: Workspace, choice: Choice, *, limit: int) -> list[dict[str, Any]]:
    """The first `limit` open rows, each with its list of reasons."""
    with open_rows(ws, choice) as db:
        return named(db.execute(SQL["listed"], {"limit": limit}))


def _beside(target: Path) -> Path:
    """The file to write first; BadInput where `target` is no place for one."""
    if target.is_dir():
        raise BadInput(f"{target} is a folder; name the CSV that is to be written.")
    part = target.with_name(f"{target.name}.part")
    try:
        part.touch()
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        reason = str(error.strerror).lower()
        raise BadInput(f"{target} cannot be written: {reason}; choose another place.") from error
    return part


def export(ws: Workspace, choice: Choice, target: Path) -> dict[str, int]:
    """Write the chosen open rows to a CSV that can be set right and re-admitted; rows by feed.

    Its canonical columns hold text: money in minor units, times in UTC, and what could not be
    read as it stood in the file, with a quote before what a spreadsheet would take for a formula.
    Rows of several feeds stand under the columns of all of them.
    """
    with open_rows(ws, choice) as db:
        counted = "select feed, count(*) from open_row group by feed order by feed"
        feeds = dict(db.execute(counted).fetchall())
        if not feeds:
            raise BadInput("Nothing of that is in quarantine, so there is nothing to export.")
        names = dict.fromkeys(column for feed in feeds for column in FEEDS[feed].columns)
        columns = ", ".join(
            f"no_formula(q.\"row\" ->> '{column}') as {name(column)}" for column in names
        )
        part = _beside(target)
        try:
            db.execute(SQL["macros"])
            db.execute(SQL["exported"].format(columns=columns, path=literal(str(part))))
            part.replace(target)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return feeds
