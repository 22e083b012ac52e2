"""From when points may be spent, and their last day: calendar arithmetic in the programme's zone."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tessera import clock
from tessera.documents import Document, Misplaced

SPAN = ("days", "months", "to_end_of")
READS = {
    "rolling": SPAN,
    "inactivity": SPAN,
    "calendar": ("on", "years"),
    "anniversary": ("years",),
}
Span = Annotated[int, Field(ge=0, le=1200, strict=True)]


class Expiry(Document):
    """When points end. `rolling`: so long after they could first be spent. `inactivity`: so long
    after the member last earned or spent. `calendar`: on the day `on`, `years` after the year they
    came in. `anniversary`: on the day of joining, at least `years` later."""

    kind: Literal["rolling", "inactivity", "calendar", "anniversary"]
    months: Span = 0
    days: Span = 0
    years: Annotated[int, Field(ge=0, le=20, strict=True)] = 1
    to_end_of: Literal["month", "quarter", "year"] | None = None
    on: str = Field("12-31", pattern=r"^\d\d-\d\d$")
    grace_days: int = Field(0, ge=0, le=366, strict=True)  # for what comes back after its end

    @model_validator(mode="after")
    def _lasts(self) -> Expiry:
        reads = READS[self.kind]
        for key in sorted(self.model_fields_set - {"kind", "grace_days", *reads}):
            said = f"'{key}' says nothing where points end by '{self.kind}'."
            raise Misplaced((key,), f"{said} Valid: {', '.join(reads)}.")
        if self.kind in ("rolling", "inactivity") and not self.months + self.days:
            raise ValueError(f"'{self.kind}' needs 'months' or 'days'")
        if self.kind == "calendar":
            date.fromisoformat(f"2000-{self.on}")
        return self

    def last_day(self, given: date, joined: date | None = None) -> date:
        """The last day of points that could first be spent on `given`."""
        if self.kind == "calendar":
            month, day = map(int, self.on.split("-"))
            this_year = _clamped(given.year, month, day)
            years = self.years + (given > this_year)
            return _clamped(given.year + years, month, day)
        if self.kind == "anniversary":
            joined = joined or given
            years = self.years + ((given.month, given.day) > (joined.month, joined.day))
            return _clamped(given.year + years, joined.month, joined.day)
        return _end_of(add_months(given, self.months) + timedelta(days=self.days), self.to_end_of)


@dataclass(frozen=True)
class Terms:
    """What a lot is given under. `expires_at` is the first instant its points are gone: the
    beginning, in the programme's zone, of the day after `expires_on`."""

    activates_at: str | None = None
    expires_at: str | None = None
    expires_on: str | None = None


NO_TERMS = Terms()


def terms(*, expiry: Expiry | None, first_day: date, joined: date | None, timezone: str) -> Terms:
    """The terms of points that can be spent from `first_day` on."""
    if expiry is None:
        return Terms(day_starts(first_day, timezone))
    last = expiry.last_day(first_day, joined)
    return Terms(day_starts(first_day, timezone), day_after(last, timezone), last.isoformat())


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or the last one of a shorter month."""
    years, month = divmod(day.month - 1 + months, 12)
    return _clamped(day.year + years, month + 1, day.day)


def day_starts(day: date, timezone: str) -> str:
    """The first instant of `day` in the zone, UTC."""
    return clock.stamp(clock.day_starts(day, clock.zone(timezone)))


def day_after(day: date, timezone: str) -> str:
    """The first instant after `day` in the zone, UTC."""
    return day_starts(day + timedelta(days=1), timezone)


def _clamped(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))


def _end_of(day: date, period: str | None) -> date:
    if period is None:
        return day
    months = {"month": 1, "quarter": 3, "year": 12}[period]
    last_month = (day.month - 1) // months * months + months
    return _clamped(day.year, last_month, 31)
