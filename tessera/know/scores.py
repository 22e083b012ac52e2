"""What a night learns of a home's customers, from the published marts, as Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tessera.know import choices, profile, recommendations, sales
from tessera.know.forecast import Question, forecast
from tessera.know.purchases import Purchases
from tessera.know.value import worths
from tessera.warehouse import marts
from tessera.workspace import Workspace

HORIZON = 91  # days
WEEK = 7.0


@dataclass(frozen=True)
class ScoreReport:
    """What was written, in rows, and what is expected of all customers together."""

    model: str
    customers: int
    recommendations: int
    expected_purchases: float  # in the next `horizon_days`
    horizon_days: int


def score(ws: Workspace) -> ScoreReport:
    """Write what is learned below `know/`, and fill it into the `customers` mart; again, the same.

    BadInput when nothing is published or too little was bought to foretell purchases: habits and
    recommendations are there all the same."""
    settings = ws.settings
    with marts.connect(
        ws.home, memory=settings.duckdb_memory, threads=settings.threads
    ) as connection:
        sales.load(connection, ws)
        _write(ws, "habits", sales.habits(connection))
        chosen, _ = recommendations.choose(connection)
        _write(ws, "recommendations", chosen)
        advice = choices.advise(ws, connection)
        if advice is not None:
            _write(ws, "offers", advice.rows)
        try:
            scores, model = _scores(ws, Purchases(connection, ws.home.root))
            _write(ws, "scores", scores)
        finally:
            profile.fill(ws, connection)
    total = float(np.sum(scores["expected_purchases"].to_numpy()))
    return ScoreReport(model, len(scores), len(chosen), round(total, 1), HORIZON)


def _scores(ws: Workspace, purchases: Purchases) -> tuple[pa.Table, str]:
    end = ws.business_date - timedelta(days=1)
    known = purchases.upto(end, end)
    found = forecast(Question(purchases.upto, purchases.first, end, HORIZON, WEEK), known)
    _, amounts = worths(known)
    columns = {
        "customer_id": known.ids.astype(str),
        "alive": found.alive,
        "expected_purchases": found.expected,
        "expected_revenue": np.rint(found.expected * amounts).astype(np.int64),  # minor units
        "horizon_days": np.full(len(known.ids), HORIZON),
    }
    return pa.table(columns), found.model


def _write(ws: Workspace, name: str, rows: pa.Table) -> None:
    path = ws.home.know / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    pq.write_table(rows, beside)
    beside.replace(path)
