"""The conversion: the SQL that turns a planned table into rows of its feed, and its run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import duckdb
from babel import Locale

from tessera.feeds import SQL_TYPES
from tessera.land.plan import Column, Plan, guard
from tessera.quoting import literal, name
from tessera.store import queries
from tessera.units import minor_exponent

NEEDED = ";".join(queries("tessera.land", "convert.sql").values())  # by the conversion
EXACT = re.compile(r"DECIMAL\(.*\)|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER")
TIMES = ("TIMESTAMP", "DATE")
FROM_NUMBER = {
    "integer": "whole({value})",
    "decimal": "try_cast({value} as decimal(18, 3))",
    "boolean": "as_boolean(cast({value} as varchar))",
    "major": "exact_minor({value}, {digits})",
    "minor": "whole({value})",
}
FROM_TEXT = {
    "integer": "as_integer({text})",
    "decimal": "as_quantity({text})",
    "boolean": "as_boolean({text})",
    "major": "as_minor({text}, {digits})",
    "minor": "as_integer({text})",
}


def write(duck: duckdb.DuckDBPyConnection, plan: Plan, target: Path) -> int:
    """Write the rows to `target` as Parquet; how many there are."""
    if plan.is_small:  # to optimise the statement takes longer than its rows do
        duck.execute("pragma disable_optimizer")
    try:
        row = duck.execute(
            f"copy ({query(plan)}) to {literal(str(target))} (format parquet, compression zstd)"
        ).fetchone()
    finally:
        duck.execute("pragma enable_optimizer")
    return int(row[0]) if row else 0


def query(plan: Plan) -> str:
    """The rows, step by step: what the expressions give, how money and times are to be read, all
    of it in its types, and what failed.

    A macro repeats its argument, so what costs something must be a column of the step before.
    """
    return (
        f"with given as (select {', '.join(_given(plan))} from {plan.relation}), "
        f"placed as (select *, {_digits(plan)} as digits, {_known_zone(plan)} as zone from given), "
        f"typed as (select *, {', '.join(_types(plan))} from placed) "
        f"select {', '.join(_final(plan))} from typed{_distinct(plan)}"
    )


def _given(plan: Plan) -> Iterator[str]:
    yield from ("_row_number", "_row", f"{plan.zone} as said_zone")
    for source in sorted({s for column in plan.columns if column.guarded for s in column.sources}):
        yield f"{name(source)} as {_source(source)}"
    for column in plan.columns:
        shown = guard(column.expression) if column.guarded else f"({column.expression}\n)"
        yield f"{shown} as {column.given}"


def _source(column: str) -> str:
    return name(f"source {column}")


def _types(plan: Plan) -> Iterator[str]:
    for column in plan.columns:
        yield f"{_typed(column, plan)} as {column.typed}"


def _typed(column: Column, plan: Plan) -> str:
    """The value in its feed's type; null when it is not of it."""
    if column.kind == "text":
        return f"undamaged({_text(column)})" if _is_damaged(plan) else _text(column)
    if column.stays:
        return column.value
    if column.kind in ("date", "timestamp"):
        return _time(column, plan)
    kind = plan.entry.money if column.kind == "money" else column.kind
    forms = FROM_NUMBER if EXACT.fullmatch(column.type) else FROM_TEXT
    text = f"cast({column.value} as varchar)"
    return forms[kind].format(value=column.value, text=text, digits="digits")


def _text(column: Column) -> str:
    """The value as text; only what was text needs to be trimmed and normalised."""
    as_text = {
        "VARCHAR": "as_text({})",
        "DOUBLE": "floating_text({})",
        "FLOAT": "floating_text({})",
    }
    usual = "time_text({})" if column.type.startswith(TIMES) else "cast({} as varchar)"
    return as_text.get(column.type, usual).format(column.value)


def _time(column: Column, plan: Plan) -> str:
    """A date, or a timestamp in UTC, from an instant, a wall clock time or a text."""
    value, text, to_date = column.value, f"cast({column.value} as varchar)", column.kind == "date"
    if column.type == "TIMESTAMP WITH TIME ZONE":
        known = f"known_instant({value})"
        return _in_zone(f"timezone({{}}, {known})::date", plan) if to_date else f"in_utc({known})"
    if column.type.startswith(TIMES):
        local = f"known_time({value})"
        return f"{local}::date" if to_date else _in_zone(f"as_utc({local}, {{}})", plan)
    return f"as_date({text})" if to_date else _in_zone(f"as_moment({text}, {{}})", plan)


