"""On which day points end, by each kind of expiry."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tessera.reward.programme import Programme
from tessera.reward.terms import Expiry, day_after
from tessera.reward.tiers import told, until


@pytest.mark.parametrize(
    ("expiry", "given", "last"),
    [
        ({"kind": "rolling", "months": 1}, "2026-01-31", "2026-02-28"),
        ({"kind": "rolling", "months": 12}, "2024-02-29", "2025-02-28"),
        ({"kind": "rolling", "months": 1, "days": 10}, "2026-01-31", "2026-03-10"),
        ({"kind": "rolling", "months": 12, "to_end_of": "month"}, "2026-02-05", "2027-02-28"),
        ({"kind": "rolling", "days": 1, "to_end_of": "quarter"}, "2026-03-31", "2026-06-30"),
        ({"kind": "rolling", "months": 3, "to_end_of": "year"}, "2026-11-01", "2027-12-31"),
        ({"kind": "calendar", "years": 0}, "2026-12-31", "2026-12-31"),
        ({"kind": "calendar"}, "2026-01-01", "2027-12-31"),
        ({"kind": "calendar", "on": "03-31", "years": 1}, "2026-03-31", "2027-03-31"),
        ({"kind": "calendar", "on": "03-31", "years": 1}, "2026-04-01", "2028-03-31"),
        ({"kind": "calendar", "on": "02-29", "years": 1}, "2026-01-01", "2027-02-28"),
        ({"kind": "anniversary"}, "2026-05-09", "2027-05-10"),  # joined on 10 May 2020
        ({"kind": "anniversary"}, "2026-05-10", "2027-05-10"),
        ({"kind": "anniversary"}, "2026-05-11", "2028-05-10"),
    ],
)
def test_the_last_day(expiry: dict[str, Any], given: str, last: str) -> None:
    found = Expiry(**expiry).last_day(date.fromisoformat(given), date(2020, 5, 10))
    assert found == date.fromisoformat(last)


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        ("2026-03-28", "Europe/Athens", "2026-03-28T22:00:00+00:00"),
        ("2026-03-29", "Europe/Athens", "2026-03-29T21:00:00+00:00"),  # the clock went forward
        ("2026-10-25", "Europe/Athens", "2026-10-25T22:00:00+00:00"),  # and back
        ("2026-03-28", "Asia/Beirut", "2026-03-28T22:00:00+00:00"),  # a day without a midnight
    ],
)
def test_row_11_a_day_is_over_when_the_next_begins_in_its_zone(
    day: str, zone: str, instant: str
) -> None:
    assert day_after(date.fromisoformat(day), zone) == instant


def test_a_tier_lasts_its_months_and_the_days_of_grace_and_its_window_begins_in_the_zone() -> None:
    said = {
        "programme": "club",
        "currency": "any",
        "returns": "debt",
        "earn_rules": [{"rule": "purchase", "points": 1, "per": 100}],
        "tiers": {
            "months": 3,
            "keep_months": 1,
            "grace_days": 3,
            "levels": [{"tier": "silver", "least": 10}],
        },
    }
    club = Programme.model_validate(said)
    assert club.tiers
    assert until(club.tiers, date(2026, 1, 31)) == date(2026, 3, 3)
    known = told(club, date(2026, 4, 1), "Pacific/Auckland")
    assert known["since"] == "2025-12-31 11:00:00"
    assert known["levels"] == [{"tier": "silver", "least": 10}]
