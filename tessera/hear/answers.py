"""Answers to whether people would recommend the shop, for those who can change something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import sqrt

from tessera.clock import stamp
from tessera.store import queries
from tessera.store.store import Row
from tessera.workspace import Workspace

SQL = queries("tessera.hear", "answers.sql")

SURE = 1.96  # standard errors on either side: 19 months of 20 lie within


@dataclass(frozen=True)
class Promotion:
    """The net promoter score of one month: promoters (9, 10) less detractors (0 to 6), of 100
    answers; with so many answers it may as well be anything from `low` to `high`."""

    month: str
    answers: int
    promoters: int
    detractors: int
    score: float
    low: float
    high: float


def promotion(ws: Workspace, *, days: int) -> list[Promotion]:
    """The net promoter score by month."""
    since = stamp(ws.as_of - timedelta(days=days))
    with ws.store.read() as connection:
        rows = connection.all(SQL["by_month"], since=since, until=stamp(ws.as_of))
    return [_promotion(**row) for row in rows]


def _promotion(month: str, answers: int, promoters: int, detractors: int) -> Promotion:
    score = (promoters - detractors) / answers
    # The adjusted Wald interval: three answers more, spread evenly, keep it honest for a few.
    number, good, bad = answers + 3, promoters + 0.75, detractors + 0.75
    middle = (good - bad) / number
    wide = SURE * sqrt(((good + bad) / number - middle**2) / number)
    low, high = max(-1.0, middle - wide), min(1.0, middle + wide)
    shown = (round(100 * value, 1) for value in (score, low, high))
    return Promotion(month, answers, int(promoters), int(detractors), *shown)


def latest(ws: Workspace, *, below: int, days: int) -> list[Row]:
    """The last answer to each message, below a score, the newest first."""
    since = stamp(ws.as_of - timedelta(days=days))
    with ws.store.read() as connection:
        return connection.all(SQL["latest"], below=below, since=since, until=stamp(ws.as_of))
