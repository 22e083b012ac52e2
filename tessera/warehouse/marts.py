"""Reading the published marts: an in-memory DuckDB with one view per mart.

`transactions` is published in pieces (`receipt_lines`, `packed_lines`, `card_owners`, `superseded_lines`)
and put together here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from tessera.errors import BadInput
from tessera.home import Home
from tessera.locks import alone_in
from tessera.parquet import is_whole
from tessera.quoting import literal

ANEW = "run 'tessera run' of the last day again, which publishes the marts anew"
LEARNED = ("recommendations", "weeks")  # what the night learns, once it did, beside the marts
NOBODY_ELSE = "create view known_as as select ''::varchar as customer_id, ''::varchar as into_customer_id where false"

NONE_PACKED = "create view packed_lines as from receipt_lines where false"


@dataclass(frozen=True)
class Snapshot:
    """One published state of the marts: `marts/current.json` names it."""

    name: str
    as_of: datetime  # UTC
    marts: dict[str, str]  # mart -> glob of its Parquet files, below the marts folder
    made: dict[str, str] = field(default_factory=dict)  # mart -> the build that last made it


def current(home: Home) -> Snapshot:
    """The snapshot in force; BadInput when nothing was published yet, or what says so is damaged."""
    path = home.marts / "current.json"
    try:
        return _snapshot(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadInput(
            f"No marts are published in {home.root}; land files and run 'tessera run' first."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{path} is damaged; {ANEW}.") from None


def is_published(home: Home) -> bool:
    """Whether there ever were marts, whole or not."""
    return (home.marts / "current.json").exists()


def _snapshot(found: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        name=found["name"],
        as_of=datetime.fromisoformat(found["as_of"]),
        marts=found["marts"],
        made=found.get("made", {}),
    )


def connect(
    home: Home, *, memory: str = "4GB", threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB, in UTC, where every published mart is a view of its own name."""
    snapshot = current(home)
    spill = home.root / "tmp" / f"marts-{os.getpid()}"  # DuckDB makes it, and takes it away,
    spill.parent.mkdir(exist_ok=True)  # but makes one folder only
    connection = duckdb.connect(config={"memory_limit": memory, "temp_directory": str(spill)})
    connection.execute("set TimeZone = 'UTC'")  # loads ICU, which as a config key it cannot
    if threads:
        connection.execute(f"set threads = {threads}")
    for mart, files in snapshot.marts.items():
        _view(connection, mart, home.marts / files)
    if "known_as" not in snapshot.marts:  # of an older version, or made by hand
        connection.execute(NOBODY_ELSE)
    for name in LEARNED:
        learned = home.know / f"{name}.parquet"
        if is_whole(learned):
            rows = f"read_parquet({literal(str(learned))})"
            connection.execute(f"create view {name} as select * from {rows}")
    if "receipt_lines" in snapshot.marts:
        if "packed_lines" not in snapshot.marts:  # nor need there be
            connection.execute(NONE_PACKED)
        connection.execute(
            resources.files("tessera.warehouse").joinpath("transactions.sql").read_text("utf-8")
        )
    return connection


def _view(connection: duckdb.DuckDBPyConnection, mart: str, files: Path) -> None:
    """The mart as a view; BadInput when its files are not there or were cut short."""
    path = literal(str(files))
    partitions = ", hive_types = {'file_id': bigint}" if "/*/" in str(files) else ""
    try:
        connection.execute(
            f"create view {mart} as select * from read_parquet({path}, "
            f"hive_partitioning = {bool(partitions)}{partitions})"
        )
    except (duckdb.IOException, duckdb.InvalidInputException):
        raise BadInput(
            f"The published mart '{mart}' is lost or damaged ({files}); {ANEW}."
        ) from None


def views(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The marts that there are, and what else was made a view beside them."""
    found = connection.execute("select view_name from duckdb_views()").fetchall()
    return {name for (name,) in found}


@contextmanager
def undisturbed(home: Home) -> Iterator[None]:
    """Nobody builds, fills or erases meanwhile."""
    with alone_in(home.dbt):
        yield


def rewrite(home: Home, connection: duckdb.DuckDBPyConnection, mart: str, query: str) -> None:
    """Put the rows of `query` in the place of a published mart's, whole or not at all. The columns
    must be the contract's; a snapshot that shares the file keeps its own."""
    path = (home.marts / current(home).marts[mart]).parent / "rows.parquet"
    replace(home, connection, path, query)


def replace(home: Home, connection: duckdb.DuckDBPyConnection, path: Path, query: str) -> None:
    """As `rewrite`, of any file. Another name of the old one keeps its rows."""
    tmp = home.root / "tmp"  # which an erasure empties
    beside = tmp / f"{path.parent.name}-{os.getpid()}.parquet"
    connection.execute(f"copy ({query}) to {literal(str(beside))} (format parquet)")
    beside.replace(path)
