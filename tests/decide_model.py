"""Deciding said plainly, one candidate after another: what the set-based pass must agree with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Key = tuple[str, str, str, str]  # campaign, step, customer, occurrence
DEAD = ("cancelled", "rejected")


@dataclass(frozen=True)
class World:
    """All that a pass may look at."""

    campaigns: Sequence[Row]
    policy: Row
    customers: Mapping[str, Row]
    consents: Sequence[Row]
    suppressions: Sequence[Row]
    audiences: Mapping[str, Sequence[Row]]
    as_of: datetime
    outbox: Sequence[Row] = field(default_factory=list)

    @property
    def today(self) -> date:
        return self.as_of.date()  # the model's shop lives in UTC


def bucket(draw: str, customer: str) -> int:
    return int(hashlib.md5(f"{draw}\x1f{customer}".encode()).hexdigest()[:8], 16) % 10_000


def send_key(key: Key) -> str:
    campaign, step, customer, occurrence = key
    return hashlib.sha256("\x1f".join((customer, campaign, step, occurrence)).encode()).hexdigest()[
        :32
    ]


def at(day: date, clock: str, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), zone).astimezone(UTC)


def slot(world: World, campaign: Row, customer: Row) -> tuple[datetime, datetime] | None:
    try:
        zone = ZoneInfo(customer.get("timezone") or "UTC")
    except (KeyError, ValueError):
        zone = ZoneInfo("UTC")
    window = campaign.get("send_window") or {"start": "09:00", "end": "19:30"}
    end_of_today = at(world.today + timedelta(days=1), "00:00", ZoneInfo("UTC"))
    for ahead in (0, 1):
        day = world.today + timedelta(days=ahead)
        begins = max(at(day, window["start"], zone), world.as_of)
        closes = at(day, window["end"], zone)
        if begins < closes and begins < end_of_today:
            return begins, closes
    return None


def has_consent(world: World, customer: str) -> bool:
    words = [
        (c["recorded_at"], not c["granted"])
        for c in world.consents
        if c["customer_id"] == customer
        and (not c["granted"] or c["recorded_at"] <= world.as_of.replace(tzinfo=None))
    ]
    return bool(words) and not max(words)[1]


def live(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["state"] not in DEAD]


def rule(world: World, campaign: Row, number: int, member: Row) -> str | None:  # noqa: C901, PLR0911 - one by one
    """The first rule, before arbitration, that stops a candidate."""
    customer = world.customers.get(member["customer_id"], {})
    marketing = campaign["purpose"] == "marketing"
    step = campaign["steps"][number]
    mine = [m for m in world.outbox if m["customer_id"] == member["customer_id"]]
    other_days = [m for m in mine if m["business_date"] != world.today.isoformat()]
    of_campaign = [m for m in other_days if m["campaign"] == campaign["campaign"]]
    same = [m for m in of_campaign if m["occurrence"] == member["occurrence"]]
    others = [m for m in live(of_campaign) if m["occurrence"] != member["occurrence"]]

    if not customer.get("email"):
        return "no_address"
    if marketing and not has_consent(world, member["customer_id"]):
        return "no_consent"
    scopes = {s["scope"] for s in world.suppressions if s["customer_id"] == member["customer_id"]}
    if scopes & {"all", campaign["purpose"]}:
        return "suppressed"
    if marketing and customer.get("has_complaint_open"):
        return "complaint_open"
    share = world.policy.get("global_control_group_share", 0)
    if marketing and bucket("*", member["customer_id"]) < round(share * 10_000):
        return "control_group"
    share = campaign.get("control_group_share", 0)
    if bucket(campaign["campaign"], member["customer_id"]) < round(share * 10_000):
        return "control_group"
    if any(m["step"] == step["name"] for m in same):
        return "re_entry"
    wait = campaign.get("re_entry_after_days")
    if (
        number == 0
        and wait
        and any(
            abs((date.fromisoformat(m["business_date"]) - world.today).days) < wait for m in others
        )
    ):
        return "re_entry"
    begun = member["entered_on"]
    if number:
        before = campaign["steps"][number - 1]["name"]
        sent = [
            m["business_date"]
            for m in live(same)
            if m["step"] == before and m["business_date"] < world.today.isoformat()
        ]
        if not sent:
            return "not_due"
        begun = date.fromisoformat(max(sent))
    if begun + timedelta(days=int(step.get("after", "0d")[:-1])) > world.today:
        return "not_due"
    never = campaign.get("content_repeat", "never") == "never"
    if never and any(m["template"] == step["template"] for m in live(other_days)):
        return "repeat_content"
    return None if slot(world, campaign, customer) else "outside_window"


def decide(world: World) -> dict[Key, tuple[str, datetime | None]]:
    """Every candidate's reason, and when it is sent."""
    said: dict[Key, tuple[str, datetime | None]] = {}
    open_: dict[str, list[dict[str, Any]]] = {}
    today = {(m["campaign"], m["step"], m["customer_id"], m["occurrence"]): m for m in world.outbox
             if m["business_date"] == world.today.isoformat()}  # fmt: skip
    judged = {campaign["campaign"] for campaign in world.campaigns}
    for campaign in world.campaigns:
        for number, step in enumerate(campaign["steps"]):
            for member in world.audiences[campaign["audience"]]:
                key = (
                    campaign["campaign"],
                    step["name"],
                    member["customer_id"],
                    member["occurrence"],
                )
                planned = today.get(key)
                reason = None if planned else rule(world, campaign, number, member)
                if reason:
                    said[key] = (reason, None)
                    continue
                customer = world.customers[member["customer_id"]]
                sent = (
                    datetime.fromisoformat(planned["send_at"])
                    if planned
                    else slot(world, campaign, customer)[0]  # type: ignore[index]
                )
                open_.setdefault(member["customer_id"], []).append(
                    {
                        "key": key,
                        "campaign": campaign["campaign"],
                        "step": step["name"],
                        "purpose": campaign["purpose"],
                        "template": step["template"],
                        "never": campaign.get("content_repeat", "never") == "never",
                        "send_at": sent,
                        "kept": planned is not None,
                        "order": (-campaign["priority"], -member["expected_value"], send_key(key)),
                    }
                )
    for customer, candidates in open_.items():
        history = [
            {**m, "send_at": datetime.fromisoformat(m["send_at"])}
            for m in live(world.outbox)
            if m["customer_id"] == customer
            and (m["business_date"] != world.today.isoformat() or m["campaign"] not in judged)
        ]
        said |= arbitrate(candidates, history, world.policy.get("caps") or [])
    return said


