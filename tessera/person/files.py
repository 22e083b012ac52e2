"""The home's Parquet files without a person: each is written beside and put in its place.

Every function may be killed and called again: it looks at what is there, not at what was done.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from tessera.errors import BadInput
from tessera.feeds import FEEDS, Feed
from tessera.home import Home
from tessera.land import erased
from tessera.person import held, records
from tessera.person import identity as who
from tessera.quoting import literal
from tessera.store import Connection
from tessera.warehouse.packs import FEED
from tessera.warehouse.publish import LINES, PACKED, prune

EXPORTED = "(select *, null::map(varchar, varchar) as _cast_errors from {})"  # as if it were landed
WITHOUT_CARD = """
select * replace (
    case when {theirs} then json_merge_patch("row", '{{"card_id": null}}')::varchar else "row" end
        as "row",
    case when {theirs} then list_filter(reasons, lambda r: r."column" <> 'card_id') else reasons end
        as reasons
) from {rows} where not ({theirs} and ("row" ->> '_row') is not null)
"""


@dataclass
class Files:
    """The files of one home, for whoever is in the connection's table `theirs`."""

    home: Home
    duck: duckdb.DuckDBPyConnection
    nobody: Callable[[str], str]  # the SQL of a customer's new name, by that of the old
    moved: dict[int, Path] = field(default_factory=dict)  # inode -> where its new content lies

    def forget(self) -> None:
        """All of them, the landed first: what is made from them cannot bring anybody back then."""
        with suppress(BadInput):  # nothing was published yet
            prune(self.home, kept_days=0)
        for feed in FEEDS.values():
            self._rows_of(feed, who.landed(self.home, feed.name))
            validated = (self.home.validated / feed.name).glob("file_id=*/rows.parquet")
            self._rows_of(feed, sorted(validated))
            self._quarantined(feed)
        self._published()
        self._named(held.decided(self.home))
        for week in self._weeks():
            shutil.rmtree(week)

    def _rows_of(self, feed: Feed, files: list[Path]) -> None:
        theirs = erased.is_theirs(feed)
        for path in self._with(files, theirs):
            self._put(path, erased.kept(feed, _file(path), self.nobody))

    def _quarantined(self, feed: Feed) -> None:
        theirs = held.is_quarantined(feed)
        for path in self._with(held.quarantined(self.home, feed), theirs):
            if feed.name == FEED:
                query = WITHOUT_CARD.format(theirs=theirs, rows=_file(path))
            else:
                query = f"select * from {_file(path)} where not ({theirs})"
            self._put(path, query)

    def _published(self) -> None:
        """The snapshot in force; those before it are gone."""
        for _, files in held.published(self.home):
            self._named(files)
        for lines in (f"{LINES}/*", PACKED):
            found = sorted(self.home.marts.glob(f"*/{lines}/*.parquet"))
            self._rows_of(FEEDS[FEED], [path for path in found if _is_landed(path)])

    def _named(self, files: list[Path]) -> None:
        theirs = held.is_named(self.duck, files[0]) if files else None
        for path in self._with(files, theirs) if theirs else ():
            self._put(path, f"select * from {_file(path)} where not ({theirs})")

    def _weeks(self) -> Iterable[Path]:
        """The weeks whose index of decisions has the person; without one they are read as is."""
        files = sorted(self.home.decision_index.glob("week=*/*/bucket=*/*.parquet"))
        theirs = held.is_named(self.duck, files[0]) if files else None
        found = self._with(files, theirs) if theirs else ()
        return sorted({path.parents[2] for path in found})

    def engine(self, feed: Feed) -> Iterator[tuple[str, str]]:
        """Rewrite the engine's own exports of a feed; the hash of each one changed, before and
        after."""
        files = sorted((self.home.engine / feed.name).glob("*.parquet"))
        for path in self._with(files, erased.is_theirs(feed), EXPORTED):
            before = content_hash(path)
            query = erased.kept(feed, EXPORTED.format(_file(path)), self.nobody)
            self._put(path, f"select * exclude (_cast_errors) from ({query})")
            yield before, content_hash(path)

    def _with(self, files: list[Path], theirs: str, rows: str = "{}") -> list[Path]:
        """Those of the files that have the person."""
        found = []
        for some in who.portions(files):
            read = f"read_parquet({some}, filename = true, hive_partitioning = false)"
            query = f"select distinct filename from {rows.format(read)} where {theirs} order by 1"
            found += [Path(row[0]) for row in self.duck.execute(query).fetchall()]
        return found

    def _put(self, path: Path, query: str) -> None:
        """Write what `query` gives in the file's place; its other names get the same file."""
        state = path.stat()
        if state.st_ino not in self.moved:
            erased.rewrite(self.duck, path, query)
            self.moved[state.st_ino] = path
        else:
            beside = path.with_name(f".{path.name}.part")
            beside.unlink(missing_ok=True)
            beside.hardlink_to(self.moved[state.st_ino])
            beside.replace(path)
        if state.st_nlink == 1:  # nobody has the old file any more: its number may come again
            del self.moved[state.st_ino]


def _file(path: Path) -> str:
    return f"read_parquet({literal(str(path))}, hive_partitioning = false)"


def _is_landed(path: Path) -> bool:
    """What stands for the lines of a home without receipts is not."""
    return "_cast_errors" in pq.read_schema(path).names


def content_hash(path: Path) -> str:
    """As a landing has it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recount(home: Home, connection: Connection) -> None:
    """Bring the manifest's counts to what the files hold, and drop the re-admissions of rows that
    are gone."""
    landed, good = _counted(home.landing), _counted(home.validated)
    for row in connection.all(records.SQL["files"]):
        key = (row["feed"], row["file_id"])
        now = {**row, "rows": landed.get(key, row["rows"])}
        if row["verdict"] == "accepted":
            now["good_rows"] = good.get(key, 0)
            now["bad_rows"] = now["rows"] - now["good_rows"]
        if now != row:
            counts = {name: now[name] for name in ("file_id", "rows", "good_rows", "bad_rows")}
            connection.run(records.SQL["recount"], **counts)
    _forget_readmissions(home, connection)


def _counted(folder: Path) -> dict[tuple[str, int], int]:
    """How many rows each file of a feed has."""
    return {
        (path.parts[-3], who.file_id(path)): pq.read_metadata(path).num_rows
        for path in folder.glob("*/file_id=*/rows.parquet")
    }


def _forget_readmissions(home: Home, connection: Connection) -> None:
    pairs = connection.all(records.SQL["readmissions"])
    wanted = {row["file_id"] for row in pairs}
    there = {
        (who.file_id(path), number)
        for path in home.landing.glob("*/file_id=*/rows.parquet")
        if who.file_id(path) in wanted
        for number in pq.read_table(path, columns=["_row_number"])["_row_number"].to_pylist()
    }
    gone = [row for row in pairs if (row["file_id"], row["row_number"]) not in there]
    connection.run_many(records.SQL["forget_readmission"], gone)
