"""Deciding said plainly, one candidate after another: what the set-based pass must agree with.

Campaigns and policy are the dictionaries that the YAML files hold; nothing of the engine is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Key = tuple[str, str, str, str]  # campaign, step, customer, occurrence
Told = tuple[str, datetime | None]
DEAD = ("cancelled", "rejected")
DEFAULT_WINDOW = {"start": "09:00", "end": "19:30"}


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
    events: Sequence[Row] = field(default_factory=list)  # of customers: customer_events
    outbox: Sequence[Row] = field(default_factory=list)
    readings: Mapping[str, Row] = field(default_factory=dict)  # send_key -> opened, clicked
    redeemed: Mapping[str, datetime] = field(default_factory=dict)
    versions: Mapping[str, Row] = field(default_factory=dict)  # version -> campaign
    preferences: Mapping[str, Row] = field(default_factory=dict)  # by customer
    rewards: Mapping[str, int] = field(default_factory=dict)  # how many of each are left
    coming: Sequence[tuple[Row, int]] = field(default_factory=list)  # campaigns, days from now

    @property
    def today(self) -> date:
        return self.as_of.date()  # the model's shop lives in UTC


@dataclass
class Candidate:
    campaign: Row  # in the version that holds for it
    number: int  # of the step
    customer: str
    occurrence: str
    counted_from: date | None
    value: int
    in_audience: bool = True
    started_at: datetime | None = None
    through: bool = False
    due_in: int = 0
    template: str = ""
    reason: str | None = None
    kept: Row | None = None
    coming_on: date | None = None
    send_at: datetime | None = None
    send_until: datetime | None = None

    @property
    def step(self) -> Row:
        return self.campaign["steps"][self.number]

    @property
    def key(self) -> Key:
        return (self.campaign["campaign"], self.step["name"], self.customer, self.occurrence)


def bucket(draw: str, customer: str, buckets: int = 10_000) -> int:
    mixed = draw_of(customer) ^ salt_of(draw)
    mixed = (mixed ^ mixed >> 16) * 0x7FEB352D % 2**32
    mixed = (mixed ^ mixed >> 15) * 0x846CA68B % 2**32
    return mixed * buckets >> 32


def lot(customer: str, campaign: str, step: str) -> int:
    return draw_of(customer) * salt_of(f"{campaign}/{step}") % 2**32


def draw_of(customer: str) -> int:
    return int(hashlib.md5(customer.encode()).hexdigest()[:8], 16)


def salt_of(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) | 1


def send_key(key: Key) -> str:
    campaign, step, customer, occurrence = key
    return hashlib.sha256("\x1f".join((customer, campaign, step, occurrence)).encode()).hexdigest()[
        :32
    ]


@cache
def at(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """The first minute at which the clocks of `zone` show so much."""
    wall = datetime.combine(day, time.fromisoformat(clock))
    moment = wall.replace(tzinfo=zone).astimezone(UTC) - timedelta(hours=2)
    while moment.astimezone(zone).replace(tzinfo=None) < wall:
        moment += timedelta(minutes=1)
    return moment


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def day_of(message: Row) -> date:
    return date.fromisoformat(message["business_date"])


def left_on(message: Row) -> date:
    """The day on which it leaves, the earlier of the shop's and the person's, or its own if that is later."""
    moment = instant(message["send_at"])
    days = (moment.astimezone(ZoneInfo(name)).date() for name in ("UTC", message["timezone"]))
    return max(day_of(message), min(days))


def length(text: str | None, default: int = 0) -> int:
    return int(text[:-1]) if text else default


def slot(world: World, campaign: Row, customer: Row) -> tuple[datetime, datetime] | None:
    try:
        zone = ZoneInfo(customer.get("timezone") or "UTC")
    except (KeyError, ValueError):
        zone = ZoneInfo("UTC")
    window = campaign.get("send_window") or DEFAULT_WINDOW
    end_of_today = at(world.today + timedelta(days=1), "00:00", ZoneInfo("UTC"))
    best = f"{customer['best_hour']:02}:00" if customer.get("best_hour") is not None else ""
    is_best = campaign.get("at_best_hour") and window["start"] <= best < window["end"]
    for ahead in (0, 1):
        day = world.today + timedelta(days=ahead)
        opens = best if is_best else window["start"]
        begins = max(at(day, opens, zone), world.as_of)
        closes = at(day, window["end"], zone)
        if begins < closes and (not ahead or begins < end_of_today):
            return begins, closes
    return None


def last_word(world: World, customer: str) -> tuple[bool, datetime] | None:
    words = [
        (c["recorded_at"], not c["granted"])
        for c in world.consents
        if c["customer_id"] == customer
        and (not c["granted"] or c["recorded_at"] <= world.as_of.replace(tzinfo=None))
    ]
    if not words:
        return None
    at, refused = max(words)
    return (not refused, at.replace(tzinfo=UTC))


def live(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["state"] not in DEAD]


def before(world: World, customer: str) -> list[Row]:
    """A customer's messages of other days."""
    return [m for m in world.outbox if m["customer_id"] == customer and day_of(m) != world.today]


