"""The plan: a mapping's expressions bound to the columns that one file has."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import duckdb

from tessera.documents import nearest
from tessera.errors import BadInput
from tessera.feeds import SQL_TYPES, Feed
from tessera.land.mapping import FOLDER, Entry, Mapping, references
from tessera.land.table import Table
from tessera.quoting import literal, name

ZONE = "(timezone)"  # what the entry says of a row's zone, beside a feed's column of that name
FIRST_ROWS, COMMON_ZONES = 100_000, 20
SMALL = 1 << 20  # bytes of a file, which to plan takes longer than to read
LACKING_AT_MOST, OWN_AT_MOST, NAME_AT_MOST = 5, 20, 40  # columns named in a sentence; characters
_VALUE = re.compile(r"[+-]?\d[\d.,:/ -]*|\S+@\S+")
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
    # Some that its rows name: from a constant, times convert ten times faster.
    zones: tuple[str, ...]
    is_small: bool  # is the file

    @property
    def relation(self) -> str:
        """The table's, with what the entry says of each row's zone as `_zone`."""
        return _zoned(self.table, self.entry)

    @property
    def zone(self) -> str:
        """The zone of wall clock times, in SQL over `relation`."""
        return _zone(self.mapping, self.entry)


@dataclass(frozen=True)
class Shapes:
    """Empty tables like the files', to try expressions on. The files of an export are alike, and each
    expression is tried once."""

    duck: duckdb.DuckDBPyConnection
    _tried: dict[tuple[str, ...], tuple[str, bool]] = field(default_factory=dict)

    def tried(self, table: Table, expression: str) -> tuple[str, bool]:
        """The expression's SQL type, and whether it can be guarded. LookupError names a column the table
        lacks; ValueError says why it cannot be run."""
        key = (expression, *table.columns, *table.columns.values())
        if key not in self._tried:
            self._make(table)
            kind = _type(self.duck, expression)
            self._tried[key] = kind, _can_be_guarded(self.duck, expression)
        return self._tried[key]

    def _make(self, table: Table) -> None:
        shape = {"_row_number": "BIGINT", "_zone": "VARCHAR", **table.columns}
        listed = ", ".join(f"{name(column)} {kind}" for column, kind in shape.items())
        self.duck.execute(f"create or replace temp table shape ({listed})")


def wanted(entry: Entry) -> set[str]:
    """The file's columns that the entry's expressions name."""
    every = [*entry.columns.values(), entry.timezone or "null", entry.where or "null"]
    named = {entry.each} if entry.each else set()
    keys = [*entry.beside.key, *entry.beside.key.values()] if entry.beside else []
    return named.union(keys, *map(references, every)) - {"_row_number"}


def plan(
    shapes: Shapes,
    table: Table,
    feed: Feed,
    mapping: Mapping,
    entry: Entry,
    *,
    file: str,
    size: int,
) -> Plan:
    """Bind the entry's expressions to what `file` of `size` bytes has; BadInput names the columns it lacks."""
    given = {**_defaults(feed, mapping, entry), **entry.columns}
    columns, missing = [], {}
    for column in (ZONE, *feed.columns):
        expression = entry.timezone if column == ZONE else given.get(column)
        try:
            columns.append(_bind(shapes, table, column, feed, expression or "null"))
        except LookupError as error:
            columns.append(_bind(shapes, table, column, feed, "null"))
            if column not in entry.optional:
                missing[column] = str(error.args[0])
        except ValueError as error:
            where = f"{FOLDER}/{mapping.source}.yml: {feed.name}.{column}"
            unquoted = _unquoted(table, [expression or ""])
            raise BadInput(f"{where} does not work on {file}: {error}{unquoted}") from error
    if missing:
        raise BadInput(
            _lacking(missing, table, feed, file)
            + _unquoted(table, [given[c] for c in missing if c in given])
        )
    is_small = size < SMALL
    zones = () if is_small else _zones(shapes.duck, table, mapping, entry)
    return Plan(table, feed, mapping, entry, tuple(columns[1:]), zones, is_small)


def _defaults(feed: Feed, mapping: Mapping, entry: Entry) -> dict[str, str]:
    """What the mapping says where the entry does not: the currency, and where a receipt was made."""
    filled = {"currency": literal(mapping.currency)}
    if feed.name != "transactions":
        return filled
    return {**filled, "timezone": _zone(mapping, entry)}


def _zoned(table: Table, entry: Entry) -> str:
    if entry.timezone is None:
        return table.relation
    said = f"nullif(trim(cast(({entry.timezone}\n) as varchar)), '')"
    return f"(select *, {said} as _zone from {table.relation})"


def _zone(mapping: Mapping, entry: Entry) -> str:
    constant = literal(mapping.timezone)
    return constant if entry.timezone is None else f"coalesce(_zone, {constant})"


def _bind(shapes: Shapes, table: Table, column: str, feed: Feed, expression: str) -> Column:
    """LookupError names a column the file lacks; ValueError says why the expression cannot be run."""
    own = {found.casefold(): found for found in table.columns}
    named = references(expression)
    sources = tuple(own[n.casefold()] for n in named if n.casefold() in own)
    cannot_raise = not named or named == (expression.strip().strip('"'),)
    kind, can_be_guarded = shapes.tried(table, expression)
    return Column(
        column,
        feed.columns.get(column, "text"),
        expression,
        kind,
        not cannot_raise and can_be_guarded,
        sources,
    )


def _zones(
    duck: duckdb.DuckDBPyConnection, table: Table, mapping: Mapping, entry: Entry
) -> tuple[str, ...]:
    """The commonest zones of the first rows; none when these cannot be read so far."""
    if entry.timezone is None:
        return (mapping.timezone,)
    first = (
        f"(select {_zone(mapping, entry)} as zone from {_zoned(table, entry)} limit {FIRST_ROWS})"
    )
    try:
        found = duck.execute(
            f"select zone from {first} where zone in (from known_zone) "
            f"group by zone order by count(*) desc, zone limit {COMMON_ZONES}"
        ).fetchall()
    except duckdb.InvalidInputException:
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
    lacking = [f"'{source}' (for {feed.name}.{column})" for column, source in missing.items()]
    hints = (nearest(source, table.columns) for source in missing.values())
    near = next((hint for hint in hints if hint.startswith(" Did")), "")
    named = _some(lacking, LACKING_AT_MOST)
    has = _has(table)
    return f"{file} has no column {named}; {has}.{near} Set the export or the mapping right."


def _unquoted(table: Table, expressions: list[str]) -> str:
    """What to write for a column whose name SQL would take apart, and that an expression may mean."""
    for column in table.columns:
        bare = re.split(r"\W", column)[0]
        named = (e.strip() == bare or (column in e and f'"{column}"' not in e) for e in expressions)
        if not column.isidentifier() and bare and any(named):
            return f""" Write '"{column}"' for the column."""
    return ""


def _has(table: Table) -> str:
    """The file's columns; not where they are the first row of a file without a header, for that may
    say who somebody is."""
    if any(_VALUE.fullmatch(column) for column in table.columns):
        return "its first line is not the names of columns (which 'header' may give)"
    return f"it has {_some([_short(column) for column in table.columns], OWN_AT_MOST) or 'none'}"


def _some(names: list[str], at_most: int) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def _short(column: str) -> str:
    """A header with an open quote makes whole letters into a column's name."""
    line = " ".join(column.split())
    return line if len(line) <= NAME_AT_MOST else f"{line[:NAME_AT_MOST]}…"
