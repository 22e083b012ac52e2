"""A transaction, a query, a bulk insert: the little the rest of the engine asks of a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from sqlalchemy import URL, Engine, TextClause, create_engine, event
from sqlalchemy import exc as sa_exc
from sqlalchemy import text as parse
from sqlalchemy.engine import Connection as SqlConnection
from sqlalchemy.engine import make_url

from tessera.errors import BadInput
from tessera.store import migrate
from tessera.store.together import Together

Row = Mapping[str, Any]
T = TypeVar("T")


@lru_cache(maxsize=1024)
def text(query: str) -> TextClause:
    """The query, parsed once: a till asks the same dozen for every customer."""
    return parse(query)


@dataclass(frozen=True)
class Connection:
    """One transaction. Queries are text with `:name` parameters, the same on both databases."""

    sql: SqlConnection

    @property
    def dialect(self) -> str:
        """'sqlite' or 'postgresql'."""
        return self.sql.dialect.name

    def all(self, query: str, **params: object) -> list[Row]:
        return [dict(row) for row in self.sql.execute(text(query), params).mappings()]

    def one(self, query: str, **params: object) -> Row | None:
        row = self.sql.execute(text(query), params).mappings().first()
        return None if row is None else dict(row)

    def scalar(self, query: str, **params: object) -> Any:
        return self.sql.execute(text(query), params).scalar()

    def run(self, query: str, **params: object) -> int:
        """Execute; how many rows it touched."""
        return self.sql.execute(text(query), params).rowcount

    def run_many(self, query: str, rows: Sequence[Row]) -> int:
        """Execute once for each of `rows`; how many rows all of it touched."""
        return max(0, self.sql.execute(text(query), list(rows)).rowcount) if rows else 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is done inside is undone when it fails; what came before it stays."""
        self.sql.exec_driver_sql("savepoint attempt")
        try:
            yield
        except Exception:
            self.sql.exec_driver_sql("rollback to savepoint attempt")
            raise
        finally:
            self.sql.exec_driver_sql("release savepoint attempt")

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
        result = self.sql.execute(text(query), params)
        batches = [
            pa.record_batch(
                [
                    pa.array(col, field.type)
                    for col, field in zip(zip(*chunk, strict=True), schema, strict=True)
                ],
                schema=schema,
            )
            for chunk in result.partitions(100_000)
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
        if self.dialect == "sqlite":
            return self._insert_sqlite(table, columns, rows)
        return self._insert_postgresql(table, columns, rows)

    def _insert_sqlite(self, table: str, columns: str, rows: pa.Table) -> int:
        marks = ", ".join("?" * rows.num_columns)
        cursor = self._driver().cursor()
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
        with cursor.copy(f"copy incoming ({columns}) from stdin") as copy:
            for row in _tuples(rows):
                copy.write_row(row)
        cursor.execute(
            f"insert into {table} ({columns}) select {columns} from incoming on conflict do nothing"
        )
        inserted = int(cursor.rowcount)
        cursor.execute("drop table incoming")
        return inserted

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
        connection.execute("pragma foreign_keys = on")

    @event.listens_for(engine, "begin")
    def _begin(connection: SqlConnection) -> None:
        reads_only = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("begin" if reads_only else "begin immediate")