def sent(world: World, one: Candidate, step: str) -> Row | None:
    """The live message of an earlier step of the same journey."""
    found = [
        m
        for m in live(before(world, one.customer))
        if (m["campaign"], m["occurrence"], m["step"])
        == (one.campaign["campaign"], one.occurrence, step)
        and day_of(m) < world.today
    ]
    return max(found, key=day_of) if found else None


def follows(campaign: Row, number: int) -> list[str]:
    if number == 0:
        return []
    said = campaign["steps"][number].get("follows") or campaign["steps"][number - 1]["name"]
    return [said] if isinstance(said, str) else list(said)


# -- who is a candidate, at which step


def members(world: World, campaign: Row) -> Iterator[Row]:
    trigger = campaign.get("trigger")
    audience = world.audiences.get(campaign.get("audience", ""), [])
    if not trigger:
        yield from audience
        return
    inside = {m["customer_id"] for m in audience}
    since = world.today - timedelta(days=length(trigger.get("within"), 7))
    for event in world.events:
        if event["event"] != trigger["event"] or not since <= event["occurred_on"] <= world.today:
            continue
        if "audience" not in campaign or event["customer_id"] in inside:
            yield {**event, "entered_on": event["occurred_on"]}


def journeys(world: World, campaign: Row) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for m in world.outbox:
        if m["campaign"] == campaign["campaign"] and day_of(m) != world.today:
            found.setdefault((m["customer_id"], m["occurrence"]), []).append(m)
    return found


def candidates(world: World, campaign: Row, due_in: int) -> Iterator[Candidate]:
    begun = journeys(world, campaign)
    of_audience = {(m["customer_id"], m["occurrence"]): m for m in members(world, campaign)}
    for (customer, occurrence), m in of_audience.items():
        if (customer, occurrence) not in begun:
            yield Candidate(
                campaign, 0, customer, occurrence, m["entered_on"], m["expected_value"],
                due_in=due_in,
            )  # fmt: skip
    for (customer, occurrence), messages in begun.items() if not due_in else ():
        member = of_audience.get((customer, occurrence))
        yield from next_steps(
            world,
            campaign,
            customer=customer,
            occurrence=occurrence,
            messages=messages,
            member=member,
        )


