"""A transaction, a query, a bulk insert: the little the rest of the engine asks of a database."""

from __future__ import annotations

import io
import select
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import Connection as SqlConnection
from sqlalchemy.engine import make_url

from tessera.errors import BadInput, OutOfSpace
from tessera.quoting import literal
from tessera.store import migrate
from tessera.store.aside import PARAMETER, Aside
from tessera.store.together import Together
from tessera.urls import without_password

if TYPE_CHECKING:
    from tessera.store.trips import Asked, Trips

Row = Mapping[str, Any]
BULK = 1_000  # rows at once, after which a table is another one to a planner
MANY = 50_000  # rows at once, for which SQLite is given more memory than it takes by itself
PAGE = 8_192  # bytes: twice SQLite's own, so that rows by the million fill fewer, and their indexes are less deep
LOG_PAGES = 2_000  # of SQLite's log, after which a commit copies it; see `checkpoints`
CACHE_KB = 262_144  # of a store that a database may then keep in memory
# A till's transaction; others are so by their engine. Under another level than the usual one, which a
# server may have for its own, who waited for a lock would not see what was written meanwhile, and fail.
BEGIN = "begin isolation level read committed"
# Errors are logged, people are not. A connection that was opened is kept: PostgreSQL starts a process
# for each.
OURS: dict[str, Any] = {"hide_parameters": True, "max_overflow": 0}
LARGE = 64_000_000  # bytes of a SQLite store that is worth a process to read it
T = TypeVar("T")


@lru_cache(maxsize=1024)
def psycopg_style(query: str) -> str:
    """The query with its `:name` parameters as `%(name)s`."""
    return PARAMETER.sub(r"%(\1)s", query.replace("%", "%%"))