def _in_zone(template: str, plan: Plan) -> str:
    """`template` with the row's zone in its gap, where possible as a constant."""
    if plan.entry.timezone is None:
        return template.format(literal(plan.mapping.timezone))
    if not plan.zones:
        return template.format("zone")
    cases = (f"when {literal(z)} then {template.format(literal(z))}" for z in plan.zones)
    return f"case zone {' '.join(cases)} else {template.format('zone')} end"


def _known_zone(plan: Plan) -> str:
    """The row's zone if there is one of that name: an unknown one would end it all, TRY or not."""
    if plan.entry.timezone is None:
        return "said_zone"
    return "case when said_zone in (from known_zone) then said_zone end"


def _digits(plan: Plan) -> str:
    """How many decimals the row's currency has; most rows are in the mapping's own."""
    usual = minor_exponent(plan.mapping.currency)
    if "currency" not in plan.entry.columns:
        return str(usual)
    (column,) = (column for column in plan.columns if column.name == "currency")
    own, currency = f"{column.value} = {literal(plan.mapping.currency)}", _text(column)
    cases = " ".join(
        f"when upper({currency}) in ({', '.join(map(literal, codes))}) then {digits}"
        for digits, codes in _unusual().items()
    )
    return f"case when {own} then {usual} {cases} else 2 end"


@cache
def _unusual() -> dict[int, list[str]]:
    """The currencies that have other than two decimals, by how many they have."""
    found: dict[int, list[str]] = {}
    for code in sorted(Locale("en").currencies):
        found.setdefault(minor_exponent(code), []).append(code)
    return {digits: codes for digits, codes in found.items() if digits != 2}  # noqa: PLR2004 - cents


def _is_damaged(plan: Plan) -> bool:
    return plan.table.text is not None and plan.table.text.damaged


def _final(plan: Plan) -> Iterator[str]:
    for column in plan.columns:
        value = column.typed
        if plan.table.may_break:
            value = f"case when _row is null then {value} end"
        yield f"cast({value} as {SQL_TYPES[column.kind]}) as {name(column.name)}"
    yield "_row_number"
    yield f"cast({_errors(plan)} as map(varchar, varchar)) as _cast_errors"


def _errors(plan: Plan) -> str:
    """The map of column -> raw text, made for those rows only that have something to say."""
    raw = {c: _raw(c) for c in plan.columns if not c.is_certain or _is_damaged(plan)}
    cases = ["when _row is not null then map {'_row': _row}"] if plan.table.may_break else []
    if raw:
        failed = " or ".join(  # CASE, because AND would make the text of every row
            f"case when {c.typed} is null then {text} is not null else false end"
            for c, text in raw.items()
        )
        entries = ", ".join(
            f"{{key: {literal(c.name)}, value: case when {c.typed} is null then {text} end}}"
            for c, text in raw.items()
        )
        cases.append(f"when {failed} then raw_text([{entries}])")
    return f"case {' '.join(cases)} end" if cases else "null"


def _raw(column: Column) -> str:
    """What stands in the file: the expression's value as text, or where it raised, its cause."""
    if not column.guarded:
        return _text(column)
    cause = ", ".join(f"cast({_source(source)} as varchar)" for source in column.sources)
    raised = f"as_text(concat_ws(' ', {cause or 'null'}))"
    return f"case when {column.given} is null then {raised} else {_text(column)} end"


def _distinct(plan: Plan) -> str:
    """One row per key: the one with the fewest gaps, and of those the last."""
    if not plan.entry.distinct:
        return ""
    key = ", ".join(name(column) for column in plan.feed.key)
    gaps = " + ".join(f"({name(column)} is null)::int" for column in plan.feed.columns)
    order = f"{gaps}, _row_number desc"
    return f" qualify row_number() over (partition by {key} order by {order}) = 1"
