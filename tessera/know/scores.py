"""Each customer's purchases to come and what to recommend, from the published marts, as Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tessera.know.baskets import Baskets, recommend, tune
from tessera.know.forecast import Question, forecast
from tessera.know.purchases import SQL, Purchases
from tessera.know.value import worths
from tessera.warehouse import marts
from tessera.workspace import Workspace

HORIZON = 91  # days
WEEK = 7.0
JUST_BOUGHT = 7  # days, in which a product is not recommended again
RECOMMENDED = 10
CONSIDERED = 20


@dataclass(frozen=True)
class ScoreReport:
    """What was written, in rows, and what is expected of all customers together."""

    model: str
    customers: int
    recommendations: int
    expected_purchases: float  # in the next `horizon_days`
    horizon_days: int


def score(ws: Workspace) -> ScoreReport:
    """Write `know/scores.parquet` and `know/recommendations.parquet` of a home; again, the same.

    BadInput when nothing is published or too little was bought to learn from."""
    with marts.connect(ws.home, threads=ws.settings.threads) as connection:
        given = {"zone": ws.settings.timezone, "as_of": ws.as_of.replace(tzinfo=None)}
        connection.execute(SQL["published_days"], given)
        scores, model = _scores(ws, Purchases(connection, ws.home.root))
        chosen = _recommendations(connection, given | {"today": ws.business_date})
    _write(ws.home.know / "recommendations.parquet", chosen)
    _write(ws.home.know / "scores.parquet", scores)
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


def _recommendations(connection: duckdb.DuckDBPyConnection, given: dict[str, object]) -> pa.Table:
    """Ten products each at most, none of the last days': `replenish` if ever bought, else `new`."""
    rows = connection.execute(SQL["baskets"], given).to_arrow_table()
    customer, item, age, ago = (
        rows[name].to_numpy() for name in ("customer", "item", "age", "days_ago")
    )
    number, kinds = int(customer.max(initial=-1)) + 1, int(item.max(initial=-1)) + 1
    baskets = Baskets(customer, item, age, number, kinds)
    found = recommend(baskets, tune(baskets), CONSIDERED)
    bought = customer * kinds + item
    asked = np.arange(number)[:, None] * kinds + found
    fit = (found >= 0) & ~np.isin(asked, bought[ago < JUST_BOUGHT])
    rank = np.cumsum(fit, axis=1)
    who, place = np.nonzero(fit & (rank <= RECOMMENDED))
    names = {column: _names(rows, code, column) for code, column in _CODES}
    own = np.isin(asked[who, place], bought)
    return pa.table(
        {
            "customer_id": names["customer_id"][who],
            "rank": rank[who, place],
            "product_id": names["product_id"][found[who, place]],
            "kind": np.where(own, "replenish", "new"),
        }
    )


_CODES = (("customer", "customer_id"), ("item", "product_id"))


def _names(rows: pa.Table, code: str, column: str) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """The names behind the numbers, in their order."""
    numbers, first = np.unique(rows[code].to_numpy(), return_index=True)
    del numbers
    return np.asarray(rows[column].take(first).to_pylist(), dtype=str)


def _write(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    pq.write_table(rows, beside)
    beside.replace(path)