@dataclass(frozen=True)
class Connection:
    """One transaction. Queries are text with `:name` parameters, the same on both databases."""

    sql: SqlConnection
    _open: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)
    _trips: Trips | None = field(default=None, repr=False, compare=False)

    @property
    def dialect(self) -> str:
        """'sqlite' or 'postgresql'."""
        return self.sql.dialect.name

    def all(self, query: str, **params: object) -> list[Row]:
        return _named(found := self._ask(query, params), found.fetchall())

    def one(self, query: str, **params: object) -> Row | None:
        row = (found := self._ask(query, params)).fetchone()
        return None if row is None else _named(found, [row])[0]

    def scalar(self, query: str, **params: object) -> Any:
        row = self._ask(query, params).fetchone()
        return None if row is None else row[0]

    def soon(self, query: str, **params: object) -> Soon:
        """Execute before whatever is asked next; at a till's PostgreSQL in one trip to the server with
        that, so that an error of it shows there."""
        if self._trips is None:  # a call, not a trip; or a night's, which has time
            found = self._ask(query, params)
            return Soon(self, found, found.fetchall() if found.description else [])
        asked = self._trips.ask(query, params)
        return Soon(self, asked)

    def run(self, query: str, **params: object) -> int:
        """Execute; how many rows it touched."""
        return int(self._ask(query, params).rowcount)

    def run_many(self, query: str, rows: Sequence[Row]) -> int:
        """Execute once for each of `rows`; how many rows all of it touched."""
        return max(0, int(self._ask(query, list(rows)).rowcount)) if rows else 0

    def at_last(self, query: str) -> None:
        """Execute at the end of this transaction, when the rest of it went well."""

        def end(failure: type[BaseException] | None, *_: object) -> None:
            if failure is None:
                self.run(query)

        self._open.push(end)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is done inside is undone when it fails; what came before it stays."""
        undo = ["rollback to savepoint attempt"]
        if self._trips is not None and self._trips.is_unwritten:  # then all of it may be undone
            undo = ["rollback", BEGIN]
        else:
            self.soon("savepoint attempt")
        waiting = list(self._trips.line) if self._trips is not None else []
        try:
            yield
        except Exception:
            if self._trips is not None:  # what was not sent yet need not be done
                self._trips.line[:] = [one for one in self._trips.line if one in waiting]
            for statement in undo:
                self.soon(statement)
            raise
        finally:
            if len(undo) == 1:
                self.soon("release savepoint attempt")

    def listed(self, name: str) -> str:
        """A table with a column `value`: the members of the JSON array `:name`, however many."""
        if self.dialect == "sqlite":
            return f"json_each(:{name})"
        return f"json_array_elements_text(cast(:{name} as json))"

    def paired(self, name: str) -> str:
        """A table with the columns `key` and `value` of the JSON object `:name`."""
        if self.dialect == "sqlite":
            return f"json_each(:{name})"
        return f"json_each_text(cast(:{name} as json))"

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

    def scan(self, query: str, schema: pa.Schema, **params: object) -> pa.Table:
        """As `arrow`, for rows by the million: several times as fast. Sees what was committed, not
        what this transaction has written."""
        if self.dialect == "postgresql":
            return self._copy_out(query, schema, params)
        path = Path(self.sql.engine.url.database or "")
        if not path.is_file() or path.stat().st_size < LARGE:
            return self.arrow(query, schema, **params)
        return self._aside.read(query, schema, params)

    @cached_property
    def _aside(self) -> Aside:
        return self._open.enter_context(Aside.start(str(self.sql.engine.url.database)))

    def _copy_out(self, query: str, schema: pa.Schema, params: Mapping[str, object]) -> pa.Table:
        self.catch_up()
        asked = f"copy ({psycopg_style(query)}\n) to stdout (format csv)"
        lines = io.BytesIO()
        try:
            with self._driver().cursor().copy(asked, params) as copy:
                for block in copy:
                    lines.write(block)
        except self._dbapi.Error as error:
            raise self._told(error, query) from None
        return _of_csv(lines, schema)

    def insert_new(self, table: str, rows: pa.Table) -> int:
        """Insert Arrow rows, leaving alone those whose unique keys are there; how many were new.

        SQLite takes them through executemany, PostgreSQL through COPY into a temporary table:
        the fastest road of each that stays inside this transaction.
        """
        return self._insert(table, rows, is_new=False)

    def insert(self, table: str, rows: pa.Table) -> int:
        """Insert Arrow rows; an error when one is there. PostgreSQL need not write them twice."""
        return self._insert(table, rows, is_new=True)

    def _insert(self, table: str, rows: pa.Table, *, is_new: bool) -> int:
        if rows.num_rows == 0:
            return 0
        columns = ", ".join(rows.column_names)
        self.catch_up()
        try:
            if self.dialect == "sqlite":
                inserted = self._insert_sqlite(table, columns, rows, is_new)
            elif is_new:
                inserted = self._copy(table, columns, rows)
            else:
                inserted = self._insert_postgresql(table, columns, rows)
        except self._dbapi.Error as error:
            raise self._told(error, f"insert into {table} ({columns})") from None
        self.count_anew(table, inserted)
        return inserted

    def _insert_sqlite(self, table: str, columns: str, rows: pa.Table, is_new: bool) -> int:
        alike = _alike(rows) if rows.num_rows >= BULK else {}
        marks = ", ".join(alike.get(name, "?") for name in rows.column_names)
        cursor = self._driver().cursor()
        if rows.num_rows >= MANY:  # else every row reads its pages of the large indexes anew
            (kept,) = cursor.execute("pragma cache_size").fetchone()
            cursor.execute(f"pragma cache_size = {min(kept, -CACHE_KB)}")
        # OR IGNORE would also swallow broken CHECK and NOT NULL constraints.
        unless = "" if is_new else " on conflict do nothing"
        cursor.executemany(
            f"insert into {table} ({columns}) values ({marks}){unless}",
            _tuples(rows.drop_columns(list(alike))),
        )
        return int(cursor.rowcount)

    def _insert_postgresql(self, table: str, columns: str, rows: pa.Table) -> int:
        cursor = self._driver().cursor()
        cursor.execute(
            f"create temporary table incoming on commit drop as select {columns} from {table} "
            "with no data"
        )
        self._copy("incoming", columns, rows)
        cursor.execute(
            f"insert into {table} ({columns}) select {columns} from incoming on conflict do nothing"
        )
        inserted = int(cursor.rowcount)
        cursor.execute("drop table incoming")
        return inserted

    def _copy(self, table: str, columns: str, rows: pa.Table) -> int:
        cursor = self._driver().cursor()
        rows = pa.table(
            {name: _in_full(its) for name, its in zip(rows.column_names, rows.columns, strict=True)}
        )
        with cursor.copy(f"copy {table} ({columns}) from stdin (format csv)") as copy:
            for batch in rows.to_batches(max_chunksize=50_000):
                lines = io.BytesIO()  # texts in quotes, so that an empty one is no null
                csv.write_csv(batch, lines, csv.WriteOptions(include_header=False))
                copy.write(lines.getvalue())
        return int(cursor.rowcount)

    def count_anew(self, table: str, new: int) -> None:
        """Tell PostgreSQL's planner how large `table` is, now that `new` rows came at once. It would
        believe it as small as it was, and walk it once for every row of another, until its own
        housekeeping comes by: after this transaction, and to a temporary table never. Where they are
        few beside those it knows of, its plans stay good."""
        if new < BULK or self.dialect != "postgresql":
            return
        known = "select reltuples from pg_class where oid = cast(:table as regclass)"
        if new > self.scalar(known, table=table) / 10:
            self.run(f"analyze {table}")

    def catch_up(self) -> None:
        """Have all done that was to be done soon."""
        if self._trips is None:
            return
        line = list(self._trips.line)
        try:
            self._trips.go()
        except self._dbapi.Error as error:
            failed = next((one for one in line if one.is_failed), line[0])
            raise self._told(error, failed.query) from None

    def _ask(self, query: str, params: Mapping[str, object] | Sequence[Row]) -> Any:
        """The driver's cursor after `query`: SQLAlchemy's own road to it costs several times what
        most of these statements do."""
        if self._trips is not None:
            return self._travel(query, params)
        spelled = psycopg_style(query) if self.dialect == "postgresql" else query
        cursor = self._driver().cursor()
        run = cursor.executemany if isinstance(params, list) else cursor.execute
        try:
            run(spelled, params)
        except self._dbapi.Error as error:
            raise self._told(error, query) from None
        return cursor

    def _travel(self, query: str, params: Mapping[str, object] | Sequence[Row]) -> Asked:
        """As `_ask`; of several rows the answer is that of the last."""
        assert self._trips is not None  # noqa: S101 - who calls looked
        rows = params if isinstance(params, list) else [params]
        asked = [self._trips.ask(query, row) for row in rows]
        self.catch_up()
        return asked[-1]

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


@dataclass(frozen=True, eq=False)
class Soon:
    """A statement that is done before its answer is looked at, and before any that comes later."""

    _store: Connection
    _cursor: Any
    _known: list[tuple[object, ...]] | None = None

    @property
    def is_here(self) -> bool:
        """Whether its answer can be looked at without a trip."""
        return self._known is not None

    def all(self) -> list[Row]:
        return _named(self._cursor, rows) if (rows := self._rows()) else []

    def one(self) -> Row | None:
        return next(iter(self.all()), None)

    def scalar(self) -> Any:
        return next((row[0] for row in self._rows()), None)

    def _rows(self) -> list[tuple[object, ...]]:
        if self._known is not None:
            return self._known
        if self._cursor.result is None:
            self._store.catch_up()
        return list(self._cursor.fetchall())


def _named(found: Any, rows: list[tuple[object, ...]]) -> list[Row]:
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _of_csv(lines: io.BytesIO, schema: pa.Schema) -> pa.Table:
    """What PostgreSQL copied out: nulls have no quotes, empty texts do."""
    if not lines.tell():
        return schema.empty_table()
    lines.seek(0)
    return csv.read_csv(
        lines,
        csv.ReadOptions(column_names=schema.names),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _in_full(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _alike(rows: pa.Table) -> dict[str, str]:
    """As SQL, what all rows have alike: bound for each row it would cost as much as what they have not."""
    found = {name: said for name in rows.column_names if (said := _said_once(rows[name]))}
    return found if len(found) < rows.num_columns else {}


def _said_once(column: pa.ChunkedArray) -> str | None:
    if column.null_count == len(column):
        return "null"
    value = column[0].as_py()
    is_plain = type(value) in (str, int) and "\0" not in str(value)  # which no statement can hold
    if not is_plain or column.null_count or value != column[-1].as_py():
        return None
    if not pc.all(pc.equal(_in_full(column), value)).as_py():
        return None
    return literal(value) if isinstance(value, str) else str(value)


def _tuples(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    for batch in rows.to_batches(max_chunksize=50_000):
        yield from zip(*map(_values, batch.columns), strict=True)


def _values(column: pa.Array) -> list[object]:
    """A text that is said again and again is made once."""
    if not isinstance(column, pa.DictionaryArray):
        return list(column.to_pylist())
    words = [*column.dictionary.to_pylist(), None]
    return [words[number] for number in column.indices.fill_null(-1).to_pylist()]


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
        if parsed.get_backend_name() == "sqlite":
            _tune_sqlite(engine := create_engine(parsed, **OURS, pool_size=15))
        else:
            engine = _of_server(parsed, isolation_level="READ COMMITTED", pool_size=15)
        try:
            migrate.upgrade(engine)
        except sa_exc.DatabaseError as error:
            if _code(error) == sqlite3.SQLITE_FULL:
                raise OutOfSpace from error
            advice = CROWDED if _is_crowded(error) else "Check TESSERA_STORE_URL."
            raise BadInput(
                f"The store {without_password(url)} cannot be opened: {_words(error)}. {advice}"
            ) from error
        except WrongEncoding as error:
            raise BadInput(
                f"The store {without_password(url)} keeps text as {error}, which cannot hold every "
                "name; make a database with the encoding UTF8."
            ) from None
        except migrate.LaterVersion:
            raise BadInput(
                f"The store {without_password(url)} was made by a later version of Tessera; "
                "install that version."
            ) from None
        return cls(engine)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write: on SQLite it holds the write lock from its start."""
        with self.engine.begin() as connection, ExitStack() as opened, _let_go(connection):
            yield Connection(connection, opened)

    def together(self, work: Callable[[Connection], T]) -> T:
        """What `work` answers, committed; maybe in one transaction with that of other threads, so it
        must be short, and right when it is tried again."""
        if self.engine.dialect.name == "sqlite":
            return self._line.do(self.write, work)
        from tessera.store.trips import Trips  # and with it the driver, for which SQLite has no use

        # The driver begins and commits in trips of their own; we do with the first statement and the last.
        with self._tills.connect() as connection, _let_go(connection):
            fairy = connection.connection
            trips = Trips(fairy.driver_connection, fairy.info.setdefault("prepared", {}))
            store = Connection(connection, _trips=trips)
            store.soon(BEGIN)
            done = work(store)
            store.run("commit")
        return done

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and waits for nobody."""
        with self._reading.connect() as connection, ExitStack() as opened, _let_go(connection):
            yield Connection(connection, opened)

    # To give an engine options costs some 50 µs: it is done once, not by request.
    @cached_property
    def _reading(self) -> Engine:
        return self.engine.execution_options(reads_only=True)

    @cached_property
    def _tills(self) -> Engine:
        """Connections of their own: see `trips`."""
        return _of_server(
            self.engine.url, isolation_level="AUTOCOMMIT", pool_size=10, prepare_threshold=None
        )

    def close(self) -> None:
        self.engine.dispose()
        if "_tills" in self.__dict__:
            self._tills.dispose()


@contextmanager
def _let_go(connection: SqlConnection) -> Iterator[None]:
    """A connection that is lost has nothing to roll back, and is nobody's any more."""
    try:
        yield
    except sa_exc.DBAPIError as error:
        if lost(error):
            connection.invalidate(error)
        raise


