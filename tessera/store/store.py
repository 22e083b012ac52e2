"""A transaction, a query, a bulk insert: the little the rest of the engine asks of a database."""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import csv
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import Connection as SqlConnection
from sqlalchemy.engine import make_url

from tessera.errors import BadInput
from tessera.store import migrate
from tessera.store.together import Together

Row = Mapping[str, Any]
BULK = 1_000  # rows at once, after which a table is another one to a planner
MANY = 50_000  # rows at once, for which SQLite is given more memory than it takes by itself
PAGES_KB = {False: 2_000, True: 262_144}
T = TypeVar("T")


@lru_cache(maxsize=1024)
def psycopg_style(query: str) -> str:
    """The query with its `:name` parameters as `%(name)s`; `::` is a cast."""
    return re.sub(r"(?<![:\w]):(\w+)(?!:)", r"%(\1)s", query.replace("%", "%%"))


@dataclass(frozen=True)
class Connection:
    """One transaction. Queries are text with `:name` parameters, the same on both databases."""

    sql: SqlConnection

    @property
    def dialect(self) -> str:
        """'sqlite' or 'postgresql'."""
        return self.sql.dialect.name

    def all(self, query: str, **params: object) -> list[Row]:
        found = self._ask(query, params)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def one(self, query: str, **params: object) -> Row | None:
        found = self._ask(query, params)
        row = found.fetchone()
        if row is None:
            return None
        return {column[0]: value for column, value in zip(found.description, row, strict=True)}

    def scalar(self, query: str, **params: object) -> Any:
        row = self._ask(query, params).fetchone()
        return None if row is None else row[0]

    def run(self, query: str, **params: object) -> int:
        """Execute; how many rows it touched."""
        return int(self._ask(query, params).rowcount)

    def run_many(self, query: str, rows: Sequence[Row]) -> int:
        """Execute once for each of `rows`; how many rows all of it touched."""
        return max(0, int(self._ask(query, list(rows)).rowcount)) if rows else 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is done inside is undone when it fails; what came before it stays."""
        self.run("savepoint attempt")
        try:
            yield
        except Exception:
            self.run("rollback to savepoint attempt")
            raise
        finally:
            self.run("release savepoint attempt")

    def listed(self, name: str) -> str:
        """A table with a column `value`: the members of the JSON array `:name`, however many."""
        if self.dialect == "sqlite":
            return f"json_each(:{name})"
        return f"(select json_array_elements_text(cast(:{name} as json)) as value)"

    def paired(self, name: str) -> str:
        """A table with the columns `key` and `value` of the JSON object `:name`."""
        return (
            f"json_each(:{name})"
            if self.dialect == "sqlite"
            else (f"json_each_text(cast(:{name} as json))")
        )

    def arrow(self, query: str, schema: pa.Schema, **params: object) -> pa.Table:
        """The rows of `query`, whose columns must come in `schema`'s order."""
        found = self._ask(query, params)
        batches = [
            pa.record_batch(
                [
                    pa.array(col, field.type)
                    for col, field in zip(zip(*chunk, strict=True), schema, strict=True)
                ],
                schema=schema,
            )
            for chunk in iter(lambda: found.fetchmany(100_000), [])
        ]
        return pa.Table.from_batches(batches, schema)

    def insert_new(self, table: str, rows: pa.Table) -> int:
        """Insert Arrow rows, leaving alone those whose unique keys are there; how many were new.

        SQLite takes them through executemany, PostgreSQL through COPY into a temporary table:
        the fastest road of each that stays inside this transaction.
        """
        if rows.num_rows == 0:
            return 0
        columns = ", ".join(rows.column_names)
        sqlite = self.dialect == "sqlite"
        insert = self._insert_sqlite if sqlite else self._insert_postgresql
        try:
            return insert(table, columns, rows)
        except self._dbapi.Error as error:
            raise self._told(error, f"insert into {table} ({columns})") from None

    def _insert_sqlite(self, table: str, columns: str, rows: pa.Table) -> int:
        marks = ", ".join("?" * rows.num_columns)
        cursor = self._driver().cursor()
        # With its usual memory every row reads its pages of the large indexes anew.
        cursor.execute(f"pragma cache_size = -{PAGES_KB[rows.num_rows >= MANY]}")
        # OR IGNORE would also swallow broken CHECK and NOT NULL constraints.
        cursor.executemany(
            f"insert into {table} ({columns}) values ({marks}) on conflict do nothing",
            _tuples(rows),
        )
        return int(cursor.rowcount)

    def _insert_postgresql(self, table: str, columns: str, rows: pa.Table) -> int:
        cursor = self._driver().cursor()
        cursor.execute(
            f"create temporary table incoming on commit drop as select {columns} from {table} "
            "with no data"
        )
        with cursor.copy(f"copy incoming ({columns}) from stdin (format csv)") as copy:
            for batch in rows.to_batches(max_chunksize=50_000):
                lines = io.BytesIO()  # texts in quotes, so that an empty one is no null
                csv.write_csv(batch, lines, csv.WriteOptions(include_header=False))
                copy.write(lines.getvalue())
        cursor.execute(
            f"insert into {table} ({columns}) select {columns} from incoming on conflict do nothing"
        )
        inserted = int(cursor.rowcount)
        cursor.execute("drop table incoming")
        self.count_anew(table, inserted)
        return inserted

    def count_anew(self, table: str, new: int) -> None:
        """Tell PostgreSQL's planner how large `table` is, now that `new` rows came at once. It would
        believe it as small as it was, and walk it once for every row of another, until its own
        housekeeping comes by: after this transaction, and to a temporary table never."""
        if new >= BULK and self.dialect == "postgresql":
            self.run(f"analyze {table}")

    def _ask(self, query: str, params: Mapping[str, object] | Sequence[Row]) -> Any:
        """The driver's cursor after `query`: SQLAlchemy's own road to it costs several times what
        most of these statements do."""
        cursor = self._driver().cursor()
        spelled = psycopg_style(query) if self.dialect == "postgresql" else query
        run = cursor.executemany if isinstance(params, list) else cursor.execute
        try:
            run(spelled, params)
        except self._dbapi.Error as error:
            raise self._told(error, query) from None
        return cursor

    def _told(self, error: Exception, query: str) -> Exception:
        """The driver's error as SQLAlchemy's, without what PostgreSQL adds below its first line: the
        row in question, which may be somebody's."""
        error.args = (str(error).partition("\nDETAIL")[0].partition("\nCONTEXT")[0],)
        return sa_exc.DBAPIError.instance(
            query, None, error, self._dbapi.Error, hide_parameters=True, dialect=self.sql.dialect
        )

    @property
    def _dbapi(self) -> Any:
        return self.sql.dialect.loaded_dbapi

    def _driver(self) -> Any:
        return self.sql.connection.driver_connection