def arbitrate(  # noqa: C901 - plain on purpose
    candidates: list[dict[str, Any]], history: list[dict[str, Any]], caps: Sequence[Row]
) -> dict[Key, tuple[str, datetime | None]]:
    """One person's candidates, the best first, against what is there and what went before."""
    said: dict[Key, tuple[str, datetime | None]] = {}
    granted = [c for c in candidates if c["kept"]]
    for one in sorted(candidates, key=lambda c: c["order"]):
        reason = "planned"
        if not one["kept"]:
            for cap in caps:
                if cap["max"] is None or cap["purpose"] != one["purpose"]:
                    continue
                span = timedelta(days=cap["days"])
                near = [
                    m
                    for m in [*history, *granted]
                    if m["purpose"] == one["purpose"] and abs(m["send_at"] - one["send_at"]) < span
                ]
                if sum(m in history for m in near) >= cap["max"]:
                    reason = "capped"
                elif len(near) >= cap["max"] and reason == "planned":
                    reason = "outranked"
            twice = any(
                (m["campaign"], m["step"]) == (one["campaign"], one["step"])
                or (one["never"] and m["template"] == one["template"])
                for m in granted
            )
            if twice and reason == "planned":
                reason = "outranked"
            if reason == "planned":
                granted.append(one)
        said[one["key"]] = (reason, one["send_at"] if reason == "planned" else None)
    return said