SQLITE_LOST = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
               sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # fmt: skip
# Of a server that only reads, as a standby does, and a hosted one whose disk is nearly full; of tables
# that are another role's; and of a session that forgot what was prepared, as a pool between makes it.
REFUSED = ("25006", "42501", "26000")
LIMITS = {  # of time, and what sets them
    "57014": "statement_timeout",
    "25P03": "idle_in_transaction_session_timeout",
    "55P03": "lock_timeout",
}


# What PostgreSQL, or a pool before it, says to one connection too many: the driver tells no code of it.
FULL = ("too many clients", "too many connections", "connection slots", "no more connections")
CROWDED = (
    "Allow more connections (its max_connections, or the role's or pool's limit) and run the same "
    "command again."
)


def lost(error: BaseException) -> str | None:
    """What a user is told of a store that went away or took nothing more under the work; None where
    `error` is a bug. Nothing that was not committed is in it, so the same may be run again."""
    if not isinstance(error, sa_exc.DBAPIError):
        return None
    is_gone = isinstance(error, sa_exc.OperationalError | sa_exc.InterfaceError)
    if isinstance(error.orig, sqlite3.Error):
        is_gone = _code(error) in SQLITE_LOST
    state = getattr(error.orig, "sqlstate", None)
    if not is_gone and state not in (*REFUSED, *LIMITS):
        return None
    advice = CROWDED if _is_crowded(error) else "Run the same command again once it can."
    if state in LIMITS:
        advice = f"Allow its role more time ({LIMITS[state]}) and run the same command again."
    return f"The store cannot be used any more: {_words(error)}. {advice}"