def _tuples(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    for batch in rows.to_batches(max_chunksize=50_000):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


@dataclass(frozen=True)
class Store:
    """Consents, suppressions, outbox, events, ledger, manifest and run records."""

    engine: Engine
    _line: Together = field(default_factory=Together, repr=False, compare=False)

    @classmethod
    def open(cls, url: str) -> Store:
        """The store at `url`, brought to this version's schema; BadInput when it cannot be."""
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, hide_parameters=True)  # errors are logged, people are not
        if engine.dialect.name == "sqlite":
            _tune_sqlite(engine)
        try:
            migrate.upgrade(engine)
        except sa_exc.DatabaseError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise BadInput(
                f"The store {parsed.render_as_string()} cannot be opened: {reason}. "
                "Check TESSERA_STORE_URL."
            ) from error
        except migrate.LaterVersion:
            raise BadInput(
                f"The store {parsed.render_as_string()} was made by a later version of Tessera; "
                "install that version."
            ) from None
        return cls(engine)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write: on SQLite it holds the write lock from its start."""
        with self.engine.begin() as connection:
            yield Connection(connection)

    def together(self, work: Callable[[Connection], T]) -> T:
        """What `work` answers, committed; maybe in one transaction with that of other threads, so it
        must be short, and right when it is tried again."""
        if self.engine.dialect.name == "sqlite":
            return self._line.do(self.write, work)
        with self.write() as connection:
            return work(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and waits for nobody."""
        engine = self.engine.execution_options(reads_only=True)
        with engine.connect() as connection:
            yield Connection(connection)

    def close(self) -> None:
        self.engine.dispose()


DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        return parsed.set(drivername=DRIVERS[parsed.drivername])
    except (sa_exc.ArgumentError, KeyError, ValueError):
        scheme = url.partition(":")[0]  # the rest may hold a password
        raise BadInput(
            f"TESSERA_STORE_URL begins with '{scheme}' and is not the URL of a store; give "
            "sqlite:///FOLDER/store.sqlite or postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from None


def _tune_sqlite(engine: Engine) -> None:
    """WAL, foreign keys, and BEGIN IMMEDIATE: a deferred BEGIN that reads and then writes fails
    with 'database is locked' as soon as two processes do it at once."""

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's begin event says BEGIN, not the driver
        connection.execute("pragma busy_timeout = 60000")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma wal_autocheckpoint = 4000")  # pages; see `checkpoints`
        connection.execute("pragma foreign_keys = on")

    @event.listens_for(engine, "begin")
    def _begin(connection: SqlConnection) -> None:
        reads_only = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("begin" if reads_only else "begin immediate")
