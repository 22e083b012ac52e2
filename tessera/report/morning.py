"""What the morning asks for beyond the day itself: plan, worth, customers, sources, satisfaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from math import sqrt
from typing import Any

import duckdb

from tessera.store import queries
from tessera.workspace import Workspace

Rows = Sequence[Mapping[str, Any]]

SQL = queries("tessera.report", "morning.sql")
NEEDS = {"satisfaction": "customers"}  # the mart behind a query of another name


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
    satisfaction: Rows  # month, answers, nps, low, high
    results: Mapping[str, Any] | None

    @property
    def currency(self) -> str:
        """Of the money in the marts; empty when nothing was sold."""
        return str(self.sources[0]["currency"] or "") if self.sources else ""

    @property
    def alarms(self) -> list[str]:
        """Targets under way that drift out of reach, a sentence each; the shop's own first."""
        return [_alarm(row) for row in self.targets if row["status"] == "out of reach"]


def _alarm(row: Mapping[str, Any]) -> str:
    what = row["metric"].replace("_", " ")
    of = "" if row["scope"] == "shop" else f" of {row['scope']} {row['scope_id']}"
    return (
        f"{what}{of} until {row['period_end']}: {row['actual']:,.0f} of {row['target']:,.0f} so far, "
        f"{row['projected']:,.0f} if it goes on like this"
    )


def morning(ws: Workspace, duck: duckdb.DuckDBPyConnection) -> Morning:
    """The morning as of `ws.as_of`; `duck` has the published marts, if there are any."""
    views = {row[0] for row in duck.execute("select view_name from duckdb_views()").fetchall()}
    given = {"today": ws.business_date, "as_of": ws.as_of.astimezone(UTC).replace(tzinfo=None)}
    found = {
        name: _ask(duck, query, given) if NEEDS.get(name, name) in views else ()
        for name, query in SQL.items()
    }
    return Morning(
        targets=found["target_progress"],
        moves=found["level_moves"],
        touches=found["campaign_results"],
        satisfaction=[_nps(row) for row in found["satisfaction"]],
        results=_results(ws),
        **{name: found[name] for name in ("funnel", "cohorts", "retention")},
        **{name: found[name] for name in ("sources", "performance")},
    )


def _ask(duck: duckdb.DuckDBPyConnection, query: str, given: Mapping[str, object]) -> Rows:
    found = duck.execute(
        query, {name: value for name, value in given.items() if f"${name}" in query}
    )
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _nps(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Promoters less detractors per hundred answers, with a 95 % interval."""
    n = row["answers"]
    up, down = row["promoters"] / n, row["detractors"] / n
    error = 1.96 * sqrt(max(up + down - (up - down) ** 2, 0) / n)
    nps = up - down
    low, high = max(nps - error, -1), min(nps + error, 1)
    return {
        "month": row["month"],
        "answers": n,
        "nps": 100 * nps,
        "low": 100 * low,
        "high": 100 * high,
    }


def _results(ws: Workspace) -> Mapping[str, Any] | None:
    """The campaigns' results as last judged for this day or an earlier one."""
    try:
        text = (ws.home.results / "results.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found: dict[str, Any] = json.loads(text)
    return found if found["as_of"] <= ws.as_of.isoformat() else None
