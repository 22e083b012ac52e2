"""Values and names inside SQL, where a parameter cannot stand or costs too much."""

from __future__ import annotations

from datetime import date, datetime


def literal(value: str) -> str:
    """`value` as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def constant(value: object) -> str:
    """A value, or a list of such, as DuckDB's SQL has it. Its driver, given one as a parameter, loads pandas
    first and fetches the rows with one thread."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, list):
        return f"[{', '.join(map(constant, value))}]"
    if isinstance(value, datetime):
        return f"timestamp{'tz' if value.tzinfo else ''} '{value.isoformat(' ')}'"
    if isinstance(value, date):
        return f"date '{value}'"
    if isinstance(value, float):
        return f"'{value}'::double"
    return "null" if value is None else str(value).lower()  # a boolean or an integer


def name(column: str) -> str:
    """`column` as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'
