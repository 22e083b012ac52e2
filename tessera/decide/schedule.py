"""On which days a campaign runs."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from cronsim import CronSim, CronSimError

FIELDS = 5  # a sixth would be seconds, and all the others others


def check(schedule: str) -> str:
    """The cron line itself; ValueError when it is not one."""
    try:
        is_long = len(schedule.split()) > FIELDS
        CronSim("" if is_long else schedule, datetime(2000, 1, 1))  # noqa: DTZ001 - the shop's wall clock
    except CronSimError as error:
        raise ValueError(f"this is not a cron line such as '0 9 * * TUE' ({error})") from None
    return schedule


def next_due(schedule: str, day: date) -> date | None:
    """The first day from `day` on that the cron line names; None when there is none."""
    before = datetime.combine(day, time()) - timedelta(minutes=1)
    found = next(CronSim(schedule, before), None)
    return found.date() if found else None


def is_due(schedule: str, day: date) -> bool:
    """Whether the cron line names `day`, at whatever hour."""
    return next_due(schedule, day) == day