def next_steps(
    world: World,
    campaign: Row,
    *,
    customer: str,
    occurrence: str,
    messages: list[Row],
    member: Row | None,
) -> Iterator[Candidate]:
    alive = sorted(live(messages), key=lambda m: instant(m["send_at"]))
    version = world.versions[alive[0]["campaign_version"]] if alive else campaign
    started = instant(alive[0]["send_at"]) if alive else None
    value = member["expected_value"] if member else 0
    told = {m["step"] for m in messages}
    found = []
    for number, step in enumerate(version["steps"]):
        one = Candidate(
            version, number, customer, occurrence, None, value, member is not None, started
        )
        came = [m for name in follows(version, number) if (m := sent(world, one, name))]
        if came and step["name"] not in told:
            one.counted_from = max(left_on(m) for m in came)
            found.append(one)
    for one in found:
        last_day = one.counted_from + timedelta(
            days=length(one.step.get("after")) + length(version.get("valid"), 30)
        )
        if member or last_day >= world.today:
            yield one
    if member and not found:
        last = max(messages, key=lambda m: instant(m["send_at"]))["step"]
        names = [step["name"] for step in campaign["steps"]]
        number = names.index(last) if last in names else 0
        yield Candidate(
            campaign, number, customer, occurrence, None, value, True, started, through=True
        )  # fmt: skip


# -- the rules, one after the other


def level(world: World, customer: str) -> int:
    """How tired of us a customer is: the last level of the policy that fits."""
    mine = [
        m
        for m in live(world.outbox)
        if m["customer_id"] == customer and m["purpose"] == "marketing" and day_of(m) < world.today
    ]
    everything = [m for m in world.outbox if m["customer_id"] == customer]
    reads = [
        moment
        for m in everything
        for moment in world.readings.get(m["send_key"], {}).values()
        if moment
    ]
    unread = [m for m in mine if not reads or instant(m["send_at"]) > max(reads)]
    if not unread:
        return 0
    since = max(reads) if reads else min(instant(m["send_at"]) for m in unread)
    return max(
        [
            number
            for number, one in enumerate(world.policy.get("fatigue", ()), 1)
            if len(unread) >= one["unread"]
            and since <= world.as_of - timedelta(days=one["silent_days"])
        ],
        default=0,
    )


def is_met(world: World, one: Candidate, condition: Row) -> bool:
    was = condition["was"]
    negated = "not_scored" in was if isinstance(was, dict) else was.startswith("not_")
    message = sent(world, one, condition["step"])
    if message is None:
        return negated
    person = world.customers[one.customer]
    reading = world.readings.get(message["send_key"], {})
    moment = instant(message["send_at"])
    if isinstance(was, dict):
        low, high = was.get("scored") or was["not_scored"]
        answered = person.get("satisfaction_at")
        did = (
            answered is not None
            and answered.replace(tzinfo=UTC) > moment
            and low <= person["satisfaction_score"] <= high
        )
    else:
        did = {
            "opened": lambda: bool(reading.get("opened") or reading.get("clicked")),
            "clicked": lambda: bool(reading.get("clicked")),
            "purchased": lambda: bought_after(person, moment),
            "redeemed": lambda: world.redeemed.get(one.customer, moment) > moment,
        }[was.removeprefix("not_")]()
    return did != negated


def bought_after(person: Row, moment: datetime) -> bool:
    bought = person.get("last_purchase_at")
    return bought is not None and bought.replace(tzinfo=UTC) > moment


def is_over(world: World, one: Candidate) -> bool:
    person, began = world.customers.get(one.customer, {}), one.started_at
    if began is None:
        return False
    ends = one.campaign.get("exit_on", ())
    word = last_word(world, one.customer)
    of_journey = [
        m
        for m in before(world, one.customer)
        if (m["campaign"], m["occurrence"]) == (one.campaign["campaign"], one.occurrence)
    ]
    return (
        ("purchased" in ends and bought_after(person, began))
        or ("redeemed" in ends and world.redeemed.get(one.customer, began) > began)
        or (
            "clicked" in ends
            and any(world.readings.get(m["send_key"], {}).get("clicked") for m in of_journey)
        )
        or ("unsubscribed" in ends and word is not None and not word[0] and word[1] > began)
        or ("complaint_opened" in ends and bool(person.get("has_complaint_open")))
        or ("left_audience" in ends and not one.in_audience)
    )


