"""Sections that stand by themselves: each is a function that makes a piece of HTML of the published
marts, or nothing where they have nothing to say."""

from __future__ import annotations

import duckdb

from tessera.report import liability

SECTIONS = {"liability": liability.section}


def sections(duck: duckdb.DuckDBPyConnection, currency: str) -> dict[str, str]:
    """The HTML of each, by name; `duck` has the published marts."""
    found = {name: section(duck, currency) for name, section in SECTIONS.items()}
    return {name: html for name, html in found.items() if html}
