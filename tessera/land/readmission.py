"""Re-admission: quarantined rows that were set right, landed again as rows of source `readmitted`.

They are judged like any others. The rows that pass are modelled, and each marks the quarantined
row it stands for, once; the others change nothing, and what they stand for stays in quarantine.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from tessera import audit, clock
from tessera.errors import BadInput
from tessera.feeds import FEEDS, SQL_TYPES, Feed
from tessera.home import Home
from tessera.land import delimited, manifest, quarantine
from tessera.land.manifest import Landing
from tessera.land.quarantine import PAIR, Choice
from tessera.land.verdict import READMITTED, Landed, pending
from tessera.quoting import literal, name
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.land", "readmission.sql")
OF_THE_ROW = ("feed", "file_id", "row_number")
TYPED = {
    "text": "{}",
    "integer": "exact_integer({})",
    "money": "exact_integer({})",
    "decimal": "exact_decimal({})",
    "boolean": "exact_boolean({})",
    "date": "exact_date({})",
    "timestamp": "exact_moment({})",
}


@dataclass(frozen=True)
class Readmitted:
    """What came of re-admitting rows."""

    rows: int  # that were offered and open
    already: int  # offered, but re-admitted before
    readmitted: int
    still_quarantined: int
    reasons: dict[str, int]  # rule -> values, of those that stay


def land_file(ws: Workspace, path: Path) -> tuple[dict[int, int], int]:
    """Land the rows of an exported CSV that was corrected: how many of them are open, by the number
    of their new file (there is one for each feed), and how many were re-admitted before."""
    delimiter = _delimiter(path)
    with duckdb.connect() as probe:
        offered = _read(probe, path, delimiter)
    feeds = _feeds(path, offered)
    landed = {}
    with quarantine.open_rows(ws, Choice()) as db:
        db.register("offered", offered)
        already = _refuse_strangers(db, path)
        db.execute(SQL["macros"])
        for feed in feeds:
            texts = ", ".join(f"given(o.{name(c)}) as {name(c)}" for c in feed.columns)
            db.execute(SQL["fixed"].format(texts=texts), {"feed": feed.name})
            file_id, rows = _land(ws, db, feed, path.name)
            if file_id is not None:
                landed[file_id] = rows
    return landed, already


def land_again(ws: Workspace, choice: Choice) -> dict[int, int]:
    """Land the chosen open rows as they are, for a suite that has changed: the rows in each new
    file, by its number. Lines that could not be read at all stay where they are."""
    with quarantine.open_rows(ws, choice) as db:
        found = db.execute("select distinct feed from open_row order by feed").fetchall()
        db.execute(SQL["macros"])
        landed = {}
        for feed in (FEEDS[feed] for (feed,) in found):
            texts = ", ".join(f"\"row\" ->> '{c}' as {name(c)}" for c in feed.columns)
            db.execute(
                f"create or replace temp table fixed as select file_id, row_number, {texts} "
                f"from open_row where feed = '{feed.name}' and (\"row\" ->> '_row') is null"
            )
            file_id, rows = _land(ws, db, feed, f"{feed.name} from quarantine")
            if file_id is not None:
                landed[file_id] = rows
    return landed


def _delimiter(path: Path) -> str:
    """The CSV's delimiter, told by its header: spreadsheets of many countries write semicolons."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text; save it as 'CSV UTF-8'.") from error
    for delimiter in (",", ";", "\t"):
        if set(OF_THE_ROW) <= set(next(csv.reader([first], delimiter=delimiter), [])):
            return delimiter
    raise BadInput(
        f"{path} has no columns {', '.join(OF_THE_ROW)}: start from a file that "
        "'tessera quarantine export' wrote."
    )


def _read(db: duckdb.DuckDBPyConnection, path: Path, delimiter: str) -> pa.Table:
    columns = _columns(path, delimiter)
    try:
        return db.execute(
            "select * from read_csv($path, all_varchar = true, header = true, delim = $delim, "
            "quote = '\"', escape = '\"', auto_detect = false, columns = $columns) "
            f"where {delimited.any_value(columns)}",
            {"path": str(path), "delim": delimiter, "columns": columns},
        ).to_arrow_table()
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise BadInput(f"{path} is not a CSV that can be read: {said}") from error


