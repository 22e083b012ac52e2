"""The rows of a query's answer."""

from __future__ import annotations

from typing import Any

import duckdb


def named(found: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Each row of what was asked last, by the names of its columns."""
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
