"""A plain file that somebody gives us: read into DuckDB as text, its columns checked by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from tessera.documents import nearest
from tessera.errors import BadInput

PARQUET = "select * from read_parquet(?)"
CSV = "select * from read_csv(?, header = true, all_varchar = true)"
LENIENT_CSV = f"{CSV[:-1]}, strict_mode = false, quote = '\"', escape = '\"')"  # mixed line ends


def load(connection: duckdb.DuckDBPyConnection, path: Path, needed: Iterable[str]) -> list[str]:
    """Make the view `given` of a CSV or Parquet file, all text, rows numbered by `_row`; its columns.

    BadInput when it cannot be read, lacks a needed column or has no rows."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file; give the path of a CSV or Parquet file.")
    found = _rows(connection, path)
    found.create("given_rows")
    columns = found.columns
    for name in needed:
        if name not in columns:
            raise BadInput(f"{path}: there is no column '{name}'.{nearest(name, columns)}")
    if not connection.sql("select 1 from given_rows limit 1").fetchall():
        raise BadInput(f"{path}: there are no rows in it; give a file with a row per record.")
    connection.execute("create view given as select rowid + 1 as _row, * from given_rows")
    return list(columns)


def _rows(connection: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    reads = [PARQUET] if path.suffix == ".parquet" else [CSV, LENIENT_CSV]
    for read in reads:
        try:
            found = connection.sql(read, params=[str(path)])
            connection.execute("select count(*) from found")
        except duckdb.Error as error:
            what = str(error).split("\n", maxsplit=1)[0].rstrip(".")
        else:
            return found
    raise BadInput(f"{path}: cannot be read as CSV with a header or as Parquet ({what}).")
