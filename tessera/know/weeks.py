"""Purchases and revenue week by week, of those who have bought already: foretold, and tried on the past."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from tessera.errors import BadInput
from tessera.know.fitting import Floats, Z
from tessera.know.forecast import Forecast, Question, forecast
from tessera.know.purchases import Customers, Purchases
from tessera.warehouse import marts
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

WEEK = 7
TRIED_WEEKS = 8
MOST_WEEKS = 26  # looked back upon for how restless weeks are
TRIED_ON = 20_000  # customers
LEAST_DAYS = 91  # of history before the weeks that are tried


@dataclass(frozen=True)
class Week:
    """One week; money in the unit of the purchases' amounts. What is not over has nothing actual."""

    begins_on: date
    expected_purchases: float
    low: float  # 95 %
    high: float
    expected_revenue: float
    revenue_low: float
    revenue_high: float
    actual_purchases: int | None = None
    actual_revenue: float | None = None


def ahead(
    found: Forecast, known: Customers, end: date, days: int, money: tuple[float, float]
) -> list[Week]:
    """The whole weeks of the `days` after `end`; `money` is the revenue expected of all the days together,
    and the spread of a purchase's amount. The intervals are of chance, in the number of purchases and in
    what each brings, of the level, and of how much weeks differed so far from those beside them."""
    number = days // WEEK
    if not number:
        return []
    upto = np.array([found.total(WEEK * week) for week in range(1, number + 1)])
    total = max(found.total(days), 1e-9)
    share = np.diff(upto, prepend=0) / total
    expected = share * float(found.expected.sum())
    unsure = np.hypot(2 * found.level_error, _unrest(known))
    revenue, spread = money
    alone = 1 / np.maximum(expected, 1e-9)
    bought = _bounded(expected, Z * np.sqrt(alone + unsure**2), 1)
    brought = _bounded(share * revenue, Z * np.sqrt((1 + spread**2) * alone + unsure**2), 2)
    return [
        Week(end + timedelta(days=1 + WEEK * week), *bought[week], *brought[week])
        for week in range(number)
    ]


def _bounded(expected: Floats, width: Floats, digits: int) -> list[tuple[float, float, float]]:
    """What is expected of each week, the least and the most; `width` is a share of it."""
    bounds = expected, expected * np.maximum(1 - width, 0), expected * (1 + width)
    return list(zip(*(np.round(one, digits).tolist() for one in bounds), strict=True))


def _unrest(known: Customers) -> float:
    """The spread of a week's purchases around the mean of its neighbours, over the last half year,
    relative, beyond what chance does."""
    ago = known.calendar.repeats_ago
    whole = min(len(ago) // WEEK, MOST_WEEKS)
    bought = ago[: whole * WEEK].reshape(whole, WEEK).sum(axis=1)
    if whole < 3 or bought.min(initial=1) <= 0:  # noqa: PLR2004
        return 0.0
    beside = (bought[:-2] + bought[2:]) / 2
    spread = float(np.mean((bought[1:-1] / beside - 1) ** 2)) / 1.5  # the neighbours' own is in it
    return float(np.sqrt(max(spread - float(np.mean(1 / bought)), 0)))


def compared(weeks: list[Week], purchases: Purchases, end: date) -> list[Week]:
    """The same weeks with what happened."""
    actual = purchases.by_week(end, end + timedelta(days=WEEK * len(weeks)))
    nothing = (0, 0.0)
    return [
        Week(**{**asdict(week), **_happened(*actual.get(number, nothing))})
        for number, week in enumerate(weeks)
    ]


def _happened(purchases: int, revenue: float) -> dict[str, Any]:
    return {"actual_purchases": purchases, "actual_revenue": round(revenue, 2)}


def tried(purchases: Purchases, end: date, unit_days: float) -> list[Week]:
    """The last eight weeks as they would have been foretold before them, from a part of the customers;
    none when there is too little before."""
    origin = end - timedelta(days=WEEK * TRIED_WEEKS)
    if (origin - purchases.first).days < LEAST_DAYS:
        return []
    part, scale = purchases.thinned(TRIED_ON)
    days = WEEK * TRIED_WEEKS
    known = part.upto(origin, end)
    try:
        found = forecast(Question(part.upto, part.first, origin, days, unit_days), known)
    except BadInput:
        return []
    mean, spread = part.usual_amount(origin)
    weeks = ahead(found, known, origin, days, (float(found.expected.sum()) * mean, spread))
    return [_scaled(week, scale) for week in compared(weeks, part, origin)]


def _scaled(week: Week, scale: float) -> Week:
    numbers = {k: v for k, v in asdict(week).items() if k != "begins_on" and v is not None}
    return Week(
        week.begins_on, **{name: round(value * scale, 2) for name, value in numbers.items()}
    )


def errors(weeks: list[Week]) -> dict[str, float]:
    """How far weeks were off, as shares of what happened, and how often the intervals held it."""
    known = [week for week in weeks if week.actual_purchases is not None]
    bought = sum(week.actual_purchases or 0 for week in known)
    money = sum(week.actual_revenue or 0 for week in known)
    if not bought or not money:
        return {}
    off = sum(abs(week.expected_purchases - (week.actual_purchases or 0)) for week in known)
    off_money = sum(abs(week.expected_revenue - (week.actual_revenue or 0)) for week in known)
    held = [week.low <= (week.actual_purchases or 0) <= week.high for week in known]
    held_money = [
        week.revenue_low <= (week.actual_revenue or 0) <= week.revenue_high for week in known
    ]
    return {
        "purchases_off": round(off / bought, 4),
        "revenue_off": round(off_money / money, 4),
        "within_interval": round(sum(held) / len(held), 4),
        "revenue_within_interval": round(sum(held_money) / len(held), 4),
    }


def learned(ws: Workspace) -> list[dict[str, Any]]:
    """The weeks of the night that learned last, in their order; BadInput before the first."""
    with ws.marts() as duck:
        if "weeks" not in marts.views(duck):
            raise BadInput(
                f"No week is foretold in {ws.home.root}: say 'tessera know score', which needs some months "
                "of receipts."
            )
        return named(duck.execute("select * from weeks order by begins_on"))


def table(backwards: list[Week], forwards: list[Week]) -> pa.Table:
    """One row per week, the tried ones first."""
    kinds = [("back_test", week) for week in backwards] + [("forecast", week) for week in forwards]
    return pa.table(
        {
            "kind": [kind for kind, _ in kinds],
            "begins_on": pa.array([week.begins_on for _, week in kinds], pa.date32()),
            **{name: _column(kinds, name) for name in NUMBERS},
        }
    )


NUMBERS = (
    "expected_purchases",
    "low",
    "high",
    "expected_revenue",
    "revenue_low",
    "revenue_high",
    "actual_purchases",
    "actual_revenue",
)


def _column(kinds: list[tuple[str, Week]], name: str) -> pa.Array:
    return pa.array([getattr(week, name) for _, week in kinds], pa.float64())
