"""Customers who are on the register twice: pairs with how probable it is, what agrees and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow.parquet as pq

from tessera.errors import BadInput
from tessera.know import names
from tessera.know.identity import Thresholds
from tessera.quoting import constant
from tessera.store.queries import queries
from tessera.workspace import Workspace

SQL = queries("tessera.know", "duplicates.sql")
SHARED = 10  # customers at most who share an address that still says something of each
FIELDS = {
    "name": "name",
    "birth": "birth date",
    "email": "e-mail",
    "phone": "phone",
    "address": "address",
}


@dataclass(frozen=True)
class FoundReport:
    """Customers compared, and pairs of them that may be one person."""

    customers: int
    automatic: int
    review: int


def find(ws: Workspace) -> FoundReport:
    """Write `know/duplicates.parquet`, anew; the same register gives the same bytes.

    BadInput when no register of customers was validated yet, or the thresholds are no thresholds.
    """
    from tessera.know import matching  # and Splink with it, which takes a second to come

    limits = Thresholds.of(ws)
    with register(ws) as duck:
        _prepare(duck)
        found = matching.probable(duck, twice=limits.twice, least=limits.review)
        duck.execute(SQL["pairs"].format(found=found))
        words = {name: _words(value) for name, value in _AGREE.items()}
        duck.execute(SQL["verdicts"].format(automatic=limits.automatic, **words))
        pairs = duck.execute("from verdict").to_arrow_table()
        [people] = duck.execute("select count(*) from people").fetchone() or [0]
    path = ws.home.duplicates
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    pq.write_table(pairs, beside)
    beside.replace(path)
    automatic = pairs["verdict"].to_pylist().count("automatic")
    return FoundReport(people, automatic, len(pairs) - automatic)


@contextmanager
def register(ws: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with what every customer last said of themselves, as `register`."""
    files = sorted(map(str, (ws.home.validated / "customers").glob("file_id=*/rows.parquet")))
    if not files:
        raise BadInput("No register of customers is there yet: land one, then 'tessera run'.")
    given = {"threads": str(ws.settings.threads), "memory_limit": ws.settings.duckdb_memory}
    with closing(duckdb.connect(config={**given})) as duck:
        duck.execute(SQL["register"].format(files=constant(files)))
        yield duck


def told(duck: duckdb.DuckDBPyConnection, ids: list[str]) -> list[dict[str, Any]]:
    """What the customers last said of themselves."""
    return list(duck.execute(SQL["told"], {"ids": ids}).to_arrow_table().to_pylist())


def _prepare(duck: duckdb.DuckDBPyConnection) -> None:
    written = names.written(name for (name,) in duck.execute(SQL["names"]).fetchall() if name)
    duck.register("written", written)
    for macro in ("known", "same", "surely", "near", "near_date", "near_mail", "slip"):
        duck.execute(SQL[macro])
    duck.execute(SQL["people"].format(shared=SHARED))


_AGREE = {"agrees": 2, "nearly": 1, "differs": 0}


def _words(value: int) -> str:
    """SQL for the names of the fields that compare so."""
    words = (
        f"case when said.{field} = {value} then '{word}' end" for field, word in FIELDS.items()
    )
    return f"concat_ws(', ', {', '.join(words)})"
