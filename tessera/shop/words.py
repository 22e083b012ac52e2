"""The words the made-up shop is made of, as DuckDB tables."""

from __future__ import annotations

from importlib import resources
from itertools import chain, repeat
from typing import Any

import duckdb
import pyarrow as pa
import yaml

Row = dict[str, Any]


def load(db: duckdb.DuckDBPyConnection) -> None:
    """Make a table of each part of words.yml; `position` is its order in the file, from 0."""
    words = yaml.safe_load(resources.files(__package__).joinpath("words.yml").read_text("utf-8"))
    for name, rows in _tables(words).items():
        incoming = pa.Table.from_pylist([{"position": i, **row} for i, row in enumerate(rows)])
        db.register("incoming", incoming)
        db.execute(f"create table {name} as select * from incoming order by position")
        db.unregister("incoming")


def _tables(words: Row) -> dict[str, list[Row]]:
    categories: dict[str, Row] = words["categories"]
    lists = ("brands", "varieties", "moods", "animals", "domains")
    sources = _named("name monthly_cost weight", words["sources"])
    return {
        "language": [{"language": name, **lists} for name, lists in words["languages"].items()],
        "place": _named("language tag city country timezone calling_code weight", words["places"]),
        "branch": _named("country city timezone", words["branches"]),
        "category": [
            {"name": name, "demand": category["demand"]} for name, category in categories.items()
        ],
        "article_group": [
            {"category": name, "margin": category["margin"], **group}
            for name, category in categories.items()
            for group in _named("name low high weighed", category["groups"])
        ],
        "source": sources,
        "how_found": [
            {"names": [*chain(*(repeat(row["name"], row["weight"]) for row in sources))]}
        ],
        "lexicon": [{name: words[name] for name in lists}],
    }


def _named(names: str, rows: list[list[Any]]) -> list[Row]:
    return [dict(zip(names.split(), row, strict=True)) for row in rows]