def rule_of_person(world: World, one: Candidate) -> str | None:
    customer = world.customers.get(one.customer, {})
    marketing = one.campaign["purpose"] == "marketing"
    word = last_word(world, one.customer)
    scopes = {s["scope"] for s in world.suppressions if s["customer_id"] == one.customer}
    everywhere = world.policy.get("global_control_group_share", 0) if marketing else 0
    chosen = world.preferences.get(one.customer, {})
    declined = any(chosen.get(f"topic:{tag}") == "no" for tag in one.campaign.get("tags", ()))
    paused = marketing and chosen.get("paused_until", "") > str(world.today)
    stops = {
        "no_address": not customer.get("email"),
        "no_consent": marketing and (declined or not (word and word[0])),
        "suppressed": bool(scopes & {"all", one.campaign["purpose"]}) or paused,
        "complaint_open": marketing and bool(customer.get("has_complaint_open")),
        "control_group": in_control_group("*", one.customer, everywhere)
        or in_control_group(
            one.campaign["campaign"], one.customer, one.campaign.get("control_group_share", 0)
        ),
    }
    return next((reason for reason, holds in stops.items() if holds), None)


def in_control_group(draw: str, customer: str, share: float) -> bool:
    return bucket(draw, customer) < round(share * 10_000)


def rule_of_journey(world: World, one: Candidate) -> str | None:
    if one.through:
        return "re_entry"
    wait = one.campaign.get("re_entry_after_days")
    others = [
        m
        for m in live(before(world, one.customer))
        if m["campaign"] == one.campaign["campaign"] and m["occurrence"] != one.occurrence
    ]
    soon = any(abs((day_of(m) - world.today).days) < (wait or 0) for m in others)
    if one.started_at is None and soon:
        return "re_entry"
    return "exited" if is_over(world, one) else None


def pick(world: World, one: Candidate) -> str | None:
    """The template for this person; None when all were seen."""
    step, never = one.step, one.campaign.get("content_repeat", "never") == "never"
    seen = [m["template"] for m in live(before(world, one.customer))]
    if "template" in step:
        return None if never and step["template"] in seen else step["template"]
    contents = step["variants"]
    weights = [v.get("weight", 1) for v in contents]
    unit = bucket(f"{one.campaign['campaign']}/{step['name']}", one.customer, sum(weights))
    first = [sum(weights[:i]) for i in range(len(weights))]
    open_ = [i for i, weight in enumerate(weights) if weight]
    base = max(i for i in open_ if first[i] <= unit)
    best = min(
        open_, key=lambda i: (seen.count(contents[i]["template"]), (i - base) % len(contents))
    )
    template = contents[best]["template"]
    return None if never and template in seen else template


def is_paced_out(world: World, one: Candidate, begins: datetime) -> bool:
    rhythms = world.policy.get("cadences", {}).get(one.campaign.get("cadence"), ())
    times = [
        instant(m["send_at"])
        for m in live(before(world, one.customer))
        if m["campaign"] == one.campaign["campaign"]
    ]
    for rhythm in rhythms if times else ():
        until = rhythm.get("until_day")
        if until is None or begins < min(times) + timedelta(days=until):
            days = rhythm["days"] * (2 if level(world, one.customer) else 1)
            return sum(t > begins - timedelta(days=days) for t in times) >= rhythm["max"]
    return False


def judge(world: World, one: Candidate) -> None:
    """Set the candidate's reason, or its place in time when it is still open."""
    campaign, customer = one.campaign, world.customers.get(one.customer, {})
    early = rule_of_person(world, one) or rule_of_journey(world, one)
    due = (one.counted_from or world.today) + timedelta(days=length(one.step.get("after")))
    found, template = slot(world, campaign, customer), pick(world, one)
    on = next_run(world, campaign, max(due, world.today + timedelta(days=one.due_in)))
    late = None
    if not all(is_met(world, one, c) for c in conditions(one.step)) if one.number else False:
        late = "condition_not_met"
    elif template is None:
        late = "repeat_content"
    elif "valid" in campaign and due + timedelta(days=length(campaign["valid"])) < world.today:
        late = "too_late"
    elif (on == world.today and str(on) in blackouts(campaign, world.policy)) or found is None:
        late = "outside_window"
    elif is_paced_out(world, one, found[0]):
        late = "capped"
    one.template = template or ""
    one.reason = early or ("not_due" if due > world.today else late)
    if early is None and late is None and found:
        shift = on - world.today
        one.send_at, one.send_until = found[0] + shift, found[1] + shift
        one.coming_on = on if shift else None


