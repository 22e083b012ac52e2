"""What a night learns of a home's customers, from the published marts, as Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tessera.know import cards, choices, profile, recommendations, sales, weeks
from tessera.know.fitting import Floats
from tessera.know.forecast import Forecast, Question, forecast
from tessera.know.purchases import Purchases
from tessera.know.value import worths
from tessera.warehouse import marts
from tessera.workspace import Workspace

HORIZON = 91  # days
WEEK = 7.0
GROUP = 100_000  # rows that are read together: few people's are looked for by the thousand


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
    with marts.undisturbed(ws.home), ws.marts() as connection:
        sales.load(connection, ws)
        _write(ws, "habits", sales.habits(connection))
        chosen, taste = recommendations.choose(connection)
        _write(ws, "recommendations", chosen)
        cards.write(ws, cards.of_recommendations(ws, chosen, taste))
        try:
            value = _value(ws, Purchases(connection, ws.home.root))
            _advise(ws, connection)
        finally:
            profile.fill(ws, connection)
    total = float(value.found.expected.sum())
    return ScoreReport(value.found.model, len(value.ids), len(chosen), round(total, 1), HORIZON)


def _advise(ws: Workspace, connection: duckdb.DuckDBPyConnection) -> None:
    advice = choices.advise(ws, connection)
    if advice is not None:
        _write(ws, "offers", advice.rows)
        cards.write(ws, cards.of_offers(ws, advice))


def _value(ws: Workspace, purchases: Purchases) -> Value:
    end = ws.business_date - timedelta(days=1)
    known = purchases.upto(end, end)
    found = forecast(Question(purchases.upto, purchases.first, end, HORIZON, WEEK), known)
    _, amounts = worths(known)
    value = Value(known.ids.astype(str), found, found.expected * amounts)
    _write(ws, "scores", value.rows())
    tried = weeks.tried(purchases, end, WEEK)
    money = float(value.revenue.sum()), purchases.usual_amount(end)[1]
    ahead = weeks.ahead(found, known, end, HORIZON, money)
    _write(ws, "weeks", weeks.table(tried, ahead))
    cards.write(ws, cards.of_value(ws, value.found, len(value.ids), weeks.errors(tried)))
    return value


@dataclass(frozen=True)
class Value:
    """What is expected of each customer in the next `HORIZON` days; money in minor units."""

    ids: NDArray[np.str_]
    found: Forecast
    revenue: Floats

    def rows(self) -> pa.Table:
        return pa.table(
            {
                "customer_id": self.ids,
                "alive": self.found.alive,
                "expected_purchases": self.found.expected,
                "expected_revenue": np.rint(self.revenue).astype(np.int64),
                "horizon_days": np.full(len(self.ids), HORIZON),
            }
        )


def _write(ws: Workspace, name: str, rows: pa.Table) -> None:
    path = ws.home.know / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    pq.write_table(rows, beside, row_group_size=GROUP)
    beside.replace(path)
