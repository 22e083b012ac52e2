"""The files and the store as the tables that the pass joins."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pyarrow as pa

from tessera import clock, redeemed
from tessera.blackouts import is_blacked_out
from tessera.caps import PACES, Cap, Channel
from tessera.clock import stamp
from tessera.decide import slots
from tessera.decide.campaign import Campaign, Condition, Scored, Step
from tessera.decide.policy import ContactPolicy, Window
from tessera.decide.schedule import is_due
from tessera.store import Connection, queries
from tessera.store.aside import REPEATED

SQL = queries("tessera.decide", "outbox.sql")
Hours = tuple[Window, bool]  # a send window, and whether a person's best hour in it is chosen
TYPES = {
    "text": pa.string(),
    "whole": pa.int64(),
    "days": pa.int32(),
    "yes": pa.bool_(),
    "moment": pa.timestamp("us"),
    "draw": pa.uint64(),
    "repeated": REPEATED,
    "several": pa.list_(pa.int32()),
}


def _schema(**columns: str) -> pa.Schema:
    return pa.schema(
        [(name, TYPES[kind]) for kind, names in columns.items() for name in names.split()]
    )


COURSE = _schema(
    text="campaign version channel purpose tags hours held_by broken_by cadence",
    whole="priority control_group valid_hours tag_bits",
    days="course_id class_id hours_id channel_id re_entry_after_days valid_days due_in",
    yes="is_current may_repeat drops ends_purchased ends_redeemed ends_clicked ends_unsubscribed "
    "ends_complaint ends_left",
    moment="ends_at",
    draw="salt",
    several="runs_in",
)
STEP = _schema(
    text="step template reward",
    days="step_id course_id position after_days contents",
    draw="salt",
)
EDGE = _schema(days="step_id", text="after_step")
CONDITION = _schema(days="step_id position low high", text="about did label", yes="negated")
CONTENT = _schema(days="content_id step_id number weight first_unit units", text="variant template")
SLOT = _schema(
    text="timezone zone", days="best_hour slot_id hours_id zone_id", moment="send_from send_until"
)
CAP = _schema(
    text="label purpose pace",
    whole="most minutes tag_bits",
    days="position level",
    yes="per_household",
)
LEVEL = _schema(text="level", days="number unread silent_days")
REWARD = _schema(text="reward", whole="remaining")
RHYTHM = _schema(text="cadence label", days="position most days until_day")
# Columns of the store's queries, in their order.
CONSENT = _schema(text="customer_id channel purpose recorded_at", whole="granted")
SUPPRESSION = _schema(text="address_hash channel scope cause")
HISTORY = _schema(text="send_key customer_id", repeated="occurrence send_at kind")
KIND = (
    *("campaign", "campaign_version", "step", "purpose", "channel", "tags", "template", "variant"),
    *("business_date", "state"),
)
SEPARATOR = "\x1f"  # in no name
MOST_AHEAD = 10_000  # days; nothing is reserved for so far
TODAY = _schema(
    text="send_key customer_id household_id campaign campaign_version step occurrence purpose "
    "channel tags template variant language timezone send_at state state_reason"
)
READ_EVENT = _schema(text="send_key event occurred_at")
PREFERENCE = _schema(text="customer_id name value")
REDEMPTION = _schema(text="customer_id redeemed_at")


@dataclass(frozen=True)
class Course:
    """A campaign as it stands, or as it stood when a journey began; `due_in` days from today;
    `broken`: what is wrong with a template of it."""

    campaign: Campaign
    is_current: bool = True
    due_in: int = 0
    broken: str | None = None


def of_policy(rules: ContactPolicy) -> dict[str, pa.Table]:
    """`cap`, `level` and `rhythm`."""
    caps = [
        {"position": i, **row}
        for i, row in enumerate([*_caps(rules), *_tiring(rules), *_paces(rules)])
    ]
    levels = [
        {"level": one.level, "number": i, "unread": one.unread, "silent_days": one.silent_days}
        for i, one in enumerate(rules.fatigue, 1)
    ]
    return {
        "cap": pa.Table.from_pylist(caps, CAP),
        "level": pa.Table.from_pylist(levels, LEVEL),
        "rhythm": pa.Table.from_pylist(list(_rhythms(rules)), RHYTHM),
    }


def _caps(rules: ContactPolicy) -> Iterator[dict[str, Any]]:
    bits = tag_bits(rules)
    for cap in rules.limits:
        yield {
            "label": str(cap),
            "purpose": cap.purpose,
            "most": cap.max,
            "minutes": _minutes(cap.span),
            "tag_bits": sum(bits[tag] for tag in _counted(cap)),
            "per_household": cap.per == "household",
        }


def _tiring(rules: ContactPolicy) -> Iterator[dict[str, Any]]:
    """The caps of the fatigue levels, which hold for those of that level alone."""
    bits = tag_bits(rules)
    for level, limit in rules.tiring:
        yield {
            "label": f"{level.level}: {limit.max} in {limit.span_said}",
            "purpose": "marketing",
            "most": limit.max,
            "minutes": _minutes(limit.span),
            "tag_bits": bits[MARKETING],
            "per_household": False,
            "level": rules.fatigue.index(level) + 1,
        }


def _paces(rules: ContactPolicy) -> Iterator[dict[str, Any]]:
    """What people chose in the preference centre: how often at most."""
    for pace, days in PACES.items():
        yield {
            "label": f"1 in {days} days, as chosen",
            "purpose": "marketing",
            "most": 1,
            "minutes": days * 24 * 60,
            "tag_bits": tag_bits(rules)[MARKETING],
            "per_household": False,
            "pace": pace,
        }


def _rhythms(rules: ContactPolicy) -> Iterator[dict[str, Any]]:
    for name, found in rules.cadences.items():
        for position, one in enumerate(found):
            yield {
                "cadence": name,
                "label": f"{name}: {one.max} in {one.days} days",
                "position": position,
                "most": one.max,
                "days": one.days,
                "until_day": one.until_day,
            }


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds()) // 60


def tag_bits(rules: ContactPolicy) -> dict[str, int]:
    """A bit for each tag that a cap names, and for each purpose and channel, which count as more tags."""
    tags = {MARKETING, *(tag for cap in rules.limits for tag in _counted(cap))}
    return {tag: 1 << number for number, tag in enumerate(sorted(tags))}


def _counted(cap: Cap) -> Iterator[str]:
    """The tags of the messages that a cap counts."""
    yield as_tag(cap.purpose)
    if cap.tag:
        yield cap.tag
    if cap.channel:
        yield as_tag(cap.channel)


def _words(its: Campaign) -> tuple[str, ...]:
    """All that a cap may name of a campaign's messages."""
    return (*its.tags, as_tag(its.channel), as_tag(its.purpose))