def next_run(world: World, campaign: Row, day: date) -> date:
    """When what is due on `day` can go: the campaign runs then and does not rest. What is due already
    is for today; nobody looks further than places are kept."""
    if day <= world.today:
        return world.today
    dark, soon = blackouts(campaign, world.policy), world.policy.get("reserve_days", 0)
    for on in (day + timedelta(days=n) for n in range(soon + 1)):
        runs = campaign["schedule"] in ("0 9 * * *", f"0 9 {on.day} {on.month} *")
        if runs and str(on) not in dark:
            return on
    return world.today + timedelta(days=10_000)


def blackouts(campaign: Row, policy: Row) -> list[str]:
    """The days on which a campaign rests."""
    everybody = policy.get("blackout_dates", ()) if campaign["purpose"] == "marketing" else ()
    return [str(d) for d in (*campaign.get("blackout_dates", ()), *everybody)]


def conditions(step: Row) -> list[Row]:
    said = step.get("only_if", ())
    return [said] if isinstance(said, dict) else list(said)


# -- arbitration


def decide(world: World) -> dict[Key, Told]:
    """Every candidate's reason, and when it is sent."""
    today = {
        (m["campaign"], m["step"], m["customer_id"], m["occurrence"]): m
        for m in world.outbox
        if day_of(m) == world.today
    }
    found = [
        one
        for campaign, due_in in [*((c, 0) for c in world.campaigns), *world.coming]
        for one in candidates(world, campaign, due_in)
    ]
    said: dict[Key, Told] = {}
    for one in found:
        one.kept = today.get(one.key)
        if one.kept is None:
            judge(world, one)
            if not one.due_in and one.reason:
                said[one.key] = (one.reason, None)
        elif (dropped := one.kept["state_reason"]) and not one.due_in:
            said[one.key] = (dropped.split()[1], None)
    horizon = world.today + timedelta(days=world.policy.get("reserve_days", 0))
    open_ = [one for one in found if is_open(one, said, horizon)]
    spent = used_up(world, open_, [one for one in found if is_dropped(one)])
    said |= dict.fromkeys(spent, ("no_reward_left", None))
    open_ = [one for one in open_ if one.coming_on or one.key not in spent]
    groups: dict[str, list[Candidate]] = {}
    for one in open_:
        groups.setdefault(home_of(world, one.customer), []).append(one)
    for group, mine in groups.items():
        said |= arbitrate(world, group, mine)
    return said


def is_dropped(one: Candidate) -> bool:
    """Whether the message was given up for good earlier today."""
    return bool(one.kept and one.kept["state_reason"] and not one.due_in)


def used_up(world: World, open_: list[Candidate], dropped: list[Candidate]) -> set[Key]:
    """Those of whose reward others, who come first, get all that is left; who was given up earlier
    today still stands in line."""
    spent: set[Key] = set()
    new = [one for one in open_ if not one.kept and not one.coming_on]
    for reward, left in world.rewards.items():
        wanting = [
            one
            for one in sorted([*new, *dropped], key=order_of)
            if one.step.get("grant") == {"voucher": reward}
        ]
        spent.update(one.key for one in wanting[max(left, 0) :] if not one.kept)
    return spent


def order_of(one: Candidate) -> tuple[object, ...]:
    """Who goes first."""
    return (
        -one.campaign.get("priority", 0),
        one.coming_on is not None,
        -one.value,
        lot(one.customer, one.campaign["campaign"], one.step["name"]),
        one.occurrence,
        one.customer,
    )


