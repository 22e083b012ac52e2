"""Who a campaign is for on a day: its audience, or whom an event or a date makes a candidate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tessera.decide import campaigns as files
from tessera.decide.campaign import Campaign, OnDate, OnEvent, Scheduled, days
from tessera.decide.contenders import Numbers, ask, columns
from tessera.decide.filters import condition
from tessera.errors import BadInput
from tessera.quoting import constant
from tessera.store import queries
from tessera.warehouse import marts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "members.sql")
AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Members:
    """The members of all campaigns: one row per campaign, customer and occurrence, each for its first step.
    Campaigns go by their places, their steps by theirs among all, people by number."""

    table: pa.Table  # course_id, step_id, cid, occurrence, entered_on, expected_value
    people: int
    campaigns: int

    @property
    def are_unknown(self) -> bool:
        """Whether anybody among them is not among the people."""
        return bool(self.table["cid"].null_count)

    def of_known(self) -> Members:
        known = pc.is_valid(self.table["cid"])
        return replace(self, table=self.table.filter(known)) if self.are_unknown else self

    @classmethod
    def find(cls, duck: DuckDBPyConnection, campaigns: Sequence[Campaign], day: date) -> Members:
        """BadInput when the marts lack what a campaign names."""
        parts, step_id = [], 0
        for course_id, campaign in enumerate(campaigns):
            parts.append(_members(duck, campaign, day, course_id=course_id, step_id=step_id))
            step_id += len(campaign.steps)
        query = SQL["member"].format(members=" union all ".join(parts or [SQL["nobody"]]))
        people = duck.execute("select count(*) from person").fetchall()[0][0]
        found = cls(ask(duck, query), people, len(campaigns))
        return found if found.are_once() else replace(found, table=_once(duck, found.table))

    def are_once(self) -> bool:
        """Whether no campaign names anybody more than once."""
        return bool(np.count_nonzero(self._are_in(self.table)) == self.table.num_rows)

    def part(self, duck: DuckDBPyConnection, beside: Executor) -> Future[Members]:
        """Make those of whom more is known the table `known`; the others, to whom no rule about the past
        applies, are given back: there are millions of them."""
        are_concerned = self._are_in(ask(duck, SQL["concerned"]))
        some = [pa.array(are_concerned[its]) for its in self._places(self.table)]
        is_known = pa.chunked_array(some, pa.bool_())
        others = beside.submit(self._without, is_known)
        duck.register("concerned", self.table.filter(is_known))
        duck.execute(SQL["known"])
        duck.unregister("concerned")
        return others

    def _without(self, some: pa.ChunkedArray) -> Members:
        return replace(self, table=self.table.filter(pc.invert(some)))

    def _are_in(self, table: pa.Table) -> Numbers:
        """Of each campaign and person, by their place, whether they are in it; versions that are no more have
        no members."""
        found = np.zeros(self.campaigns * (self.people + 1), bool)
        for places in self._places(table):
            found[places[places < len(found)]] = True
        return found

    def _places(self, table: pa.Table) -> Iterator[Numbers]:
        """A number for each campaign and person; some at a time, for which a processor's cache has room."""
        for batch in table.select(["course_id", "cid"]).to_batches(max_chunksize=AT_ONCE):
            its = columns(batch, "course_id", "cid")
            yield its["course_id"].astype(np.int64) * (self.people + 1) + its["cid"]


def _once(duck: DuckDBPyConnection, members: pa.Table) -> pa.Table:
    duck.register("member", members)
    found = ask(duck, SQL["once"])
    duck.unregister("member")
    return found


def _members(
    duck: DuckDBPyConnection, campaign: Campaign, day: date, *, course_id: int, step_id: int
) -> str:
    """The query for who the campaign is for."""
    columns = _columns(duck, "customers")
    _check(duck, campaign, columns)
    narrowed, source = condition(campaign.where, columns), _source(campaign, day)
    if campaign.audience and not source.startswith("from audience"):
        audience = f"select customer_id from audience_{campaign.audience}"
        narrowed += f" and them.customer_id in ({audience})"
    people = "left join customers using (customer_id)" if campaign.where else ""
    return SQL["of_campaign"].format(
        source=source, people=people, narrowed=narrowed, course_id=course_id, step_id=step_id
    )


def _source(campaign: Campaign, day: date) -> str:
    trigger = campaign.trigger
    if isinstance(trigger, Scheduled):
        return f"from audience_{campaign.audience} as them"
    within = {
        "since": constant(day - timedelta(days=days(trigger.within))),
        "until": constant(day),
    }
    if isinstance(trigger, OnEvent):
        return SQL["event"].format(event=constant(trigger.event), **within)
    return SQL["date"].format(
        column=trigger.date,
        leap_day=LEAP_DAY[trigger.leap_day],
        before=days(trigger.before),
        **within,
    )


LEAP_DAY = {"feb_28": 28, "mar_1": 29}  # make_date's day, after which one is added in March


def _check(duck: DuckDBPyConnection, campaign: Campaign, columns: Mapping[str, str]) -> None:
    known = marts.views(duck)
    wanted = [f"audience_{campaign.audience}"] if campaign.audience else []
    if isinstance(campaign.trigger, OnEvent):
        wanted.append("customer_events")
    for mart in wanted:
        if mart not in known:
            raise BadInput(
                f"Campaign '{campaign.campaign}' is for {mart}, which is not among the published "
                "marts; correct the campaign, or build the models again."
            )
    if campaign.audience:
        _check_columns(duck, campaign, f"audience_{campaign.audience}")
    mistakes = files.wrong_fields(campaign, columns)
    if isinstance(campaign.trigger, OnDate) and campaign.trigger.date not in columns:
        mistakes.append(f"'{campaign.trigger.date}' is not a column of the customers mart.")
    if mistakes:
        new = "" if set(columns) >= {one.field for one in campaign.where} else NOT_BUILT
        raise BadInput(f"Campaign '{campaign.campaign}': {' '.join(mistakes)}{new}")


NOT_BUILT = " A column that is new in the models is there after 'tessera run'."


def _check_columns(duck: DuckDBPyConnection, campaign: Campaign, audience: str) -> None:
    """BadInput for an audience that has not the columns that all have."""
    columns = _columns(duck, audience)
    for name, kinds in FORM.items():
        found = columns.get(name, "missing")
        if not found.startswith(kinds):
            raise BadInput(
                f"Campaign '{campaign.campaign}' is for {audience}, whose column {name} is {found}, not "
                f"{kinds[0]}; correct the model, and build the models again."
            )


def _columns(duck: DuckDBPyConnection, mart: str) -> dict[str, str]:
    """The types of a mart's columns."""
    return {row[0]: row[1] for row in duck.execute(f"describe {mart}").fetchall()}


FORM = {
    "customer_id": ("VARCHAR",),
    "occurrence": ("VARCHAR", "DATE", "INTEGER", "BIGINT"),
    "entered_on": ("DATE", "TIMESTAMP"),
    "expected_value": ("BIGINT", "INTEGER", "SMALLINT", "HUGEINT", "DECIMAL"),
}
