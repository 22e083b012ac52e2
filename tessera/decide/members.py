"""Who a campaign is for on a day: its audience, or whom an event or a date makes a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from tessera.decide import campaigns as files
from tessera.decide.campaign import Campaign, OnDate, OnEvent, days
from tessera.decide.filters import condition
from tessera.errors import BadInput
from tessera.store import queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "members.sql")


def add(duck: DuckDBPyConnection, campaigns: Sequence[Campaign], day: date) -> None:
    """Insert the members of each campaign into the table `candidate`, for its first step; BadInput when
    the marts lack what it names. Campaigns go by their places, their steps by theirs among all."""
    parts, values, step_id = [], [], 0
    for course_id, campaign in enumerate(campaigns):
        part, given = _members(duck, campaign, day, course_id=course_id, step_id=step_id)
        parts.append(part)
        values += given
        step_id += len(campaign.steps)
    if not parts:
        return
    duck.execute(SQL["add"].format(members=" union all ".join(parts)), values)
    people = duck.execute("select greatest(count(*), 1) from person").fetchall()[0][0]
    if duck.execute(SQL["is_twice"].format(people=people)).fetchall()[0][0]:
        duck.execute(SQL["once"])


def _members(
    duck: DuckDBPyConnection, campaign: Campaign, day: date, *, course_id: int, step_id: int
) -> tuple[str, list[object]]:
    """The query for who the campaign is for, and its values."""
    _check(duck, campaign)
    narrowed, values = condition(campaign.where)
    source, given = _source(campaign, day)
    if campaign.audience and not source.startswith("from audience"):
        audience = f"select customer_id from audience_{campaign.audience}"
        narrowed += f" and them.customer_id in ({audience})"
    people = "left join customers using (customer_id)" if campaign.where else ""
    query = SQL["of_campaign"].format(
        source=source, people=people, narrowed=narrowed, course_id=course_id, step_id=step_id
    )
    return query, [*given, *values]


def _source(campaign: Campaign, day: date) -> tuple[str, list[object]]:
    trigger = campaign.trigger
    if isinstance(trigger, OnEvent):
        return SQL["event"], [trigger.event, day - timedelta(days=days(trigger.within)), day]
    if isinstance(trigger, OnDate):
        query = SQL["date"].format(column=trigger.date, leap_day=LEAP_DAY[trigger.leap_day])
        before = days(trigger.before)
        return query, [before, day - timedelta(days=days(trigger.within)), day]
    return f"from audience_{campaign.audience} as them", []


LEAP_DAY = {"feb_28": 28, "mar_1": 29}  # make_date's day, after which one is added in March


def _check(duck: DuckDBPyConnection, campaign: Campaign) -> None:
    known = {row[0] for row in duck.execute("select view_name from duckdb_views()").fetchall()}
    wanted = [f"audience_{campaign.audience}"] if campaign.audience else []
    if isinstance(campaign.trigger, OnEvent):
        wanted.append("customer_events")
    for mart in wanted:
        if mart not in known:
            raise BadInput(
                f"Campaign '{campaign.campaign}' is for {mart}, which is not among the published "
                "marts; correct the campaign, or build the models again."
            )
    columns = {row[0]: row[1] for row in duck.execute("describe customers").fetchall()}
    mistakes = files.wrong_fields(campaign, columns)
    if isinstance(campaign.trigger, OnDate) and campaign.trigger.date not in columns:
        mistakes.append(f"'{campaign.trigger.date}' is not a column of the customers mart.")
    if mistakes:
        raise BadInput(f"Campaign '{campaign.campaign}': {' '.join(mistakes)}")
