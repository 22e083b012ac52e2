"""When a message may leave: the day's slot in the customer's zone, whatever the clocks do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tessera import clock
from tessera.decide.policy import Hours, Window, minutes

DAY = 24 * 60
MINUTE = timedelta(minutes=1)
Slot = tuple[datetime, datetime]  # UTC: from, and until but not at
Place = tuple[str | None, int | None]  # a time zone, and the hour at which one reads best


def open_hours(window: Window, quiet: Hours | None) -> list[tuple[int, int]]:
    """The window without the quiet hours, as spans of minutes since midnight."""
    spans = [(minutes(window.start), minutes(window.end))]
    for start, end in _without_midnight(quiet):
        spans = [
            piece
            for a, b in spans
            for piece in ((a, min(b, start)), (max(a, end), b))
            if piece[0] < piece[1]
        ]
    return spans


def _without_midnight(hours: Hours | None) -> Iterator[tuple[int, int]]:
    if hours is None:
        return
    start, end = minutes(hours.start), minutes(hours.end)
    if start < end:
        yield start, end
    else:
        yield 0, end
        yield start, DAY


def find_slot(
    spans: Sequence[tuple[int, int]],
    zone: ZoneInfo,
    *,
    day: date,
    as_of: datetime,
    until: datetime,
    best_hour: int | None = None,
) -> Slot | None:
    """The first open span that is not over at `as_of`: on `day` by the customer's calendar, which
    may be tomorrow by the shop's; or, where `day` is over already, on the next, if that begins
    before `until` (the end of the business date; tomorrow's pass sees to the rest). None when
    there is none. A span in which the customer's `best_hour` lies comes before others, and begins
    with it."""
    best = None if best_hour is None else best_hour * 60
    spans = sorted(_beginning_with(best, spans), key=lambda span: span[0] != best)
    for ahead in (0, 1):
        for start, end in spans:
            opens = _instant(day + timedelta(days=ahead), start, zone)
            closes = _instant(day + timedelta(days=ahead), end, zone)
            opens_again = _instant(day + timedelta(days=ahead), start, zone, fold=1)
            begins = max(opens_again if opens_again < closes else opens, as_of)
            if begins < closes and (not ahead or begins < until):
                return begins, closes
    return None


def _beginning_with(
    best: int | None, spans: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    for start, end in spans:
        yield (best, end) if best is not None and start <= best < end else (start, end)


def _instant(day: date, minute: int, zone: ZoneInfo, *, fold: int = 0) -> datetime:
    """When clocks in `zone` show that minute of `day`; a minute that they skip is the first after
    the gap, of one shown twice the first counts, or with `fold` the second."""
    wall = datetime.combine(day, time(), zone) + timedelta(minutes=minute)
    # Of a minute that is skipped the fold would be the earlier.
    instant = max(wall.astimezone(UTC), wall.replace(fold=fold).astimezone(UTC))
    shown = instant.astimezone(zone)
    if shown.replace(tzinfo=None) > wall.replace(tzinfo=None):
        while (instant - MINUTE).astimezone(zone).utcoffset() == shown.utcoffset():
            instant -= MINUTE
    return instant


def find_slots(
    spans: Sequence[tuple[int, int]],
    places: Iterable[Place],
    *,
    shop: ZoneInfo,
    day: date,
    as_of: datetime,
    is_at_best_hour: bool = False,
) -> Iterator[dict[str, object]]:
    """A row per time zone and best hour as customers have them: the zone used, and the slot (null: none)."""
    until = clock.day_ends(day, shop)
    for name, hour in places:
        zone = clock.zone_or(name, shop)
        best_hour = hour if is_at_best_hour else None
        slot = find_slot(spans, zone, day=day, as_of=as_of, until=until, best_hour=best_hour)
        send_from, send_until = slot or (None, None)
        yield {
            "timezone": name,
            "best_hour": hour,
            "zone": zone.key,
            "send_from": send_from,
            "send_until": send_until,
        }