def why(error: BaseException) -> str:
    """What the driver says of a store that is away, full or busy, in a line for a log; of anything
    else the kind only, for its words may hold values."""
    if isinstance(error, sa_exc.OperationalError) or lost(error):
        return _words(error)
    return type(error).__name__


def _words(error: BaseException) -> str:
    return str(getattr(error, "orig", error)).strip().splitlines()[0].rstrip(".")


def _is_crowded(error: BaseException) -> bool:
    return any(words in _words(error) for words in FULL)


def _code(error: sa_exc.DBAPIError) -> int | None:
    """SQLite's number for what went wrong, less what only says more of it."""
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


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


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Have the file written through a log. SQLite waits for nobody while a new one goes over to it, as
    when several processes make the store."""
    for wait in (*(0.05,) * 200, None):
        try:
            connection.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as error:
            if wait is None or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(wait)
        else:
            return


class WrongEncoding(Exception):
    """A server's database keeps text otherwise than as Unicode."""


def _of_server(url: URL, *, isolation_level: Any, pool_size: int, **args: object) -> Engine:
    """Connections to PostgreSQL that are alike, whatever the server, a role or a machine has for its own:
    text goes over as Unicode."""
    told = {"client_encoding": "utf8", **args}
    engine = create_engine(
        url, **OURS, isolation_level=isolation_level, pool_size=pool_size, connect_args=told
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        if (found := connection.info.parameter_status("server_encoding")) != "UTF8":
            raise WrongEncoding(found)

    _leave_the_dead(engine)
    return engine


def _leave_the_dead(engine: Engine) -> None:
    """Connections that the server closed while nobody used them, as when it was started anew, are opened
    again: its farewell waits to be read, which costs no trip to find out."""

    @event.listens_for(engine, "checkout")
    def _checkout(connection: Any, _record: object, _proxy: object) -> None:
        if connection.closed or _has_news(connection.fileno()):
            raise sa_exc.DisconnectionError


def _has_news(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _tune_sqlite(engine: Engine) -> None:
    """WAL, foreign keys, and BEGIN IMMEDIATE: a deferred BEGIN that reads and then writes fails
    with 'database is locked' as soon as two processes do it at once."""

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's begin event says BEGIN, not the driver
        connection.execute("pragma busy_timeout = 60000")
        connection.execute(f"pragma page_size = {PAGE}")  # of a new one
        _log_ahead(connection)
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")
        connection.execute("pragma foreign_keys = on")

    @event.listens_for(engine, "begin")
    def _begin(connection: SqlConnection) -> None:
        reads_only = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("begin" if reads_only else "begin immediate")
