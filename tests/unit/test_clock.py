"""A day begins and ends where the clocks of its zone say, also where they skip midnight or show it twice."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from tessera.clock import day_ends, day_starts


@pytest.mark.parametrize(
    ("zone", "day", "starts", "ends"),
    [
        ("Europe/Athens", "2026-03-29", "2026-03-28 22:00", "2026-03-29 21:00"),
        ("Asia/Beirut", "2026-03-29", "2026-03-28 22:00", "2026-03-29 21:00"),  # begins at one
        ("America/Havana", "2026-11-01", "2026-11-01 04:00", "2026-11-02 05:00"),  # midnight twice
        ("America/Santiago", "2026-04-04", "2026-04-04 03:00", "2026-04-05 04:00"),  # eleven twice
        ("Pacific/Apia", "2011-12-29", "2011-12-29 10:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00", "2011-12-30 10:00"),  # never was
    ],
)
def test_a_day_lasts_from_its_first_instant_to_the_next_ones(
    zone: str, day: str, starts: str, ends: str
) -> None:
    on, where = date.fromisoformat(day), ZoneInfo(zone)
    assert f"{day_starts(on, where):%Y-%m-%d %H:%M %Z}" == f"{starts} UTC"
    assert f"{day_ends(on, where):%Y-%m-%d %H:%M %Z}" == f"{ends} UTC"


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Athens", "America/Los_Angeles", "Pacific/Auckland"]
)
def test_the_last_day_that_can_be_written_ends_too(name: str) -> None:
    """It is how people write 'for ever'."""
    end = day_ends(date.max, ZoneInfo(name))
    assert (end.date(), end.utcoffset()) == (date.max, timedelta())
