"""The plan: a mapping's expressions bound to the columns that one file has."""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from tessera.documents import nearest
from tessera.errors import BadInput
from tessera.feeds import SQL_TYPES, Feed
from tessera.land.mapping import FOLDER, Entry, Mapping, references
from tessera.land.table import Table, literal, name

FIRST_ROWS, COMMON_ZONES = 100_000, 20
_MISSING = re.compile(r'Referenced column "(.+?)" not found')


@dataclass(frozen=True)
class Column:
    """One canonical column of one file."""

    name: str
    kind: str  # the feed's type
    expression: str
    type: str  # the expression's SQL type
    guarded: bool  # the expression may raise: then its struct is null and the cause in `sources`
    sources: tuple[str, ...]  # the file's columns it names

    @property
    def value(self) -> str:
        """What the expression gave, in SQL."""
        return f"{self.given}.v" if self.guarded else self.given

    @property
    def given(self) -> str:
        return name(f"given {self.name}")

    @property
    def typed(self) -> str:
        return name(f"typed {self.name}")

    @property
    def stays(self) -> bool:
        """Whether the value is of the feed's type and taken as it is: money is scaled, and wall
        clock times are moved."""
        return self.type == SQL_TYPES[self.kind] and self.kind not in ("money", "timestamp")

    @property
    def is_certain(self) -> bool:
        """Whether nothing can go wrong on the way from the expression to the type."""
        return self.type == '"NULL"' or (not self.guarded and (self.stays or self.kind == "text"))


@dataclass(frozen=True)
class Plan:
    """How one table becomes rows of one feed."""

    table: Table
    feed: Feed
    mapping: Mapping
    entry: Entry
    columns: tuple[Column, ...]  # all of the feed's, in its order
    zone: str  # of wall clock times, in SQL over the file's columns
    zones: tuple[str, ...]  # some that it gives: converting is ten times faster from a constant


def wanted(duck: duckdb.DuckDBPyConnection, entry: Entry) -> set[str]:
    """The file's columns that the entry's expressions name."""
    every = [*entry.columns.values(), entry.timezone or "null"]
    return set().union(*(references(duck, expression) for expression in every)) - {"_row_number"}


def plan(
    duck: duckdb.DuckDBPyConnection,
    table: Table,
    feed: Feed,
    mapping: Mapping,
    entry: Entry,
    *,
    file: str,
) -> Plan:
    """Bind the entry's expressions to what `file` has; BadInput names the columns it lacks."""
    _shape(duck, table)
    zone = literal(mapping.timezone)
    if entry.timezone is not None:
        zone = f"coalesce(as_text(cast(({entry.timezone}\n) as varchar)), {zone})"
    given = {**_defaults(feed, mapping, zone), **entry.columns}
    columns, missing = [], {}
    for column in feed.columns:
        try:
            columns.append(_bind(duck, table, feed, column, given.get(column, "null")))
        except LookupError as error:
            if column not in entry.optional:
                missing[column] = str(error.args[0])
            columns.append(_bind(duck, table, feed, column, "null"))
        except ValueError as error:
            where = f"{FOLDER}/{mapping.source}.yml: {feed.name}.{column}"
            raise BadInput(f"{where} does not work on {file}: {error}") from error
    if missing:
        raise BadInput(_lacking(missing, table, feed, file))
    zones = (mapping.timezone,) if entry.timezone is None else _zones(duck, table, zone)
    return Plan(table, feed, mapping, entry, tuple(columns), zone, zones)


def _shape(duck: duckdb.DuckDBPyConnection, table: Table) -> None:
    """An empty table like the file, to try expressions on."""
    shape = {"_row_number": "BIGINT", **table.columns}
    listed = ", ".join(f"{name(column)} {kind}" for column, kind in shape.items())
    duck.execute(f"create or replace temp table shape ({listed})")


def _defaults(feed: Feed, mapping: Mapping, zone: str) -> dict[str, str]:
    """What the mapping says where the entry does not: the currency, and where a receipt was made."""
    filled = {"currency": literal(mapping.currency)}
    return {**filled, "timezone": zone} if feed.name == "transactions" else filled


def _bind(
    duck: duckdb.DuckDBPyConnection, table: Table, feed: Feed, column: str, expression: str
) -> Column:
    """LookupError names a column the file lacks; ValueError says why the expression cannot be run."""
    own = {found.casefold(): found for found in table.columns}
    named = references(duck, expression)
    sources = tuple(own[n.casefold()] for n in named if n.casefold() in own)
    cannot_raise = not named or named == [expression.strip().strip('"')]
    return Column(
        column,
        feed.columns[column],
        expression,
        _type(duck, expression),
        not cannot_raise and _can_be_guarded(duck, expression),
        sources,
    )


def _zones(duck: duckdb.DuckDBPyConnection, table: Table, zone: str) -> tuple[str, ...]:
    """The commonest zones of the first rows; none when these cannot be read so far."""
    first = f"(select {zone} as zone from {table.relation} limit {FIRST_ROWS})"
    known = "(select name from pg_timezone_names())"
    try:
        found = duck.execute(
            f"select zone from {first} where zone in {known} "
            f"group by zone order by count(*) desc, zone limit {COMMON_ZONES}"
        ).fetchall()
    except duckdb.Error:
        return ()
    return tuple(zone for (zone,) in found)


def guard(expression: str) -> str:
    """A struct with the expression's value; null when it raises."""
    return f"try(struct_pack(v := ({expression}\n)))"


def _can_be_guarded(duck: duckdb.DuckDBPyConnection, expression: str) -> bool:
    """Window functions cannot, nor what gives another value each time."""
    try:
        duck.execute(f"describe select {guard(expression)} from shape")
    except duckdb.Error:
        return False
    return True


def _type(duck: duckdb.DuckDBPyConnection, expression: str) -> str:
    try:
        row = duck.execute(f"describe select ({expression}\n) from shape").fetchone()
    except duckdb.Error as error:
        missing = _MISSING.search(str(error))
        if missing:
            raise LookupError(missing[1]) from error
        raise ValueError(str(error).splitlines()[0]) from error
    assert row is not None  # noqa: S101 - one expression, one row
    return str(row[1])


def _lacking(missing: dict[str, str], table: Table, feed: Feed, file: str) -> str:
    named = ", ".join(f"'{source}' (for {feed.name}.{c})" for c, source in missing.items())
    hints = (nearest(source, table.columns) for source in missing.values())
    near = next((hint for hint in hints if hint.startswith(" Did")), "")
    has = ", ".join(table.columns) or "none"
    return f"{file} has no column {named}; it has {has}.{near} Set the export or the mapping right."
