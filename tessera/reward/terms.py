"""From when points may be spent, and their last day: calendar arithmetic in the programme's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from tessera import clock


@dataclass(frozen=True)
class Terms:
    """What a lot is given under. `expires_at` is the first instant its points are gone: the
    beginning, in the programme's zone, of the day after `expires_on`."""

    activates_at: str | None = None
    expires_at: str | None = None
    expires_on: str | None = None


NO_TERMS = Terms()


def day_starts(day: date, timezone: str) -> str:
    """The first instant of `day` in the zone, UTC."""
    midnight = datetime.combine(day, time.min, clock.zone(timezone))
    return midnight.astimezone(UTC).isoformat(timespec="seconds")


def day_after(day: date, timezone: str) -> str:
    """The first instant after `day` in the zone, UTC."""
    return day_starts(day + timedelta(days=1), timezone)
