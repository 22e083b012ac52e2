"""Values and names inside SQL, where a parameter cannot stand or costs too much."""

from __future__ import annotations


def literal(value: str) -> str:
    """`value` as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def name(column: str) -> str:
    """`column` as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'
