"""Statements that travel to PostgreSQL together: one trip for all that need no answer of each other's.

Straight through libpq, each statement prepared once by connection: the driver's own pipeline spends more on
a statement than the server does. For connections on which the driver prepares nothing: else it would one
day take down what is prepared here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from psycopg import errors, generators
from psycopg.pq import ExecStatus

Row = tuple[object, ...]
Key = tuple[str, tuple[int, ...]]
NAME = re.compile(r"(?<![:\w]):(\w+)(?!:)")
FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)
# What the server is told of a value: a text is whatever belongs in its place.
TYPES = {int: 20, bool: 16, float: 701, str: 0, type(None): 0}
LOADS: dict[int, Callable[[bytes], object]] = {
    **dict.fromkeys((20, 21, 23, 26), int),
    **dict.fromkeys((18, 19, 25, 1043, 2278), bytes.decode),
    **dict.fromkeys((700, 701), float),
    16: b"t".__eq__,
    1700: lambda value: Decimal(value.decode()),
}


@lru_cache(maxsize=1024)
def numbered(query: str) -> tuple[bytes, tuple[str, ...]]:
    """The query with its `:name` parameters as `$1`, and their names in that order; `::` is a cast."""
    names = tuple(dict.fromkeys(NAME.findall(query)))
    text = NAME.sub(lambda found: f"${names.index(found[1]) + 1}", query)
    return text.encode(), names


@dataclass(eq=False)
class Asked:
    """A statement, and once it is done its answer, as a cursor would tell it."""

    query: str
    params: Mapping[str, object]
    result: Any = None

    @property
    def is_failed(self) -> bool:
        return self.result is not None and self.result.status in FAILED

    @property
    def description(self) -> list[tuple[str]]:
        return [(self.result.fname(at).decode(),) for at in range(self.result.nfields)]

    @property
    def rowcount(self) -> int:
        return int(self.result.command_tuples or 0)

    def fetchall(self) -> list[Row]:
        found = self.result
        loads = [LOADS[found.ftype(at)] for at in range(found.nfields)]
        return [
            tuple(
                None if (value := found.get_value(row, at)) is None else load(value)
                for at, load in enumerate(loads)
            )
            for row in range(found.ntuples)
        ]

    def fetchone(self) -> Row | None:
        return next(iter(self.fetchall()), None)


@dataclass
class Trips:
    """What one connection has prepared, and what is to travel next."""

    driver: Any
    prepared: dict[Key, bytes]
    line: list[Asked] = field(default_factory=list)
    is_unwritten: bool = True  # nothing was asked yet but to tell

    def ask(self, query: str, params: Mapping[str, object]) -> Asked:
        """The statement, to be done with those that wait."""
        self.line.append(asked := Asked(query, params))
        self.is_unwritten = self.is_unwritten and query.startswith(("begin", "select"))
        return asked

    def go(self) -> None:
        """Have all done that waits; the error of the first that fails, after which none was done."""
        line = list(self.line)
        self.line.clear()
        if not line:
            return
        try:
            self.driver.wait(self._go(line))
        except BaseException:
            self.driver.close()  # nobody knows what is still on its way
            raise
        for asked in line:
            if asked.is_failed:
                raise errors.error_from_result(asked.result, encoding="utf-8")

    def _go(self, line: Sequence[Asked]) -> Iterator[Any]:
        libpq, new = self.driver.pgconn, dict[Key, bytes]()
        libpq.enter_pipeline_mode()
        is_new = [self._send(asked, new) for asked in line]
        libpq.pipeline_sync()
        yield from generators.send(libpq)
        for asked, key in zip(line, is_new, strict=True):
            if key is not None:
                (asked.result,) = yield from generators.fetch_many(libpq)
                if not asked.is_failed:
                    self.prepared[key] = new[key]
            (done,) = yield from generators.fetch_many(libpq)
            if not asked.is_failed:
                asked.result = done
        yield from generators.fetch_many(libpq)
        libpq.exit_pipeline_mode()

    def _send(self, asked: Asked, new: dict[Key, bytes]) -> Key | None:
        """Send a statement; its key when it has to be prepared first."""
        text, names = numbered(asked.query)
        values = [asked.params[name] for name in names]
        types = tuple(TYPES[type(value)] for value in values)
        key, libpq, is_new = (asked.query, types), self.driver.pgconn, False
        name = self.prepared.get(key) or new.get(key)
        if name is None:
            is_new, name = True, b"trip%d" % (len(self.prepared) + len(new))
            new[key] = name
            libpq.send_prepare(name, text, types)
        told = [None if value is None else str(value).encode() for value in values]
        libpq.send_query_prepared(name, told)
        return key if is_new else None
