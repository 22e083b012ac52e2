"""The report's section on what the programme owes: a piece of HTML for any page, or nothing."""

from __future__ import annotations

import duckdb
from jinja2 import Environment, PackageLoader, StrictUndefined

from tessera.store import queries
from tessera.units import format_money

SQL = queries("tessera.report", "liability.sql")
MONTHS = 13


def section(duck: duckdb.DuckDBPyConnection, currency: str) -> str:
    """The last months, what is outstanding by the month it ends, and breakage by cohort; empty where
    the marts know of no points. `currency` is the shop's, for what points are worth."""
    known = duck.execute(SQL["is_known"]).fetchone()
    if not known or not known[0]:
        return ""
    found = {name: _rows(duck, name) for name in ("months", "ends", "cohorts", "deferred")}
    if not found["months"]:
        return ""
    environment = Environment(
        loader=PackageLoader("tessera.report", "."), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(money=format_money, number="{:,}".format)
    return environment.get_template("liability.html").render(**found, currency=currency)


def _rows(duck: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = (
        duck.execute(SQL[name], {"months": MONTHS} if "$months" in SQL[name] else None)
        .to_arrow_table()
        .to_pylist()
    )
    return rows