def is_open(one: Candidate, said: Mapping[Key, Told], horizon: date) -> bool:
    """Whether the candidate takes part in arbitration: for today, or for a place kept for it."""
    if one.kept:
        return not one.due_in and one.key not in said
    if one.coming_on:
        return one.coming_on <= horizon
    return one.reason is None and not one.due_in


def limits(world: World, customer: str) -> list[Row]:
    """The caps a customer is under, in the policy's order: shortest span first."""
    policy = world.policy
    caps = [
        {**cap, "span": timedelta(days=cap.get("days") or 0, hours=cap.get("hours") or 0)}
        for cap in (
            *([{"max": 1, "hours": policy["min_gap_hours"]}] if "min_gap_hours" in policy else ()),
            *(policy.get("caps") or ()),
        )
        if cap["max"] is not None
    ]
    caps.sort(key=lambda cap: (cap["span"], cap["max"]))
    tired = level(world, customer)
    pace = {"weekly": 7, "monthly": 30}.get(
        world.preferences.get(customer, {}).get("frequency", "")
    )
    return [
        *caps,
        *(
            {**cap, "span": timedelta(days=cap["days"])}
            for cap in (world.policy["fatigue"][tired - 1]["caps"] if tired else ())
        ),
        *([{"max": 1, "span": timedelta(days=pace)}] if pace else ()),
    ]


def tags_of(text: str) -> set[str]:
    return set(filter(None, text.split(",")))


def home_of(world: World, customer: str) -> str:
    """Whom the customer shares caps with."""
    shared = any(cap.get("per") == "household" for cap in world.policy.get("caps") or ())
    home = world.customers.get(customer, {}).get("household_id") if shared else None
    return home or f"person {customer}"


def went_before(world: World, group: str) -> Iterator[dict[str, Any]]:
    """The group's messages that this pass does not judge."""
    judged = {c["campaign"] for c in world.campaigns}
    for m in live(world.outbox):
        ours = m["customer_id"] in world.customers and home_of(world, m["customer_id"]) == group
        if ours and (day_of(m) != world.today or m["campaign"] not in judged):
            yield {
                "customer": m["customer_id"], "campaign": m["campaign"], "step": m["step"],
                "template": m["template"], "purpose": m["purpose"], "tags": tags_of(m["tags"]),
                "at": instant(m["send_at"]), "rank": 0, "coming": False,
            }  # fmt: skip


def alike(world: World, one: Candidate) -> tuple[object, ...]:
    """What is the same for candidates of one person that caps treat the same."""
    capped_tags = {c["tag"] for c in world.policy.get("caps") or () if c.get("tag")}
    return (
        one.customer,
        one.campaign["purpose"],
        *sorted(capped_tags & set(one.campaign.get("tags", ()))),
        str(one.campaign.get("send_window") or DEFAULT_WINDOW),
        bool(one.campaign.get("at_best_hour")),
    )


def arbitrate(world: World, group: str, open_: list[Candidate]) -> dict[Key, Told]:
    """One person's or household's candidates, the best first, against what went before."""
    counted = list(went_before(world, group))
    order = sorted(open_, key=order_of)
    said: dict[Key, Told] = {}
    for rank, one in enumerate(order, 1):
        if one.kept:
            moment = instant(one.kept["send_at"])
            counted.append(as_message(one, moment, rank))
            said[one.key] = ("planned", moment)
    closed: dict[tuple[object, ...], str] = {}
    for rank, one in enumerate(order, 1):
        if one.kept:
            continue
        told = tell(world, one, counted, closed)
        if told[1] is not None:
            counted.append(as_message(one, told[1], rank))
        if one.coming_on is None:
            said[one.key] = told
    return said


