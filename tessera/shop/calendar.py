"""Which days go into which receipts file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

SHORTEST = 15  # days: a shorter month at either end joins its neighbour, so that no file is a stub


@dataclass(frozen=True)
class Period:
    """The days from `from_day` up to `to_day` (exclusive), counted from the shop's first."""

    name: str  # the month it begins in, such as 2025-01
    from_day: int
    to_day: int


def periods(start: date, days: int) -> list[Period]:
    """The `days` days from `start` on, cut at the ends of months."""
    firsts = [day for day in range(1, days) if (start + timedelta(days=day)).day == 1]
    if firsts and days - firsts[-1] < SHORTEST:
        firsts.pop()
    if firsts and firsts[0] < SHORTEST:
        firsts.pop(0)
    begins = [0, *firsts]
    ends = [*firsts, days]
    return [
        Period(f"{start + timedelta(days=begin):%Y-%m}", begin, end)
        for begin, end in zip(begins, ends, strict=True)
    ]


def default_start(days: int) -> date:
    """1 January 2025, or earlier for more than a year: the last day is at most 31 December 2025,
    so that nothing happens in the future and the output does not depend on today."""
    return min(date(2025, 1, 1), date(2026, 1, 1) - timedelta(days=days))
