"""The only place that knows what time it is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tessera.errors import BadInput

UTC_ZONE = ZoneInfo("UTC")
YEARS = range(1900, 2200)  # in which a shop may be at work


def now() -> datetime:
    """The current instant, UTC."""
    return datetime.now(UTC)


def stamp(instant: datetime) -> str:
    """The instant as the store writes it: in UTC, to the second."""
    return instant.astimezone(UTC).isoformat(timespec="seconds")


def naive(instant: datetime) -> datetime:
    """The instant as DuckDB has it: in UTC, without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)


def zone(name: str) -> ZoneInfo:
    """The IANA zone called `name`; BadInput when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(
            f"'{name}' is not a time zone; use an IANA name such as Europe/Athens."
        ) from None


def zone_or(name: str | None, other: ZoneInfo = UTC_ZONE) -> ZoneInfo:
    """The zone called `name`, or the other when there is none."""
    try:
        return zone(name) if name else other
    except BadInput:
        return other


def parse_as_of(text: str | None, shop_zone: str) -> datetime:
    """The instant a command acts as of, UTC.

    A date means the morning of that day: its first instant in the shop's zone, so that all
    earlier days' receipts count and the day's messages are still to be sent. None means now.
    """
    return now() if text is None else parse_instant(text, "--as-of", shop_zone)


def parse_instant(text: str, option: str, shop_zone: str) -> datetime:
    """The instant typed for `option`, UTC; BadInput when it is none. A date is its first instant in the shop's zone; a date
    with a time is taken as it stands, in the shop's zone unless it names an offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"{option} '{text}' is not a date; write it as 2026-03-31 or 2026-03-31T09:00."
        ) from None
    _refuse_far(moment, text, option)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone(shop_zone))).astimezone(UTC)


@overload
def parse_day(text: str, option: str) -> date: ...


@overload
def parse_day(text: str | None, option: str) -> date | None: ...


def parse_day(text: str | None, option: str) -> date | None:
    """The date typed for `option`, if one was; BadInput when it is none."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option} '{text}' is not a date; write it as 2026-03-31.") from None
    _refuse_far(day, text, option)
    return day


def _refuse_far(day: date, text: str, option: str) -> None:
    """Where the calendar ends, no day can be added or taken away."""
    if day.year not in YEARS:
        raise BadInput(f"{option} '{text}' must lie between {YEARS[0]} and {YEARS[-1]}.")


def business_date(instant: datetime, shop_zone: str) -> date:
    """The shop's calendar date at `instant`."""
    return instant.astimezone(zone(shop_zone)).date()


def day_starts(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of `day` in `zone`, UTC: where the clocks skip midnight, the first after it."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def day_ends(day: date, zone: ZoneInfo) -> datetime:
    """The first instant after `day` in `zone`, UTC. Of the last day there is, the last that can be written:
    it is meant for ever."""
    if day == date.max:
        return datetime.max.replace(microsecond=0, tzinfo=UTC)
    return day_starts(day + timedelta(days=1), zone)