def as_tag(word: str) -> str:
    """A purpose or a channel as no campaign can be tagged."""
    return f"@{word}"


MARKETING = as_tag("marketing")


def of_courses(
    courses: Sequence[Course], rules: ContactPolicy, *, shop: ZoneInfo, day: date
) -> dict[str, pa.Table]:
    """`course`, `step`, `edge`, `condition` and `content`."""
    steps = [
        (number, place, step)
        for number, course in enumerate(courses)
        for place, step in enumerate(course.campaign.steps)
    ]
    found = list(_courses(courses, rules, shop, day))
    rows = [
        {"step_id": i, "course_id": number, "position": place, **_step(courses[number], step)}
        for i, (number, place, step) in enumerate(steps)
    ]
    edges = [
        {"step_id": i, "after_step": name}
        for i, (number, place, _) in enumerate(steps)
        for name in courses[number].campaign.follows(place)
    ]
    asked = [
        {"step_id": i, "position": place, **_condition(one)}
        for i, (_, _, step) in enumerate(steps)
        for place, one in enumerate(step.only_if)
    ]
    contents = [
        {"content_id": number, **row}
        for number, row in enumerate(
            row for i, (_, _, step) in enumerate(steps) for row in _contents(i, step)
        )
    ]
    return {
        "course": pa.Table.from_pylist(found, COURSE),
        "step": pa.Table.from_pylist(rows, STEP),
        "edge": pa.Table.from_pylist(edges, EDGE),
        "condition": pa.Table.from_pylist(asked, CONDITION),
        "content": pa.Table.from_pylist(contents, CONTENT),
    }


