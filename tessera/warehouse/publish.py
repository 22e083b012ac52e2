"""Publishing the marts: a folder of Parquet files, put in force by replacing `current.json`.

Nothing is written again: what changed is the file that dbt made, under another name, what did not is
that of the snapshot in force, and receipt lines are the validated files they lie in, or the packs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from tessera import clock
from tessera.errors import BadInput
from tessera.feeds import FEEDS, SQL_TYPES
from tessera.home import Home
from tessera.parquet import is_whole
from tessera.quoting import literal
from tessera.warehouse.inputs import Green, replace_text
from tessera.warehouse.marts import Snapshot, current
from tessera.warehouse.packs import FEED, Lines

LINES, PACKED = "receipt_lines", "packed_lines"  # in files of their own, and in packs
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)  # what file systems answer


def publish(
    home: Home,
    green: Green,
    lines: Lines,
    *,
    kept_days: int,
    finish: Callable[[Path], None],
) -> Snapshot:
    """Put the marts of a green build in force, with the receipt lines they stand on, after `finish` was
    given their folder.

    A build that is in force already and whole is left alone, bytes and all. Readers of the snapshot that
    was in force before can go on for `kept_days`.
    """
    before = _in_force(home)
    folder = home.marts / green.name
    if not _is_whole(folder, green, lines):
        shutil.rmtree(folder, ignore_errors=True)  # only of damage: it is renamed when it is whole
        _write(home, folder, green, lines, before=before, finish=finish)
    elif before is not None and before.name == green.name:
        return before
    names = [*green.marts, PACKED] if lines.packs else green.marts
    found = {mart: f"{green.name}/{mart}/*.parquet" for mart in names}
    snapshot = {
        "name": green.name,
        "as_of": green.inputs.as_of,
        "built_at": clock.stamp(clock.now()),
        "marts": found | {LINES: f"{green.name}/{LINES}/*/*.parquet"},
        "made": {mart: green.made[mart] for mart in green.marts},
    }
    replace_text(home.marts / "current.json", json.dumps(snapshot, indent=1))
    if before is not None:
        with contextlib.suppress(FileNotFoundError):  # published by hand, then taken away
            os.utime(home.marts / before.name)  # its days to keep count from now
    prune(home, kept_days=kept_days)
    return current(home)


def _in_force(home: Home) -> Snapshot | None:
    try:
        return current(home)
    except BadInput:
        return None


def _is_whole(folder: Path, green: Green, lines: Lines) -> bool:
    """Whether the snapshot is there with all that readers will look for."""
    loose = (folder / LINES / f"file_id={n}" for n in lines.loose or [0])
    marts = (folder / mart for mart in green.marts)
    packs = (folder / PACKED / pack.name for pack in lines.packs)
    return all(map(is_whole, (*(part / "rows.parquet" for part in (*marts, *loose)), *packs)))


def _write(
    home: Home,
    folder: Path,
    green: Green,
    lines: Lines,
    *,
    before: Snapshot | None,
    finish: Callable[[Path], None],
) -> None:
    """Write the snapshot beside, then rename it: a folder without a dot is whole."""
    beside = home.marts / f".{green.name}"
    shutil.rmtree(beside, ignore_errors=True)
    for mart in green.marts:
        (beside / mart).mkdir(parents=True)
        _link(_source(home, green, mart, before), beside / mart / "rows.parquet")
    _link_lines(home, lines, beside)
    finish(beside)
    beside.rename(folder)


def _source(home: Home, green: Green, mart: str, before: Snapshot | None) -> Path:
    """The published file, with what was learned since, if the mart is as it was; else what dbt made."""
    if before is not None and before.made.get(mart) == green.made[mart]:
        known = home.marts / before.name / mart / "rows.parquet"
        if is_whole(known):
            return known
    return home.built / f"{mart}.parquet"


def _link_lines(home: Home, lines: Lines, folder: Path) -> None:
    for file_id in lines.loose:
        part = folder / LINES / f"file_id={file_id}"
        part.mkdir(parents=True)
        _link(home.validated / FEED / part.name / "rows.parquet", part / "rows.parquet")
    if not lines.loose:
        _write_no_lines(folder / LINES / "file_id=0")
    for pack in lines.packs:
        (folder / PACKED).mkdir(exist_ok=True)
        _link(pack, folder / PACKED / pack.name)


def _write_no_lines(folder: Path) -> None:
    """An empty file with the columns of a receipt line, so that readers find them."""
    folder.mkdir(parents=True)
    types = {name: SQL_TYPES[kind] for name, kind in FEEDS[FEED].columns.items()}
    columns = [
        f"null::{kind} as {name}" for name, kind in (types | {"_row_number": "bigint"}).items()
    ]
    path = literal(str(folder / "rows.parquet"))
    with duckdb.connect() as connection:
        connection.execute(f"copy (select {', '.join(columns)} where false) to {path}")


def _link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system has no such thing."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(source, target)


def prune(home: Home, *, kept_days: int) -> list[str]:
    """Remove the snapshots that have been out of force for `kept_days`, and what killed
    publications left; the names of those removed."""
    name = current(home).name
    limit = clock.now() - timedelta(days=kept_days)
    removed = []
    for folder in sorted(home.marts.iterdir()):
        if not folder.is_dir() or folder.name == name:
            continue
        left_at = datetime.fromtimestamp(folder.stat().st_mtime, limit.tzinfo)
        if folder.name.startswith(".") or left_at <= limit:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
    return removed