def _columns(path: Path, delimiter: str) -> dict[str, str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return dict.fromkeys(next(csv.reader(file, delimiter=delimiter)), "VARCHAR")


def _feeds(path: Path, offered: pa.Table) -> list[Feed]:
    """The feeds whose rows are offered; BadInput if one is none, or lacks columns."""
    names = sorted(set(offered["feed"].to_pylist()), key=str)
    for feed in names:
        if feed not in FEEDS:
            raise BadInput(
                f"{path}: '{feed}' in column 'feed' is not a feed; leave it as exported."
            )
        missing = [column for column in FEEDS[feed].columns if column not in offered.column_names]
        if missing:
            raise BadInput(
                f"{path} has no column {', '.join(missing)}; keep all columns of the exported file."
            )
    return [FEEDS[feed] for feed in names]


def _refuse_strangers(db: duckdb.DuckDBPyConnection, path: Path) -> int:
    """How many of the offered rows were re-admitted before; BadInput if one never was quarantined,
    or is there twice."""
    stranger = db.execute(SQL["strange"]).fetchall()
    if stranger:
        raise BadInput(
            f"{path}: row {stranger[0][1]} of file {stranger[0][0]} is not in quarantine, or is in "
            "this file twice; leave the columns file_id and row_number as they were exported."
        )
    return int(db.execute(SQL["already"]).fetchall()[0][0])


def _land(
    ws: Workspace, db: duckdb.DuckDBPyConnection, feed: Feed, title: str
) -> tuple[int | None, int]:
    """Land table `fixed`: the new file's number and its rows."""
    rows = int(db.execute("select count(*) from fixed").fetchall()[0][0])
    if not rows:
        return None, 0
    fingerprint = str(db.execute(SQL["fingerprint"]).fetchall()[0][0])
    with ws.store.read() as store:
        attempts = store.scalar(SQL["attempts"], fingerprint=f"{fingerprint}-%")
    # The same rows may be offered again, when the suite has changed: that is another attempt.
    content_hash = f"{fingerprint}-{attempts}"
    target = origins(ws.home, content_hash)
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(db, SQL["origins"], target)
    part = target.with_suffix(".part")
    db.execute(f"copy ({_typed(feed)}) to {literal(str(part))} (format parquet, compression zstd)")
    landing = Landing(READMITTED, feed.name, content_hash, title, rows, part.stat().st_size)
    if manifest.commit(ws, landing, part) is None:
        part.unlink(missing_ok=True)
    with ws.store.read() as store:
        return store.scalar(SQL["file"], feed=feed.name, content_hash=content_hash), rows


def origins(home: Home, content_hash: str) -> Path:
    """Which quarantined rows the rows of a re-admitted file were; written before it is landed."""
    return home.quarantine / READMITTED / f"{content_hash}.parquet"


def _write(db: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    part = target.with_suffix(".origins.part")
    db.execute(f"copy ({query}) to {literal(str(part))} (format parquet)")
    part.replace(target)


def _typed(feed: Feed) -> str:
    made = {column: name(f"t {column}") for column in feed.columns}
    typed = ", ".join(
        f"{TYPED[kind].format(name(column))} as {made[column]}"
        for column, kind in feed.columns.items()
    )
    columns = ", ".join(
        f"cast({made[column]} as {SQL_TYPES[kind]}) as {name(column)}"
        for column, kind in feed.columns.items()
    )
    failed = {c: f"({made[c]} is null and {name(c)} is not null)" for c in feed.columns}
    entries = ", ".join(
        f"{{key: '{column}', value: case when {bad} then {name(column)} end}}"
        for column, bad in failed.items()
    )
    return SQL["typed"].format(
        typed=typed, columns=columns, failed=" or ".join(failed.values()), entries=entries
    )


def check(ws: Workspace, db: duckdb.DuckDBPyConnection, file: Landed) -> None:
    """Add to table `reason` what speaks against a re-admitted row beside the suite: it was
    re-admitted before, or another row has taken its place."""
    feed = FEEDS[file.feed]
    path = str(origins(ws.home, file.content_hash))
    db.execute(SQL["origin"], {"file_id": file.file_id, "path": path})
    with ws.store.read() as store:
        back = store.arrow(quarantine.SQL["readmitted"], PAIR)
    db.register("readmitted", back)
    db.execute(SQL["closed"], {"column": feed.key[0]})
    db.unregister("readmitted")
    _trace(ws, db, file.feed)
    same_key = " and ".join(f"v.{name(c)} = l.{name(c)}" for c in feed.key)
    if others := _others(ws, file):
        db.execute(
            SQL["overtaken"].format(same_key=same_key), {"column": feed.key[0], "others": others}
        )


def _trace(ws: Workspace, db: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Table `came_from`, of all rows of the feed that were let in so far."""
    with ws.store.read() as store:
        let_in = store.all(SQL["let_in"], feed=feed)
    db.execute(
        "create or replace temp table came_from (file_id bigint, row_number bigint, from_file_id bigint)"
    )
    for row in let_in:
        path = origins(ws.home, row["content_hash"])
        if path.exists():
            db.execute(SQL["came_from"], {"file_id": row["file_id"], "path": str(path)})


def _others(ws: Workspace, file: Landed) -> list[str]:
    """The feed's other rows: what was found good, and what waits to be judged."""
    good = (ws.home.validated / file.feed).glob("*/rows.parquet")
    waiting = (
        manifest.path(ws.home, other.feed, other.file_id)
        for other in pending(ws)
        if other.feed == file.feed and other.source != READMITTED
    )
    return [str(path) for path in (*good, *waiting)]


def commit(ws: Workspace, store: Connection, db: duckdb.DuckDBPyConnection, file: Landed) -> None:
    """Mark the quarantined rows whose corrected ones passed, in the verdict's transaction."""
    at = clock.stamp(ws.as_of)
    passed = db.execute(SQL["passed"], {"file_id": file.file_id}).to_arrow_table()
    rows = passed.append_column("into_file_id", pa.array([file.file_id] * len(passed), pa.int64()))
    rows = rows.append_column("at", pa.array([at] * len(passed), pa.string()))
    if store.insert_new("readmission", rows) != len(passed):
        raise RuntimeError(f"Rows of file {file.file_id} were re-admitted twice.")


def outcome(
    ws: Workspace, file_ids: list[int], *, rows: int, already: int, reasons: dict[str, int]
) -> Readmitted:
    """What came of the rows landed as `file_ids`."""
    with ws.store.write() as store:
        if file_ids:
            files = ", ".join(map(str, file_ids))
            audit.record(ws, store, "readmit", f"files {files}", rows=rows)
        done = sum(int(store.scalar(SQL["outcome"], file_id=file_id)) for file_id in file_ids)
    return Readmitted(rows, already, done, rows - done, reasons)
