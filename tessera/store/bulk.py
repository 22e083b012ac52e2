"""Far more rows than a table has, as on a first night: what a database would keep up for each row is made
anew once they are in, which sorts where the other searches a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tessera.store.queries import queries
from tessera.store.store import CACHE_KB, Connection

SQL = queries("tessera.store", "bulk.sql")
LEAST = 100_000  # rows for which it is worth it
# Of a SQLite store, while what comes in is read again for each index: what does not fit is looked up page by
# page in a log that is the longer the more has come.
LOAD_KB = 2_097_152
# PostgreSQL believes a page elsewhere to cost four of those in line, as on a turning disk, and would rather
# read a table of millions whole for each chunk than look up a chunk's rows in it.
ROOM = {
    "postgresql": f"select set_config('maintenance_work_mem', '{CACHE_KB}kB', true), "
    "set_config('work_mem', '65536kB', true), set_config('random_page_cost', '1.1', true)",
    "sqlite": f"pragma cache_size = -{CACHE_KB}",
}


def is_worth_it(new: int, there: int) -> bool:
    """Whether `new` rows beside those that are `there` come quicker this way."""
    return new >= LEAST and new > there


def make_room(store: Connection) -> None:
    """For what is large: SQLite would read pages anew that it just put away."""
    store.run(ROOM[store.dialect])


@contextmanager
def anew(store: Connection, *tables: str) -> Iterator[None]:
    """Inside, `tables` are without indexes and, on PostgreSQL, without foreign and unique keys other
    than the primary; on SQLite a key that the table was made with stays. Afterwards all are there again
    and hold, or the database's error says which does not. On PostgreSQL whoever reads these tables
    meanwhile waits for the end of the transaction."""
    parts = [part for table in tables for part in _parts(store, table)]
    for drop, _ in reversed(parts):
        store.soon(drop)
    make_room(store)
    if store.dialect == "sqlite":
        store.run(f"pragma cache_size = -{LOAD_KB}")
        store.at_last(ROOM["sqlite"])
    yield
    for _, make in parts:
        store.run(make)


def _parts(store: Connection, table: str) -> Sequence[tuple[str, str]]:
    """How each is taken down and made, in the order in which they were made: SQLite's planner goes by it
    where two would do."""
    found = store.all(SQL[store.dialect], table=table)
    return [(row["takes_down"], row["makes"]) for row in found]
