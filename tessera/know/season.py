"""Seasons told from leaving: a clock that runs faster when everybody buys more.

An autumn peak hides in a year's history that customers leave, because whoever is left buys more.
So the pace of the shop and the customers' own models are fitted in turns (EM): given the models,
the pace of a fortnight is its purchases over those expected of who was still there; given the
pace, the models are fitted in the shop's own time. Whoever was first seen early had often bought
before the history began, so each cohort of first purchases has parameters of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.know.fitting import Fit, Floats
from tessera.know.history import Calendar, History
from tessera.know.rhythm import Rhythm

YEAR = 364  # 52 whole weeks
PERIOD = 14  # days of one pace
COHORT = 56  # days of first purchases that share parameters
FEWEST = 250  # customers of a cohort
TURNS = 6
PRIOR = 20.0  # purchases at an even pace that every fortnight is taken to have had
CENSORED = 1.5  # times as many first purchases in the first weeks as in usual ones
LATECOMERS = 0.5


@dataclass(frozen=True)
class Season:
    """The pace of each day, by days ago, and a model per cohort; times are in days."""

    rhythm: Rhythm
    pace: Floats
    cohorts: list[tuple[int, Fit]]  # from so many days since the first purchase on

    def ahead(self, days: int) -> float:
        """How far the shop's clock will go: each day at the pace of the same weekday a year before."""
        return float(self.pace[YEAR - 1 - np.arange(days) % YEAR].sum())

    def expected(self, given: Calendar, days: int) -> Floats:
        """Purchases in the next `days`, per row."""
        return self._per_cohort(
            given, lambda h, fit: self.rhythm.expected(h, fit, self.ahead(days))
        )

    def alive(self, given: Calendar) -> Floats:
        """The chance of still being a customer, per row."""
        return self._per_cohort(given, self.rhythm.alive)

    def members(self, given: Calendar) -> list[tuple[NDArray[np.bool_], Fit]]:
        """The rows of each cohort, with its model."""
        rows = _members(given, [start for start, _ in self.cohorts])
        return [(which, fitted) for which, (_, fitted) in zip(rows, self.cohorts, strict=True)]

    def _per_cohort(self, given: Calendar, what: Callable[[History, Fit], Floats]) -> Floats:
        history = given.in_season(_clock(self.pace))
        found = np.zeros_like(given.x)
        for rows, fitted in self.members(given):
            found[rows] = what(history.rows(rows), fitted)
        return found


def applies(given: Calendar) -> bool:
    """Whether the history is a year long and begins in the middle: far more people than usual are
    seen for the first time in its first weeks, because they had bought before."""
    early = float(given.count[given.since_first >= given.days - COHORT].sum())
    late = float(given.count[given.since_first < given.days / 2].sum())
    even = float(given.count.sum()) * COHORT / given.days
    return bool(given.days > YEAR and early > CENSORED * even and late > LATECOMERS * even)


def fit(given: Calendar, rhythm: Rhythm) -> Season:
    """The pace of the shop's fortnights and the customers' models, fitted in turns."""
    sample = given.sample()
    share = float(sample.x @ sample.count) / float(given.x @ given.count)
    periods = np.minimum(np.arange(given.days) // PERIOD, max(given.days // PERIOD - 1, 0))
    bought = np.bincount(periods, given.repeats_ago[: given.days]) * share
    pace = np.ones(given.days)
    cohorts: Sequence[tuple[int, Fit | None]] = [(start, None) for start in _cohorts(sample)]
    for _ in range(TURNS):
        fitted = _fit_cohorts(sample, rhythm, pace, cohorts)
        due = np.bincount(periods, _due(sample, Season(rhythm, pace, fitted)))
        relative = (bought + PRIOR) / (due + PRIOR)
        pace, cohorts = relative[periods] / relative[periods][:YEAR].mean(), fitted
    return Season(rhythm, pace, _fit_cohorts(sample, rhythm, pace, cohorts))


def _clock(pace: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(pace)])


def _cohorts(given: Calendar) -> list[int]:
    """Where cohorts begin, in days since the first purchase, the latest first; none is too small."""
    starts = [0]
    for start in range(COHORT, given.days, COHORT):
        here = (given.since_first >= starts[-1]) & (given.since_first < start)
        after = given.since_first >= start
        if min(given.count[here].sum(), given.count[after].sum()) >= FEWEST:
            starts.append(start)
    return starts


def _members(given: Calendar, starts: list[int]) -> list[NDArray[np.bool_]]:
    which = np.searchsorted(starts, given.since_first, side="right") - 1
    return [which == number for number in range(len(starts))]


def _fit_cohorts(
    given: Calendar, rhythm: Rhythm, pace: Floats, cohorts: Sequence[tuple[int, Fit | None]]
) -> list[tuple[int, Fit]]:
    """The models of the cohorts at a new pace, from those at the last one."""
    history = given.in_season(_clock(pace))
    members = _members(given, [start for start, _ in cohorts])
    return [
        (start, rhythm.fit(history.rows(rows), intervals=False, near=before))
        for (start, before), rows in zip(cohorts, members, strict=True)
    ]


def _due(given: Calendar, season: Season) -> Floats:
    """The repeat purchases expected of whoever was still there, by days ago."""
    history = given.in_season(_clock(season.pace))
    rate = np.zeros(len(season.pace))
    for rows, fitted in season.members(given):
        before, since = season.rhythm.rates(history.rows(rows), fitted)
        count, first, last = given.count[rows], given.since_first[rows], given.since_last[rows]
        np.add.at(rate, np.maximum(first - 1, 0), before * count * (first > 0))
        np.add.at(rate, np.maximum(last - 1, 0), (since - before) * count * (last > 0))
    return np.asarray(np.cumsum(rate[::-1])[::-1])