def salt_of(name: str) -> int:
    """What makes the draw of that name its own: an odd number of 32 bits."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) | 1


def _step(course: Course, step: Step) -> dict[str, Any]:
    return {
        "salt": salt_of(f"{course.campaign.campaign}/{step.name}"),
        "step": step.name,
        "after_days": step.after_days,
        "template": step.template,
        "contents": len(step.contents),
        "reward": step.grant.voucher if step.grant else None,
    }


def hours_of(courses: Iterable[Course], rules: ContactPolicy) -> list[Hours]:
    """The different hours of the courses; a course's `hours_id` is its place here."""
    found = {_hours(one.campaign, rules) for one in courses}
    return sorted(found, key=lambda hours: (str(hours[0]), hours[1]))


def _hours(its: Campaign, rules: ContactPolicy) -> Hours:
    return rules.window(its.send_window), its.at_best_hour


def _courses(
    courses: Sequence[Course], rules: ContactPolicy, shop: ZoneInfo, day: date
) -> Iterator[dict[str, Any]]:
    hours, bits = hours_of(courses, rules), tag_bits(rules)
    classes: dict[tuple[object, ...], int] = {}
    for number, course in enumerate(courses):
        its = course.campaign
        its_hours, ends_at = _hours(its, rules), its.ends_at(shop)
        mine = sum(bits.get(word, 0) for word in _words(its))
        alike = (its.purpose, mine, its_hours, ends_at, course.due_in)
        yield {
            "course_id": number,
            "class_id": classes.setdefault(alike, len(classes)),
            "campaign": its.campaign,
            "version": its.version,
            "is_current": course.is_current,
            "channel": its.channel,
            "channel_id": get_args(Channel).index(its.channel),
            "purpose": its.purpose,
            "tags": ",".join(its.tags),
            "tag_bits": mine,
            "priority": its.priority,
            "salt": salt_of(its.campaign),
            "control_group": round(its.control_group_share * 10_000),
            "re_entry_after_days": its.re_entry_after_days,
            "may_repeat": its.content_repeat == "allow",
            "drops": its.on_cap == "drop",
            "cadence": its.cadence,
            "valid_days": its.valid_days,
            "valid_hours": its.valid_hours,
            "ends_at": clock.naive(ends_at) if ends_at else None,
            "hours": str(its_hours[0]),
            "hours_id": hours.index(its_hours),
            "held_by": held_by(its, rules, day + timedelta(days=course.due_in)),
            "broken_by": course.broken,
            "due_in": course.due_in,
            "runs_in": _runs_in(its, rules, day),
            **{f"ends_{word}": name in its.exit_on for word, name in EXITS.items()},
        }


def _runs_in(its: Campaign, rules: ContactPolicy, day: date) -> list[int]:
    """For what is due in 0, 1, 2 … days, as far as places are kept: in how many it runs and does not rest."""
    soon = [(ahead, day + timedelta(days=ahead)) for ahead in range(rules.reserve_days + 1)]
    runs = [n for n, on in soon if is_due(its.schedule, on) and not held_by(its, rules, on)]
    return [next((n for n in runs if n >= ahead), MOST_AHEAD) for ahead in range(len(soon) + 1)]


EXITS = {
    "purchased": "purchased",
    "redeemed": "redeemed",
    "clicked": "clicked",
    "unsubscribed": "unsubscribed",
    "complaint": "complaint_opened",
    "left": "left_audience",
}


def held_by(its: Campaign, rules: ContactPolicy, day: date) -> str | None:
    """The blackout of the day, if there is one."""
    everybody = rules.blackout_dates if its.purpose == "marketing" else ()
    dark = is_blacked_out(day, (*its.blackout_dates, *everybody))
    return f"blackout {day}" if dark else None


def _condition(one: Condition) -> dict[str, Any]:
    said = one.was
    if isinstance(said, Scored):
        low, high = said.scored or said.not_scored or (0, 0)
        kind = {"did": "scored", "negated": said.scored is None, "low": low, "high": high}
    else:
        kind = {"did": said.removeprefix("not_"), "negated": said.startswith("not_")}
    return {"about": one.step, "label": str(one), **kind}


def _contents(step_id: int, step: Step) -> Iterator[dict[str, Any]]:
    units = sum(one.weight for one in step.contents)
    first = 0
    for number, one in enumerate(step.contents):
        yield {
            "step_id": step_id,
            "number": number,
            "variant": one.name,
            "template": one.template,
            "weight": one.weight,
            "first_unit": first,
            "units": units,
        }
        first += one.weight


