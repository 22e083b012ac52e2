"""A message leaves within its window by the customer's own clock, on days of any length."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.clock import day_ends, day_starts
from tessera.decide.policy import Hours, Window
from tessera.decide.schedule import check, is_due, next_due
from tessera.decide.slots import find_slot, find_slots, open_hours

DAY = Window(start="09:00", end="19:30")
ZONES = ["Europe/Athens", "America/New_York", "Asia/Tehran", "Pacific/Auckland", "Asia/Kolkata"]


def slot(
    zone: str, day: str, window: Window = DAY, *, at: str = "", shop: str = "UTC"
) -> tuple[str, str] | None:
    """The slot as customers read it on their clocks."""
    on, here = date.fromisoformat(day), ZoneInfo(zone)
    morning = day_starts(on, ZoneInfo(shop))
    as_of = datetime.fromisoformat(at).astimezone(UTC) if at else morning
    found = find_slot(
        open_hours(window, None), here, day=on, as_of=as_of, until=day_ends(on, ZoneInfo(shop))
    )
    return found and tuple(f"{t.astimezone(here):%m-%d %H:%M%z}" for t in found)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("zone", "day", "opens"),
    [
        # the day before, of and after each change of the clocks in 2026
        ("Europe/Athens", "2026-03-28", "03-28 09:00+0200"),
        ("Europe/Athens", "2026-03-29", "03-29 09:00+0300"),
        ("Europe/Athens", "2026-10-24", "10-24 09:00+0300"),
        ("Europe/Athens", "2026-10-25", "10-25 09:00+0200"),
        ("America/New_York", "2026-03-07", "03-07 09:00-0500"),
        ("America/New_York", "2026-03-08", "03-08 09:00-0400"),
        ("America/New_York", "2026-10-31", "10-31 09:00-0400"),
        ("America/New_York", "2026-11-01", "11-01 09:00-0500"),
        ("Pacific/Auckland", "2026-09-26", "09-26 12:00+1200"),  # nine o'clock was yesterday in UTC
        ("Pacific/Auckland", "2026-09-27", "09-27 13:00+1300"),
        ("Pacific/Auckland", "2026-04-04", "04-04 13:00+1300"),
        ("Pacific/Auckland", "2026-04-05", "04-05 12:00+1200"),
        # Tehran has not changed its clocks since 2022
        ("Asia/Tehran", "2022-03-21", "03-21 09:00+0330"),
        ("Asia/Tehran", "2022-03-22", "03-22 09:00+0430"),
        ("Asia/Tehran", "2026-03-22", "03-22 09:00+0330"),
    ],
)
def test_nine_o_clock_is_nine_o_clock_across_the_change(zone: str, day: str, opens: str) -> None:
    found = slot(zone, day)
    assert found is not None
    assert found[0] == opens
    assert found[1][6:11] == "19:30"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        # 02:00 to 03:00 does not exist on 8 March in New York
        ("02:00", "03:00", None),
        ("02:30", "04:00", ("03-08 03:00-0400", "03-08 04:00-0400")),
        ("02:30", "03:15", ("03-08 03:00-0400", "03-08 03:15-0400")),
        ("01:30", "02:30", ("03-08 01:30-0500", "03-08 03:00-0400")),
    ],
)
def test_hours_that_the_clock_skips(start: str, end: str, expected: tuple[str, str] | None) -> None:
    assert slot("America/New_York", "2026-03-08", Window(start=start, end=end)) == expected


@pytest.mark.parametrize(
    ("zone", "day", "window", "expected"),
    [
        ("America/New_York", "2026-11-01", "01:30-04:00", "11-01 01:30-0500 11-01 04:00-0500"),
        ("America/New_York", "2026-11-01", "00:30-01:30", "11-01 00:30-0400 11-01 01:30-0400"),
        ("Europe/Athens", "2026-10-25", "03:45-09:00", "10-25 03:45+0200 10-25 09:00+0200"),
        ("Pacific/Auckland", "2026-04-05", "02:10-02:20", "04-05 02:10+1300 04-05 02:20+1300"),
        ("Asia/Tehran", "2022-09-21", "23:30-23:45", "09-21 23:30+0430 09-21 23:45+0430"),
    ],
)
def test_in_an_hour_shown_twice_no_minute_outside_the_window_is_open(
    zone: str, day: str, window: str, expected: str
) -> None:
    start, _, end = window.partition("-")
    found = slot(zone, day, Window(start=start, end=end), shop=zone)
    assert found is not None
    assert " ".join(found) == expected


def test_an_hour_shown_twice_counts_the_first_time() -> None:
    window = Window(start="01:15", end="01:45")
    assert slot("America/New_York", "2026-11-01", window) == (
        "11-01 01:15-0400",
        "11-01 01:45-0400",
    )


def test_a_late_pass_takes_what_is_left_of_the_day() -> None:
    assert slot("UTC", "2026-03-31", at="2026-03-31T12:00Z") == (
        "03-31 12:00+0000",
        "03-31 19:30+0000",
    )
    assert slot("UTC", "2026-03-31", at="2026-03-31T19:30Z") is None


def test_where_the_day_is_over_already_the_next_one_serves() -> None:
    """A shop in Los Angeles begins its 31st when Auckland's is nearly done."""
    found = slot("Pacific/Auckland", "2026-03-31", shop="America/Los_Angeles")
    assert found == ("04-01 09:00+1300", "04-01 19:30+1300")


