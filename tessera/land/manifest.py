"""The manifest: one row per content, source and feed, and the landed file it stands for;
a content that came back has one for each time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tessera import clock
from tessera.errors import BadInput
from tessera.home import Home
from tessera.locks import alone_in
from tessera.parquet import is_whole
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.land", "manifest.sql")


@dataclass(frozen=True)
class Landing:
    """What is to be landed: rows of one feed, made from one content."""

    source: str
    feed: str
    content_hash: str
    name: str
    rows: int
    bytes: int
    left_out: int = 0  # rows of people who were erased


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """One process at a time."""
    with alone_in(home.landing):
        yield


def key(
    ws: Workspace, source: str, feed: str, name: str, content_hash: str, *, whole: bool
) -> str | None:
    """The key under which this content is to be taken; None where the feed took it already, and its rows
    are there. Of a `whole` file, which says all there is, it counts once more when the last of this name, or
    of the feed if the name is new, was another."""
    of_feed = {"source": source, "feed": feed}
    with ws.store.read() as store:
        found = store.all(SQL["taken"], **of_feed, content_hash=content_hash)
        last = store.scalar(SQL["last"], **of_feed, name=name) if whole else content_hash
    taken = {row["content_hash"]: path(ws.home, feed, row["file_id"]) for row in found}
    if content_hash not in taken:
        return content_hash
    gone = [key for key, rows in taken.items() if not is_whole(rows)]
    if gone:
        return str(gone[0])
    return None if str(last).startswith(content_hash) else f"{content_hash}-{len(taken)}"


def commit(ws: Workspace, landing: Landing, parquet: Path) -> int | None:
    """Move `parquet` into the landing and write its manifest row, the row last.

    Returns its `file_id`, or None when the content is there already. A content that was refused
    keeps its number and loses its verdict, so that it is judged anew; one whose file is lost, or was cut
    short, is put back under its number.
    """
    with parquet.open("rb") as written:
        os.fsync(written.fileno())
    values = {**vars(landing), "landed_at": clock.stamp(ws.as_of)}
    with locked(ws.home), ws.store.write() as store:
        file_id: int | None = store.scalar(SQL["insert"], **values)
        if file_id is None:
            file_id = store.scalar(SQL["judge_again"], **values)
        if file_id is None:
            file_id = _lost(ws.home, store, landing)
        if file_id is not None:
            target = path(ws.home, landing.feed, file_id)
            target.parent.mkdir(parents=True, exist_ok=True)
            parquet.replace(target)
    return file_id


def _lost(home: Home, store: Connection, landing: Landing) -> int | None:
    """The number of the landing that this one was, if its file is gone. BadInput: it has other rows now."""
    row = store.one(SQL["there"], **vars(landing))
    if row is None or is_whole(path(home, landing.feed, row["file_id"])):
        return None
    if not landing.rows <= row["rows"] <= landing.rows + landing.left_out:
        raise BadInput(
            f"{landing.name} was landed before and is lost here. It had {row['rows']:,} rows then and has "
            f"{landing.rows:,} by the mapping of today: land it by the mapping of then, or bring "
            f"{path(home, landing.feed, row['file_id']).parent} back from a backup."
        )
    if landing.rows < row["rows"]:
        store.run(SQL["judge_rows"], file_id=row["file_id"], rows=landing.rows)
    return int(row["file_id"])


def judge_rows_again(ws: Workspace, file_id: int) -> None:
    """Have the rows of an accepted file judged once more, by the row rules only: what it was measured
    against when it came is no measure now."""
    with ws.store.write() as store:
        store.run(SQL["judge_rows"], file_id=file_id, rows=None)


def forget(ws: Workspace, file_id: int) -> None:
    """As if this file had never been landed."""
    with ws.store.write() as store:
        store.run(SQL["forget"], file_id=file_id)


def path(home: Home, feed: str, file_id: int) -> Path:
    """Where the rows of a landed file lie."""
    return home.landing / feed / f"file_id={file_id}" / "rows.parquet"


def sweep(ws: Workspace) -> None:
    """Remove files whose process died before it could commit their row. Call it locked: then no
    living process is between the two. BadInput: see `check`."""
    for folder in check(ws):
        shutil.rmtree(folder, ignore_errors=True)


def check(ws: Workspace) -> list[Path]:
    """The folders of landed files that the manifest does not know. BadInput where one of them was judged,
    which none is before its row is there: then the store is not this home's, or an older one, and would have
    everything land, post and send once more."""
    with ws.store.read() as store:
        known = {(row["feed"], f"file_id={row['file_id']}") for row in store.all(SQL["all"])}
    strange = [
        folder
        for folder in ws.home.landing.glob("*/file_id=*")
        if (folder.parent.name, folder.name) not in known
    ]
    for folder in strange:
        judged = ws.home.validated / folder.parent.name / folder.name
        if judged.exists():
            raise BadInput(
                f"The store knows nothing of {folder}, which was landed and judged: it is not the store of "
                "this home, or an older one. Name the right one in TESSERA_STORE_URL, or bring it back from "
                "a backup with its -wal file; to go on from an older one, delete the home's folder validated/ "
                "and land again what came since."
            )
    return strange