def tell(
    world: World,
    one: Candidate,
    counted: list[dict[str, Any]],
    closed: dict[tuple[object, ...], str],
) -> Told:
    """What becomes of a candidate, given all that goes before it."""
    like = alike(world, one)
    if one.coming_on is None and like in closed:
        return closed[like], None
    moment, reason = place(world, one, counted)
    if moment is None and one.coming_on is None:
        closed[like] = str(reason)
    if moment is None:
        return str(reason), None
    if one.coming_on is None and is_rival(one, counted):
        return "outranked", None
    return "planned", moment


def as_message(one: Candidate, moment: datetime, rank: int) -> dict[str, Any]:
    return {
        "customer": one.customer,
        "campaign": one.campaign["campaign"],
        "step": one.step["name"],
        "template": one.kept["template"] if one.kept else one.template,
        "purpose": one.kept["purpose"] if one.kept else one.campaign["purpose"],
        "tags": tags_of(one.kept["tags"]) if one.kept else set(one.campaign.get("tags", ())),
        "at": moment,
        "rank": rank,
        "coming": one.coming_on is not None,
    }


def is_rival(one: Candidate, counted: list[dict[str, Any]]) -> bool:
    never = one.campaign.get("content_repeat", "never") == "never"
    return any(
        m["customer"] == one.customer
        and m["rank"] > 0
        and not m["coming"]
        and (
            (m["campaign"], m["step"]) == (one.campaign["campaign"], one.step["name"])
            or (never and m["template"] == one.template)
        )
        for m in counted
    )


def place(
    world: World, one: Candidate, counted: list[dict[str, Any]]
) -> tuple[datetime | None, str | None]:
    """The first instant of the slot with room under every cap; else the reason."""
    assert one.send_at is not None
    assert one.send_until is not None
    full = list(met(world, one, counted))
    later = max([one.send_at, *(frees_at(cap, near) for cap, near in full)])
    for moment in sorted({one.send_at, later}):
        fits = all(
            sum(abs(m["at"] - moment) < cap["span"] for m in near) < cap["max"]
            for cap, near in full
        )
        if fits and (moment < one.send_until or moment == one.send_at):
            return moment, None
    return None, who_fills(one.send_at, full)


def met(
    world: World, one: Candidate, counted: list[dict[str, Any]]
) -> Iterator[tuple[Row, list[dict[str, Any]]]]:
    """The caps a candidate is under, each with the messages near enough to count."""
    assert one.send_at is not None
    assert one.send_until is not None
    if one.campaign["purpose"] != "marketing":
        return
    for cap in limits(world, one.customer):
        if cap.get("tag") and cap["tag"] not in one.campaign.get("tags", ()):
            continue
        yield (
            cap,
            [
                m
                for m in counted
                if m["purpose"] == "marketing"
                and (cap.get("per") == "household" or m["customer"] == one.customer)
                and (not cap.get("tag") or cap["tag"] in m["tags"])
                and one.send_at - cap["span"] < m["at"] < one.send_until + cap["span"]
            ],
        )


def frees_at(cap: Row, near: list[dict[str, Any]]) -> datetime:
    """When the cap has room again."""
    if cap["max"] == 0:
        return datetime.max.replace(tzinfo=UTC)
    latest = sorted((m["at"] for m in near), reverse=True)
    if len(latest) < cap["max"]:
        return datetime.min.replace(tzinfo=UTC)
    return latest[cap["max"] - 1] + cap["span"]


def who_fills(at: datetime, full: list[tuple[Row, list[dict[str, Any]]]]) -> str:
    """Why there is no room at that instant: what went before, what goes first, what comes."""
    then = [(cap, [m for m in near if abs(m["at"] - at) < cap["span"]]) for cap, near in full]
    then = [(cap, near) for cap, near in then if len(near) >= cap["max"]]
    if any(sum(m["rank"] == 0 for m in near) >= cap["max"] for cap, near in then):
        return "capped"
    if any(sum(not m["coming"] for m in near) >= cap["max"] for cap, near in then):
        return "outranked"
    return "reserved"
