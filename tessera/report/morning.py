"""What the morning asks for beyond the day itself: plan, worth, customers, sources, satisfaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from tessera.store import queries
from tessera.warehouse import marts
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

Rows = Sequence[Mapping[str, Any]]

SQL = queries("tessera.report", "morning.sql")


@dataclass(frozen=True)
class Morning:
    """Rows of the reporting marts, empty where there is none; `results` is None before the first."""

    targets: Rows
    funnel: Rows
    moves: Rows
    cohorts: Rows
    retention: Rows
    sources: Rows
    performance: Rows
    touches: Rows
    scores: Rows  # month, answers, score, low, high, has_fallen
    opinions: Rows  # topic, opinions, positive, negative
    weeks: Rows  # those foretold, and the last ones as they would have been
    results: Mapping[str, Any] | None

    @property
    def currency(self) -> str:
        """Of the money in the marts; empty when nothing was sold."""
        return str(self.sources[0]["currency"] or "") if self.sources else ""


def morning(ws: Workspace, duck: duckdb.DuckDBPyConnection) -> Morning:
    """The morning as of `ws.as_of`; `duck` has the published marts, if there are any."""
    views = marts.views(duck)
    given = {"today": ws.business_date}
    found = {name: _ask(duck, query, given) if name in views else () for name, query in SQL.items()}
    return Morning(
        targets=found["target_progress"],
        moves=found["level_moves"],
        touches=found["campaign_results"],
        scores=found["net_promoter_scores"],
        opinions=found["opinions"],
        results=_results(ws),
        **{name: found[name] for name in ("funnel", "cohorts", "retention")},
        **{name: found[name] for name in ("sources", "performance", "weeks")},
    )


def _ask(duck: duckdb.DuckDBPyConnection, query: str, given: Mapping[str, object]) -> Rows:
    asked = {name: value for name, value in given.items() if f"${name}" in query}
    return named(duck.execute(query, asked))


def _results(ws: Workspace) -> Mapping[str, Any] | None:
    """The campaigns' results as last judged for this day or an earlier one."""
    try:
        text = (ws.home.results / "results.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found: dict[str, Any] = json.loads(text)
    return found if found["as_of"] <= ws.as_of.isoformat() else None
