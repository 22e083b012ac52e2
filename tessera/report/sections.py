"""Sections that stand by themselves: modules of this package with a `section(duck, currency)`, which
is a piece of HTML, or nothing where the marts have nothing to say."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import duckdb

NAMES = [name for name in ("liability",) if (Path(__file__).parent / f"{name}.py").exists()]


def sections(duck: duckdb.DuckDBPyConnection, currency: str) -> dict[str, str]:
    """The HTML of each, by name; `duck` has the published marts."""
    found = {
        name: import_module(f"tessera.report.{name}").section(duck, currency) for name in NAMES
    }
    return {name: html for name, html in found.items() if html}
