"""A plain file that somebody gives us: read into DuckDB as text, its columns checked by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import duckdb

from tessera.documents import nearest
from tessera.errors import BadInput

PARQUET = "select * from read_parquet(?)"
CSV = "select * from read_csv(?, header = true, all_varchar = true)"
ROW = "_row_of_the_file"  # as a column: a name that no file has
SEPARATOR = re.compile("[,;\t|]")
LENIENT_CSV = f"{CSV[:-1]}, strict_mode = false, quote = '\"', escape = '\"')"  # mixed line ends


def load(connection: duckdb.DuckDBPyConnection, path: Path, needed: Iterable[str]) -> list[str]:
    """Make the table `given` of a CSV or Parquet file, all text, rows numbered by `ROW`; its columns.

    BadInput when it cannot be read, lacks a needed column or has no rows."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file; give the path of a CSV or Parquet file.")
    if not path.stat().st_size:
        raise BadInput(f"{path}: the file is empty; give one with a header and a row per record.")
    columns = _make(connection, path)
    if len(columns) == 1 and SEPARATOR.search(columns[0]):  # all that DuckDB could make of it
        raise BadInput(f"{path}: some rows have more or fewer values than the header; mend them.")
    for name in needed:
        if name not in columns:
            raise BadInput(f"{path}: there is no column '{name}'.{nearest(name, columns)}")
    if not connection.sql("select 1 from given limit 1").fetchall():
        raise BadInput(f"{path}: there are no rows in it; give a file with a row per record.")
    return columns


def _make(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    reads = [PARQUET] if path.suffix == ".parquet" else [CSV, LENIENT_CSV]
    for read in reads:
        try:
            found = connection.sql(read, params=[str(path)])
            connection.execute(
                f"create or replace temp table given as select row_number() over () as {ROW}, "
                "columns(*)::varchar from found"
            )
        except duckdb.Error as error:
            what = _reason(error)
        else:
            return found.columns
    raise BadInput(f"{path}: cannot be read as CSV with a header or as Parquet ({what}).")


def _reason(error: duckdb.Error) -> str:
    """What DuckDB says is wrong, without its advice."""
    first, *rest = str(error).split("\n")
    told = [line for line in rest if line.startswith(("Expected Number", "Invalid unicode"))]
    return ": ".join([first, *told]).rstrip(".")
