"""How well purchases and revenue would have been foretold, on a history that is cut in two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from tessera.errors import BadInput
from tessera.know import spend, weeks
from tessera.know.fitting import Fit, Floats, Z
from tessera.know.forecast import Forecast, Question, forecast
from tessera.know.history import MOST_ROWS
from tessera.know.purchases import Columns, Customers, Purchases, read
from tessera.know.rhythm import Rhythm

UNITS = {"days": 1.0, "weeks": 7.0, "months": 365.25 / 12}


@dataclass(frozen=True)
class ValueReport:
    """Purchases of the holdout days, expected and actual; errors are per customer, in purchases."""

    model: str
    customers: int
    calibration: tuple[str, str]
    holdout: tuple[str, str]
    last_purchase: str  # of the file; holdout days after it count as days without any
    expected: float
    interval: tuple[float, float]  # 95 %, of the total
    actual: int
    mae: float
    rmse: float
    naive: dict[str, float]  # everybody goes on at the rate so far
    bg_nbd: dict[str, float]  # the plain model, for comparison
    revenue: dict[str, float]
    parameters: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    level: float
    time_unit: str
    left_out: dict[str, int]  # rows
    weeks: list[dict[str, Any]]  # of the holdout, expected and actual
    weekly: dict[str, float]  # how far the weeks were off, as shares of what happened


def evaluate(
    path: Path, calibration_end: date, holdout_end: date, columns: Columns, time_unit: str
) -> ValueReport:
    """Learn from `path` up to `calibration_end`, and compare with what came up to `holdout_end`."""
    if holdout_end <= calibration_end:
        raise BadInput(f"--holdout-end {holdout_end} must lie after {calibration_end}.")
    purchases, left_out = read(path, columns)
    _refuse_outside(purchases, calibration_end)
    asked = Question(
        purchases.upto,
        purchases.first,
        calibration_end,
        (holdout_end - calibration_end).days,
        UNITS[time_unit],
    )
    known = purchases.upto(calibration_end, holdout_end)
    return _report(asked, purchases, known, (holdout_end, time_unit, left_out))


def _refuse_outside(purchases: Purchases, end: date) -> None:
    if not purchases.first <= end < purchases.last:
        raise BadInput(
            f"{purchases.where}: purchases go from {purchases.first} to {purchases.last}; "
            f"choose a --calibration-end between them, not {end}."
        )


def _report(
    asked: Question,
    purchases: Purchases,
    known: Customers,
    told: tuple[date, str, dict[str, int]],
) -> ValueReport:
    until, time_unit, left_out = told
    found = forecast(asked, known)
    plain, usual = _plain(asked, known)
    worth, amounts = worths(known)
    money = float((found.expected * amounts).sum()), purchases.usual_amount(asked.end)[1]
    ahead = weeks.ahead(found, known, asked.end, asked.days, money)
    tried = weeks.compared(ahead, purchases, asked.end)
    fits = {"bg_nbd": plain, **found.fits} | ({"gamma_gamma": worth} if worth else {})
    return ValueReport(
        model=found.model,
        customers=len(known.actual),
        calibration=(str(asked.first), str(asked.end)),
        holdout=(str(asked.end), str(until)),
        last_purchase=str(purchases.last),
        **_errors(found.expected, known.actual),
        interval=_interval(found, known),
        actual=int(known.actual.sum()),
        naive=_errors(_naive(known, asked.days), known.actual),
        bg_nbd=_errors(usual, known.actual),
        revenue=_revenue(found.expected * amounts, known),
        parameters={name: one.parameters for name, one in fits.items()},
        intervals={name: one.intervals for name, one in fits.items()},
        level=found.level,
        time_unit=time_unit,
        left_out=left_out,
        weeks=[vars(week) for week in tried],
        weekly=weeks.errors(tried),
    )


def _plain(asked: Question, known: Customers) -> tuple[Fit, Floats]:
    model = Rhythm(1, leaves_at_first=False)
    history = known.calendar.in_units(asked.unit_days)
    fitted = model.fit(history.sample())
    expected = model.expected(history, fitted, asked.days / asked.unit_days)
    return fitted, expected[known.calendar.inverse]


def worths(known: Customers) -> tuple[Fit | None, Floats]:
    """The Gamma-Gamma model, and the amount that each customer's next purchase is expected to have."""
    x, mean = known.x, known.mean_amount
    rows = np.flatnonzero((x > 0) & (mean > 0))
    if len(rows) < 2:  # noqa: PLR2004
        return None, np.full_like(mean, mean.mean())
    if len(rows) > MOST_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int)]
    fitted = spend.fit(x[rows], mean[rows])
    return fitted, spend.expected(fitted, x, mean)


def _naive(known: Customers, days: int) -> Floats:
    age = known.calendar.since_first[known.calendar.inverse]
    return np.where(age > 0, known.x / np.maximum(age, 1) * days, 0.0)


def _errors(expected: Floats, actual: Floats) -> dict[str, Any]:
    off = expected - actual
    return {
        "expected": round(float(expected.sum()), 1),
        "mae": round(float(np.abs(off).mean()), 4),
        "rmse": round(float(np.sqrt((off**2).mean())), 4),
    }


def _interval(found: Forecast, known: Customers) -> tuple[float, float]:
    """Of the total: chance in what customers do, and how far back-tests were off the level."""
    total = float(found.expected.sum())
    chance = total + float((found.expected**2 / (known.x + 1)).sum())
    width = Z * float(np.sqrt(chance + (found.level_error * total) ** 2))
    return round(max(total - width, 0.0), 1), round(total + width, 1)


def _revenue(expected: Floats, known: Customers) -> dict[str, float]:
    off = np.abs(expected - known.actual_amount)
    return {
        "expected": round(float(expected.sum()), 2),
        "actual": round(float(known.actual_amount.sum()), 2),
        "mae": round(float(off.mean()), 4),
    }
