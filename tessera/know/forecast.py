"""The purchases to come: the model that fits a history, chosen within the history alone.

How regular gaps are (k) is chosen by likelihood. Irregular buyers (k = 1) get the Pareto/NBD, regular
ones the MBG/CNBD-k, either with its level moved halfway to what back-tests within the history found.
A year or more with newcomers all along tells seasons from leaving (`season`), without such a move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from scipy.special import gammaln

from tessera.errors import BadInput
from tessera.know import season
from tessera.know.fitting import Fit, Floats
from tessera.know.history import Calendar
from tessera.know.pareto import Pareto
from tessera.know.purchases import Customers
from tessera.know.rhythm import Rhythm

REGULARITIES = (1, 2, 3)
ORIGINS = (0.5, 0.67, 0.8)  # of the history, where back-tests begin
FEWEST = 30  # repeat purchases
LEVELS = (0.7, 1.4)
LEAST_ERROR = 0.05  # of a level, relative, one standard deviation
SEASON_ERROR = 0.1

Model = Pareto | Rhythm


@dataclass(frozen=True)
class Question:
    """A history up to `end`, and how many days ahead to look; `upto` tells what had happened by a day
    and what came until another."""

    upto: Callable[[date, date], Customers]
    first: date
    end: date
    days: int
    unit_days: float


@dataclass(frozen=True)
class Forecast:
    """Expected purchases per customer, the chance to be one still, and how both were found."""

    model: str
    expected: Floats
    alive: Floats
    fits: dict[str, Fit]
    level: float  # what the model's own numbers were multiplied by
    level_error: float  # relative, one standard deviation
    total: Callable[[int], float]  # purchases of all customers in so many days, nearly


def forecast(asked: Question, known: Customers) -> Forecast:
    """The next days, from what is `known` at the end; BadInput when that is too little."""
    if known.calendar.x @ known.calendar.count < FEWEST:
        raise BadInput(
            f"Up to {asked.end} there are fewer than {FEWEST} repeat purchases; "
            "that is too few to learn from, so choose a later day or a longer history."
        )
    k = regularity(known, asked.unit_days)
    if season.applies(known.calendar):
        return _seasonal(known.calendar, Rhythm(k), asked.days)
    return _even(asked, known.calendar, Pareto() if k == 1 else Rhythm(k))


def regularity(known: Customers, unit_days: float) -> int:
    """The k under which the gaps are most likely."""
    whole = known.calendar.in_units(unit_days)
    history = whole.sample()
    share = (history.x @ history.count) / (whole.x @ whole.count)
    gaps = known.gaps * share
    logs = known.log_gaps * share - gaps * np.log(unit_days)

    def likelihood(k: int) -> float:
        fitted = Rhythm(k).fit(history, intervals=False)
        return float(fitted.log_likelihood + (k - 1) * logs - gaps * gammaln(k))

    return max(REGULARITIES, key=likelihood)


def _seasonal(given: Calendar, rhythm: Rhythm, days: int) -> Forecast:
    found = season.fit(given, rhythm)
    sample = given.sample()
    return Forecast(
        model=f"seasonal_{rhythm.name}",
        expected=found.expected(given, days)[given.inverse],
        alive=found.alive(given)[given.inverse],
        fits={f"first_bought_{start}_days_ago": fitted for start, fitted in found.cohorts},
        level=1.0,
        level_error=SEASON_ERROR,
        total=lambda ahead: float(found.expected(sample, ahead) @ sample.count),
    )


def _even(asked: Question, given: Calendar, model: Model) -> Forecast:
    """Without seasons: as much as the model says, at the level that back-tests suggest."""
    history = given.in_units(asked.unit_days)
    sample = history.sample()
    fitted = model.fit(sample)
    level, error = _level(asked, model)

    def total(days: int) -> float:
        return float(model.expected(sample, fitted, days / asked.unit_days) @ sample.count)

    expected = model.expected(history, fitted, asked.days / asked.unit_days)
    return Forecast(
        model=model.name,
        expected=level * expected[given.inverse],
        alive=model.alive(history, fitted)[given.inverse],
        fits={model.name: fitted},
        level=level,
        level_error=error,
        total=total,
    )


def _level(asked: Question, model: Model) -> tuple[float, float]:
    """Half of the way (in logarithms) from 1 to what was bought over what was expected, in back-tests
    from several days of the history to its end; and how far these were off."""
    tested = [_back_test(asked, model, share) for share in ORIGINS]
    found = [(expected, actual) for expected, actual in tested if min(expected, actual) >= FEWEST]
    if not found:
        return 1.0, 2 * LEAST_ERROR
    expected, actual = np.sum(found, axis=0)
    off = np.array([np.log(actual / expected) for expected, actual in found])
    level = float(np.sqrt(np.clip(actual / expected, *LEVELS)))
    return level, max(LEAST_ERROR, float(np.sqrt(np.mean(off**2))) / 2)


def _back_test(asked: Question, model: Model, share: float) -> tuple[float, float]:
    """Purchases expected and actual, from `share` of the history on."""
    origin = asked.first + timedelta(days=int((asked.end - asked.first).days * share))
    known = asked.upto(origin, asked.end)
    history = known.calendar.in_units(asked.unit_days)
    if history.x @ history.count < FEWEST:
        return 0.0, 0.0
    sample = history.sample()
    fitted = model.fit(sample, intervals=False)
    expected = model.expected(sample, fitted, (asked.end - origin).days / asked.unit_days)
    scale = history.count.sum() / sample.count.sum()
    return float(expected @ sample.count * scale), float(known.actual.sum())