def test_quiet_hours_cut_the_window() -> None:
    assert open_hours(DAY, None) == [(540, 1170)]
    assert open_hours(DAY, Hours(start="21:00", end="08:00")) == [(540, 1170)]
    assert open_hours(DAY, Hours(start="18:00", end="10:00")) == [(600, 1080)]
    assert open_hours(DAY, Hours(start="13:00", end="15:00")) == [(540, 780), (900, 1170)]
    assert open_hours(DAY, Hours(start="08:00", end="20:00")) == []
    spans = open_hours(DAY, Hours(start="13:00", end="15:00"))
    utc, on = ZoneInfo("UTC"), date(2026, 3, 31)
    noon = datetime(2026, 3, 31, 14, tzinfo=UTC)
    found = find_slot(spans, utc, day=on, as_of=noon, until=day_ends(on, utc))
    assert found is not None
    assert found[0].hour == 15


@pytest.mark.parametrize(
    ("best", "at", "expected"),
    [
        (14, "", "03-31 14:00 03-31 19:30"),
        (9, "", "03-31 09:00 03-31 12:00"),
        (13, "", "03-31 09:00 03-31 12:00"),  # quiet
        (22, "", "03-31 09:00 03-31 12:00"),  # closed
        (None, "", "03-31 09:00 03-31 12:00"),
        (12, "", "03-31 09:00 03-31 12:00"),  # just over
        (14, "2026-03-31T16:15+03:00", "03-31 16:15 03-31 19:30"),  # over: at once
        (10, "2026-03-31T13:00+03:00", "03-31 14:00 03-31 19:30"),
        (14, "2026-03-31T20:00+03:00", None),
    ],
)
def test_a_message_leaves_at_the_best_hour_if_it_is_open(
    best: int | None, at: str, expected: str | None
) -> None:
    athens = ZoneInfo("Europe/Athens")
    spans = open_hours(DAY, Hours(start="12:00", end="14:00"))
    as_of = datetime.fromisoformat(at or "2026-03-31T00:00+03:00").astimezone(UTC)
    day = date(2026, 3, 31)
    until = day_ends(day, athens)
    found = find_slot(spans, athens, day=day, as_of=as_of, until=until, best_hour=best)
    said = found and " ".join(f"{t.astimezone(athens):%m-%d %H:%M}" for t in found)
    assert said == expected


def test_whose_day_is_over_when_the_shops_begins_has_a_best_hour_too() -> None:
    """Of the next day, as the window; where that is behind the end of the shop's, its pass sees to it."""
    shop, auckland, on = (
        ZoneInfo("America/Los_Angeles"),
        ZoneInfo("Pacific/Auckland"),
        date(2026, 3, 31),
    )
    as_of, until = day_starts(on, shop), day_ends(on, shop)
    found = find_slot([(540, 900)], auckland, day=on, as_of=as_of, until=until, best_hour=14)
    assert found is not None
    assert f"{found[0].astimezone(auckland):%m-%d %H:%M}" == "04-01 14:00"
    late = as_of.replace(
        hour=23
    )  # 12:00 of the next day in Auckland, where the shop's ends at 20:00
    assert not find_slot([(540, 720), (1260, 1320)], auckland, day=on, as_of=late, until=until)


def test_a_zone_that_does_not_exist_is_the_shops() -> None:
    rows = find_slots(
        open_hours(DAY, None),
        [("Mars/Olympus", None), (None, None), ("../etc/passwd", None), ("Asia/Tehran", None)],
        shop=ZoneInfo("Europe/Athens"),
        day=date(2026, 3, 31),
        as_of=datetime(2026, 3, 30, 21, tzinfo=UTC),
    )
    assert [row["zone"] for row in rows] == ["Europe/Athens"] * 3 + ["Asia/Tehran"]


@given(
    zone=st.sampled_from(ZONES),
    shop=st.sampled_from(ZONES),
    day=st.dates(date(2021, 1, 1), date(2027, 12, 31)),
    minutes=st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda m: m[0] < m[1]),
    late=st.integers(0, 1500),
)
def test_a_slot_is_never_before_its_pass_nor_outside_its_window(
    *, zone: str, shop: str, day: date, minutes: tuple[int, int], late: int
) -> None:
    here, home = ZoneInfo(zone), ZoneInfo(shop)
    as_of = day_starts(day, home) + timedelta(minutes=late)
    found = find_slot([minutes], here, day=day, as_of=as_of, until=day_ends(day, home))
    if found is None:
        return
    begins, closes = found
    assert as_of <= begins < closes
    assert begins < max(day_ends(day, home), day_ends(day, here)), "the day is over for both"
    for moment in (begins, closes - timedelta(minutes=1)):
        wall = max(moment, begins).astimezone(here)
        assert minutes[0] <= wall.hour * 60 + wall.minute < minutes[1]


def test_a_cron_line_names_days() -> None:
    tuesday, wednesday = date(2026, 3, 31), date(2026, 4, 1)
    assert is_due("0 9 * * TUE", tuesday)
    assert not is_due("0 9 * * TUE", wednesday)
    assert is_due("0 0 * * *", tuesday)
    assert is_due("59 23 1 4 *", wednesday)
    assert next_due("0 9 * * TUE", wednesday) == date(2026, 4, 7)
    assert next_due("0 9 29 2 *", wednesday) == date(2028, 2, 29)


@pytest.mark.parametrize("line", ["0 9 * * TUX", "9", "61 9 * * *", "0 9 30 2 *", ""])
def test_what_is_no_cron_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a cron line"):
        check(line)
