"""The files and the store as the tables that the pass joins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from tessera.decide import slots
from tessera.decide.campaigns import Campaign
from tessera.decide.policy import ContactPolicy
from tessera.store import Connection, queries

SQL = queries("tessera.decide", "outbox.sql")
TYPES = {
    "text": pa.string(),
    "whole": pa.int64(),
    "days": pa.int32(),
    "yes": pa.bool_(),
    "moment": pa.timestamp("us"),
}


def _schema(**columns: str) -> pa.Schema:
    return pa.schema(
        [(name, TYPES[kind]) for kind, names in columns.items() for name in names.split()]
    )


STEP = _schema(
    text="campaign campaign_version purpose step template previous_step hours",
    whole="step_id priority control_group valid_hours",
    days="re_entry_after_days after_days",
    yes="may_repeat",
    moment="ends_at",
)
SLOT = _schema(text="campaign timezone zone", moment="send_from send_until")
CAP = _schema(text="purpose label", whole="position most days")
# Columns of the store's queries, in their order.
CONSENT = _schema(text="customer_id purpose recorded_at", whole="granted")
SUPPRESSION = _schema(text="address_hash scope cause")
HISTORY = _schema(
    text="customer_id campaign step occurrence purpose template business_date send_at state"
)
TODAY = _schema(
    text="send_key customer_id household_id campaign campaign_version step occurrence purpose "
    "template language timezone send_at state"
)


def of_campaigns(
    chosen: Sequence[Campaign],
    rules: ContactPolicy,
    timezones: Iterable[str | None],
    *,
    shop: ZoneInfo,
    day: date,
    as_of: datetime,
) -> dict[str, pa.Table]:
    """`campaign_step`, `slot` (campaign and time zone as customers have it) and `cap`."""
    rows = (row for campaign in chosen for row in _steps(campaign, rules, shop))
    steps = [{"step_id": number, **row} for number, row in enumerate(rows)]
    zones = list(timezones)
    found = [
        {"campaign": campaign.campaign, **row}
        for campaign in chosen
        for row in slots.find_slots(
            slots.open_hours(campaign.send_window or rules.send_window, rules.quiet_hours),
            zones,
            shop=shop,
            day=day,
            as_of=as_of,
        )
    ]
    caps = [
        {
            "purpose": cap.purpose,
            "position": i,
            "label": str(cap),
            "most": cap.max,
            "days": cap.days,
        }
        for i, cap in enumerate(rules.limits)
    ]
    return {
        "campaign_step": pa.Table.from_pylist(steps, STEP),
        "slot": pa.Table.from_pylist(found, SLOT),
        "cap": pa.Table.from_pylist(caps, CAP),
    }


def _steps(campaign: Campaign, rules: ContactPolicy, shop: ZoneInfo) -> Iterator[dict[str, Any]]:
    ends_at = campaign.ends_at(shop)
    before = None
    for step in campaign.steps:
        yield {
            "campaign": campaign.campaign,
            "campaign_version": campaign.version,
            "purpose": campaign.purpose,
            "priority": campaign.priority,
            "control_group": round(campaign.control_group_share * 10_000),
            "re_entry_after_days": campaign.re_entry_after_days,
            "may_repeat": campaign.content_repeat == "allow",
            "valid_hours": campaign.valid_hours,
            "ends_at": ends_at.replace(tzinfo=None) if ends_at else None,
            "hours": str(campaign.send_window or rules.send_window),
            "step": step.name,
            "template": step.template,
            "previous_step": before,
            "after_days": step.after_days,
        }
        before = step.name


def of_store(
    store: Connection, chosen: Sequence[Campaign], *, day: date, since: datetime
) -> dict[str, pa.Table]:
    """`heard_consent`, `suppression`, `today` and `history`, as they are now."""
    today = day.isoformat()
    campaigns = _marks("campaign", [one.campaign for one in chosen])
    templates = _marks("template", [step.template for one in chosen for step in one.steps])
    history = SQL["history"].format(
        campaigns=", ".join(f":{name}" for name in campaigns),
        templates=", ".join(f":{name}" for name in templates),
    )
    instant = stamp(since)
    return {
        "heard_consent": store.arrow(SQL["consents"], CONSENT),
        "suppression": store.arrow(SQL["suppressions"], SUPPRESSION),
        "today": store.arrow(SQL["today"], TODAY, today=today),
        "history": store.arrow(
            history, HISTORY, today=today, since=instant, **campaigns, **templates
        ),
    }


def _marks(kind: str, values: Sequence[str]) -> Mapping[str, str]:
    """A parameter name for each value; one that matches nothing when there are none."""
    return {f"{kind}{i}": value for i, value in enumerate(values or [""])}


def stamp(instant: datetime) -> str:
    """The instant as the store writes it."""
    return instant.astimezone(UTC).isoformat(timespec="seconds")
