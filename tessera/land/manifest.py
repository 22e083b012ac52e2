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
from tessera.store import queries
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


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """One process at a time."""
    with alone_in(home.landing):
        yield


def key(
    ws: Workspace, source: str, feed: str, name: str, content_hash: str, *, whole: bool
) -> str | None:
    """The key under which this content is to be taken; None where the feed took it already. Of a `whole`
    file, which says all there is, it counts once more when the last of this name, or of the feed if the name
    is new, was another."""
    of_feed = {"source": source, "feed": feed}
    with ws.store.read() as store:
        if not store.one(SQL["taken"], **of_feed, content_hash=content_hash):
            return content_hash
        last = store.scalar(SQL["last"], **of_feed, name=name) if whole else content_hash
        if str(last).startswith(content_hash):
            return None
        times = store.scalar(SQL["times"], **of_feed, content_hash=content_hash)
    return f"{content_hash}-{times}"


def commit(ws: Workspace, landing: Landing, parquet: Path) -> int | None:
    """Move `parquet` into the landing and write its manifest row, the row last.

    Returns its `file_id`, or None when the content is there already. A content that was refused
    keeps its number and loses its verdict, so that it is judged anew.
    """
    with parquet.open("rb") as written:
        os.fsync(written.fileno())
    values = {**vars(landing), "landed_at": clock.stamp(ws.as_of)}
    with locked(ws.home), ws.store.write() as store:
        file_id: int | None = store.scalar(SQL["insert"], **values)
        if file_id is None:
            file_id = store.scalar(SQL["judge_again"], **values)
        if file_id is not None:
            target = path(ws.home, landing.feed, file_id)
            target.parent.mkdir(parents=True, exist_ok=True)
            parquet.replace(target)
    return file_id


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