def of_slots(
    courses: Sequence[Course],
    rules: ContactPolicy,
    places: Sequence[slots.Place],
    *,
    shop: ZoneInfo,
    day: date,
    as_of: datetime,
) -> pa.Table:
    """`slot`: each send window in each time zone, and at each best hour, as customers have them."""
    rows = [
        {"hours_id": number, "zone_id": zone, **row}
        for number, (window, is_at_best_hour) in enumerate(hours_of(courses, rules))
        for zone, row in enumerate(
            slots.find_slots(
                slots.open_hours(window, rules.quiet_hours),
                places,
                shop=shop,
                day=day,
                as_of=as_of,
                is_at_best_hour=is_at_best_hour,
            )
        )
    ]
    return pa.Table.from_pylist([{"slot_id": i, **row} for i, row in enumerate(rows)], SLOT)


def of_store(
    store: Connection,
    courses: Sequence[Course],
    rules: ContactPolicy,
    *,
    day: date,
    since: datetime,
) -> dict[str, pa.Table]:
    """What is live, as it is now: consents, suppressions, the messages of today and before, and
    what their readers did, as far as any rule asks."""
    today = day.isoformat()
    campaigns = _marks("campaign", sorted({one.campaign.campaign for one in courses}))
    named = {template for one in courses for _, template in one.campaign.templates()}
    templates = _marks("template", sorted(named))
    marks = {
        "campaigns": ", ".join(f":{name}" for name in campaigns),
        "templates": ", ".join(f":{name}" for name in templates),
        "kind": f" || '{SEPARATOR}' || ".join(KIND),
    }
    asks = _asked(courses)
    near = {"today": today, "since": stamp(since), "all": bool(rules.fatigue)}
    history = store.scan(SQL["history"].format(**marks), HISTORY, **near, **campaigns, **templates)

    def ask(wanted: bool, query: str, schema: pa.Schema) -> pa.Table:
        return store.scan(query, schema) if wanted else schema.empty_table()

    return {
        "preference": store.scan(SQL["preferences"], PREFERENCE),
        "heard_consent": store.scan(SQL["consents"], CONSENT),
        "suppression": store.scan(SQL["suppressions"], SUPPRESSION),
        "today": store.scan(SQL["today"], TODAY, today=today),
        **_by_kind(history),
        "read_event": ask(
            bool(rules.fatigue or asks & {"opened", "clicked"}), SQL["read_events"], READ_EVENT
        ),
        "redemption": ask("redeemed" in asks, redeemed.latest(), REDEMPTION),
    }


def _by_kind(history: pa.Table) -> dict[str, pa.Table]:
    """`history` with the number of each message's kind, and `kind`."""
    coded = history.unify_dictionaries()["kind"].combine_chunks()
    kinds = [text.split(SEPARATOR) for text in coded.dictionary.to_pylist()]
    columns = zip(*kinds, strict=True) if kinds else [()] * len(KIND)
    kind = {name: pa.array(column, pa.string()) for name, column in zip(KIND, columns, strict=True)}
    numbers = pa.array(range(len(kinds)), pa.int32())
    return {
        "history": history.drop_columns("kind").append_column("kind_id", coded.indices),
        "kind": pa.table({"kind_id": numbers, **kind}),
    }


def _asked(courses: Sequence[Course]) -> set[str]:
    """Which outcomes any campaign asks for."""
    found: set[str] = set()
    for one in courses:
        found.update(one.campaign.exit_on)
        for step in one.campaign.steps:
            found.update(_condition(each)["did"] for each in step.only_if)
            found.update([step.choose.winner_by] if step.choose else [])
    return found


def _marks(kind: str, values: Sequence[str]) -> Mapping[str, str]:
    """A parameter name for each value; one that matches nothing when there are none."""
    return {f"{kind}{i}": value for i, value in enumerate(values or [""])}


def second(instant: datetime) -> datetime:
    """Its whole second, to which the pass reckons."""
    return instant.replace(microsecond=0)


def naive(instant: datetime) -> datetime:
    """Its whole second as DuckDB has it."""
    return clock.naive(second(instant))
