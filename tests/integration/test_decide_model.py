"""The pass against a plain model, over days in which things happen, on both databases.

Campaigns, policies, people and histories are drawn; the model in `tests/decide_model.py` shares
nothing with the engine but the files' format.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tessera.addresses import address_hash
from tessera.decide import decide
from tessera.decide.decisions import Question, find
from tessera.testing import publish, workspace
from tessera.workspace import Workspace
from tests import decide_model
from tests.deciding import YES, insert, member, outbox, person, write

NAMES = ["ann", "bob", "cat"]
ZONES = [
    "UTC",
    "Europe/Athens",
    "America/New_York",
    "Asia/Tehran",
    "Pacific/Auckland",
    "Nowhere/Land",
]
WINDOWS = [
    None,
    {"start": "09:00", "end": "19:30"},
    {"start": "01:30", "end": "03:30"},
    {"start": "18:00", "end": "23:59"},
]
OUTCOMES = ["opened", "clicked", "purchased", "redeemed"]
SCORES = [{"scored": [0, 6]}, {"scored": [9, 10]}, {"not_scored": [7, 10]}]
EXITS = ["purchased", "redeemed", "clicked", "unsubscribed", "complaint_opened", "left_audience"]
TEMPLATES = ["a", "b", "c", "d"]


def seldom(*values: Any, usual: Any = None) -> st.SearchStrategy[Any]:
    """One of `values`, or more often the usual one."""
    return st.sampled_from([usual] * (len(values) + 1) + list(values))


def rarely(*values: Any, usual: Any = None) -> st.SearchStrategy[Any]:
    """Hardly ever one of `values`: they would end nearly every story before it begins."""
    return st.sampled_from([usual] * (9 * len(values)) + list(values))


contents = st.one_of(
    st.fixed_dictionaries({"template": st.sampled_from(TEMPLATES)}),
    st.lists(st.tuples(st.sampled_from(TEMPLATES), st.integers(0, 3)), min_size=2, max_size=3).map(
        lambda drawn: {
            "variants": [
                {"name": f"v{i}", "template": name, "weight": weight + (i == 0)}
                for i, (name, weight) in enumerate(drawn)
            ]
        }
    ),
)
steps = st.lists(
    st.fixed_dictionaries(
        {
            "content": contents,
            "after": st.integers(1, 2),
            "follows": seldom([0], [0, 1]),
            "only_if": seldom(*OUTCOMES, *(f"not_{one}" for one in OUTCOMES), *SCORES),
            "about": st.integers(0, 1),
            "grant": seldom({"voucher": "cake"}),
        }
    ),
    min_size=1,
    max_size=3,
)
campaigns = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from(["marketing", "marketing", "marketing", "service"]),
        "tags": st.sampled_from([[], [], ["offer"], ["news", "offer"]]),
        "audience": st.sampled_from(["all", "some"]),
        "trigger": seldom({"event": "joined", "within": "2d"}),
        "alone": st.booleans(),  # a trigger needs no audience
        "priority": st.integers(0, 3),
        "control_group_share": rarely(0.3, usual=0),
        "content_repeat": st.sampled_from(["never", "allow", "allow"]),
        "re_entry_after_days": seldom(2, 5),
        "exit_on": seldom(*([one] for one in EXITS), EXITS, usual=[]),
        "on_cap": seldom("drop", usual="defer"),
        "cadence": seldom("brisk"),
        "blackout": rarely(1, 2),
        "valid": seldom("1d", "0d"),
        "send_window": st.sampled_from(WINDOWS),
        "at_best_hour": rarely(True, usual=False),
        "steps": steps,
        "due": seldom(1, 2, 3),  # on that day of the calendar only; None: every day
    }
)
limits = st.fixed_dictionaries(
    {
        "purpose": st.just("marketing"),
        "max": st.sampled_from([0, 1, 1, 1, 2, 2, 2, 3, 3, None]),
        "span": st.one_of(
            st.integers(1, 4).map(lambda n: {"days": n}),
            st.sampled_from([6, 20, 30]).map(lambda n: {"hours": n}),
        ),
        "per": seldom("household"),
        "tag": seldom("offer", "news"),
    }
)
policies = st.fixed_dictionaries(
    {
        "caps": st.lists(limits, max_size=3),
        "min_gap_hours": seldom(4, 30),
        "fatigue": seldom("tired"),
        "reserve_days": seldom(1, 2, usual=0),
        "global_control_group_share": rarely(0.2, usual=0),
        "blackout": rarely(1),
    }
)
CAKES = 2
FATIGUE = [
    {"level": "quiet", "unread": 1, "silent_days": 1, "caps": [{"max": 1, "days": 3}]},
    {"level": "silent", "unread": 2, "silent_days": 2, "caps": [{"max": 0, "days": 2}]},
]
CADENCES = {"brisk": [{"max": 2, "days": 2, "until_day": 2}, {"max": 1, "days": 3}]}
people = st.fixed_dictionaries(
    {
        "household": seldom("h1"),
        "timezone": st.sampled_from(ZONES),
        "best_hour": seldom(2, 10, 18),
        "email": rarely(False, usual=True),
        "has_complaint_open": rarely(None, True, usual=False),
        "consents": st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=1).map(
            lambda later: [(0, True), *later]
        ),
        "suppressed": rarely("all", "marketing"),
        "chosen": seldom(("frequency", "weekly"), ("topic:offer", "no"), ("paused_until", 2)),
    }
)
member_rows = st.lists(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from(["x", "y"]), st.integers(-3, 1), st.integers(0, 2)
    ),
    unique_by=lambda row: row[:2],
    min_size=2,
    max_size=6,
)
days = st.lists(
    st.fixed_dictionaries(
        {
            "hour": st.sampled_from([0, 0, 0, 7, 20]),
            "all": member_rows,
            "some": member_rows,
            "joined": seldom(*NAMES),
            "only": seldom(0),
            "cancel": st.sampled_from([None, None, "cancelled", "accepted"]),
            "reads": st.sampled_from([None, "open", "click"]),
            "buys": seldom(*NAMES),
            "redeems": seldom(*NAMES),
            "scores": seldom(3, 8, 10),
            "edit": seldom("edit"),
        }
    ),
    min_size=3,
    max_size=6,
)
WORLDS = given(
    drawn=st.lists(campaigns, min_size=1, max_size=4),
    policy=policies,
    who=st.lists(people, min_size=3, max_size=3),
    calendar=days,
    start=st.sampled_from(
        [date(2026, 3, 27), date(2026, 3, 6), date(2026, 9, 25), date(2026, 6, 1)]
    ),
)
PATIENT = {"deadline": None, "suppress_health_check": list(HealthCheck)}
QUICK = {**PATIENT, "derandomize": True, "phases": (Phase.generate,)}


@pytest.fixture(autouse=True)
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world of few candidates is judged in several parts, as one of millions is, and of few people each
    household is arbitrated on its own."""
    monkeypatch.setattr("tessera.decide.judging.AT_ONCE", 3)
    monkeypatch.setattr("tessera.decide.parts.AT_ONCE", 1)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@settings(max_examples=4, **QUICK)
@WORLDS
def test_the_pass_agrees_with_a_plain_model_over_days(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    dialect: str,
    **world: Any,
) -> None:
    """Across the changes of the clocks in Athens, New York and Auckland, and none in Tehran."""
    with store_of(request, tmp_path_factory.mktemp("world"), dialect) as (folder, url):
        live_through(folder, url, **world)


@pytest.mark.proof
@pytest.mark.parametrize(("dialect", "examples"), [("sqlite", 200), ("postgresql", 60)])
def test_the_pass_agrees_with_a_plain_model_over_many_days(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    dialect: str,
    examples: int,
) -> None:
    @settings(max_examples=examples, print_blob=True, **PATIENT)
    @WORLDS
    def every(**world: Any) -> None:
        with store_of(request, tmp_path_factory.mktemp("world"), dialect) as (folder, url):
            live_through(folder, url, **world)

    every()


@contextmanager
def store_of(
    request: pytest.FixtureRequest, folder: Path, dialect: str
) -> Iterator[tuple[Path, str]]:
    """An empty store for one world."""
    if dialect == "sqlite":
        yield folder, f"sqlite:///{folder}/store.sqlite"
        return
    import psycopg

    base, name = request.getfixturevalue("postgresql"), f"world_{uuid.uuid4().hex}"
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"create database {name}")
        yield folder, base.replace("/postgres?", f"/{name}?")
        admin.execute(f"drop database {name} with (force)")


def campaign_file(number: int, drawn: Mapping[str, Any], start: date) -> dict[str, Any]:
    """The drawn campaign as its YAML file says it."""
    kept = {
        name: drawn[name]
        for name in ("purpose", "tags", "audience", "trigger", "priority", "control_group_share",
                     "content_repeat", "re_entry_after_days", "exit_on", "on_cap", "cadence",
                     "valid", "send_window", "at_best_hour")
        if drawn[name]
    }  # fmt: skip
    if drawn["trigger"] and drawn["alone"]:
        del kept["audience"]
    if drawn["blackout"] is not None:
        kept["blackout_dates"] = [start + timedelta(days=drawn["blackout"])]
    on = start + timedelta(days=drawn["due"]) if drawn["due"] is not None else None
    return {
        **kept,
        "campaign": f"c{number}",
        "schedule": f"0 9 {on.day} {on.month} *" if on else "0 9 * * *",
        "steps": [step_of(i, one) for i, one in enumerate(drawn["steps"])],
    }


def step_of(number: int, drawn: Mapping[str, Any]) -> dict[str, Any]:
    step = {"name": f"s{number}", **drawn["content"], "after": f"{drawn['after']}d"}
    if drawn["grant"]:
        step["grant"] = drawn["grant"]
    if number == 0:
        return step | {"after": f"{drawn['after'] - 1}d"}
    if drawn["follows"] is not None:
        step["follows"] = [f"s{place}" for place in drawn["follows"] if place < number]
    if drawn["only_if"] is not None:
        step["only_if"] = {"step": f"s{min(drawn['about'], number - 1)}", "was": drawn["only_if"]}
    return step


def policy_file(drawn: Mapping[str, Any], start: date) -> dict[str, Any]:
    caps = [
        {name: one[name] for name in ("purpose", "max")} | one["span"]
        | {name: one[name] for name in ("per", "tag") if one[name]}
        for one in drawn["caps"]
    ]  # fmt: skip
    said = {"caps": caps, "cadences": CADENCES, "reserve_days": drawn["reserve_days"]}
    said["global_control_group_share"] = drawn["global_control_group_share"]
    if drawn["min_gap_hours"]:
        said["min_gap_hours"] = drawn["min_gap_hours"]
    if drawn["fatigue"]:
        said["fatigue"] = FATIGUE
    if drawn["blackout"] is not None:
        said["blackout_dates"] = [start + timedelta(days=drawn["blackout"])]
    return said


@dataclass
class Life:
    """A shop and its people from day to day."""

    ws: Workspace
    policy: Mapping[str, Any]
    files: list[dict[str, Any]]
    customers: dict[str, dict[str, Any]]
    consents: Sequence[Mapping[str, Any]]
    suppressions: Sequence[Mapping[str, Any]]
    preferences: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    readings: dict[str, dict[str, datetime]] = field(default_factory=dict)
    redeemed: dict[str, datetime] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)

    def on(self, day: date, hour: int) -> None:
        self.ws = replace(self.ws, as_of=datetime(day.year, day.month, day.day, hour, tzinfo=UTC))

    def due(self) -> list[dict[str, Any]]:
        day = self.ws.business_date
        return [one for one in self.files if one["schedule"] in ("0 9 * * *", cron(day))]

    def coming(self) -> list[tuple[dict[str, Any], int]]:
        """Those that run within the days that reserve, and not today."""
        return list(self.next_days([one for one in self.files if one not in self.due()]))

    def decide(self, audiences: Mapping[str, Any], only: str | None = None) -> None:
        """One pass, and that the model tells the same of every candidate."""
        judged = [one for one in self.files if one["campaign"] == only] if only else self.due()
        coming = [(one, ahead) for one, ahead in self.coming() if one not in judged]
        if only:
            rest = [one for one in self.files if one not in judged]
            coming = [(one, ahead) for one, ahead in self.next_days(rest) if ahead]
        world = decide_model.World(
            campaigns=judged,
            policy=self.policy,
            customers=self.customers,
            consents=self.consents,
            suppressions=self.suppressions,
            audiences=audiences,
            as_of=self.ws.as_of,
            events=self.events,
            outbox=outbox(self.ws),
            readings=self.readings,
            redeemed=self.redeemed,
            preferences=self.preferences,
            versions=self.versions,
            coming=coming,
            rewards={"cake": CAKES - self.cakes()},
        )
        decide(self.ws, [only] if only else None)
        told = decide_model.decide(world)
        found = _told(self.ws, [one["campaign"] for one in judged])
        every = found.keys() | told.keys()
        wrong = [(key, found.get(key), told.get(key)) for key in every]
        wrong = [one for one in wrong if one[1] != one[2]]
        assert wrong == [], wrong
        for row in outbox(self.ws):
            files = {one["campaign"]: one for one in self.files}
            self.versions.setdefault(row["campaign_version"], files[row["campaign"]])

    def cakes(self) -> int:
        """How many went with messages that were not called off."""
        with self.ws.store.read() as store:
            granted = {row["send_key"] for row in store.all("select send_key from reward_grant")}
        return sum(
            one["send_key"] in granted and one["state"] not in decide_model.DEAD
            for one in outbox(self.ws)
        )

    def next_days(self, files: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
        """Each file with the days until it runs next, if that is soon enough to reserve."""
        today = self.ws.business_date
        for one in files:
            dark = decide_model.blackouts(one, self.policy)
            for ahead in range(1, self.policy["reserve_days"] + 1):
                day = today + timedelta(days=ahead)
                if one["schedule"] in ("0 9 * * *", cron(day)) and str(day) not in dark:
                    yield one, ahead
                    break


def cron(day: date) -> str:
    return f"0 9 {day.day} {day.month} *"


def live_through(
    folder: Path,
    url: str,
    *,
    drawn: list[dict[str, Any]],
    policy: dict[str, Any],
    who: list[dict[str, Any]],
    calendar: list[dict[str, Any]],
    start: date,
) -> None:
    files = [campaign_file(i, one, start) for i, one in enumerate(drawn)]
    rules = policy_file(policy, start)
    write(folder, rules, *files)
    (folder / "deployments/programme.yml").write_text(
        f"rewards: [{{reward: cake, limit: {CAKES}}}]"
    )
    life = Life(
        workspace(folder / "home", project=folder, store_url=url, threads=2),
        rules,
        files,
        customers={name: customer(name, p) for name, p in zip(NAMES, who, strict=True)},
        consents=list(said(who, start)),
        suppressions=[
            {"customer_id": n, "scope": p["suppressed"]}
            for n, p in zip(NAMES, who, strict=True)
            if p["suppressed"]
        ],
        preferences={n: chosen(p, start) for n, p in zip(NAMES, who, strict=True) if p["chosen"]},
    )
    store = life.ws.store
    suppress(life)
    prefer(life)
    for number, events in enumerate(calendar):
        life.on(start + timedelta(days=number), events["hour"])
        life.ws.__dict__["store"] = store  # one pool for all days
        happen(life, events)
        audiences = audiences_of(life.ws.business_date, events)
        publish(
            life.ws,
            customers=list(life.customers.values()),
            consents=life.consents,
            customer_events=life.events,
            audience_all=audiences["all"],
            audience_some=audiences["some"],
        )
        if events["only"] is not None:  # then the others, with what the first has taken
            life.decide(audiences, files[0]["campaign"])
        life.decide(audiences)
        before = outbox(life.ws)
        decide(life.ws)
        assert outbox(life.ws) == before
        if events["cancel"]:
            with store.write() as connection:
                connection.run(
                    "update outbox set state = :state where message_id % 2 = 0 and state = 'ready'",
                    state=events["cancel"],
                )
        if events["edit"]:
            edit(life)
    caps_hold(outbox(life.ws), life.customers, rules)
    assert life.cakes() <= CAKES
    store.close()


def customer(name: str, drawn: Mapping[str, Any]) -> dict[str, Any]:
    return person(
        name,
        household_id=drawn["household"],
        timezone=drawn["timezone"],
        best_hour=drawn["best_hour"],
        has_complaint_open=drawn["has_complaint_open"],
        email=f"{name}@shop.example" if drawn["email"] else None,
    )


def said(who: Sequence[Mapping[str, Any]], start: date) -> Iterator[dict[str, Any]]:
    for name, drawn in zip(NAMES, who, strict=True):
        for ahead, granted in drawn["consents"]:
            recorded_at = datetime.combine(start, time()) + timedelta(days=ahead - 2)
            yield {**YES, "customer_id": name, "granted": granted, "recorded_at": recorded_at}


def suppress(life: Life) -> None:
    for row in life.suppressions:
        insert(
            life.ws,
            "suppression",
            address_hash=address_hash(f"{row['customer_id']}@shop.example"),
            channel="email",
            scope=row["scope"],
            cause="bounce",
            since="2026",
        )


def chosen(drawn: Mapping[str, Any], start: date) -> dict[str, str]:
    """What the person said in the preference centre; a pause is until some day."""
    name, value = drawn["chosen"]
    return {name: str(start + timedelta(days=value)) if name == "paused_until" else value}


def prefer(life: Life) -> None:
    for customer_id, said_ in life.preferences.items():
        for name, value in said_.items():
            insert(
                life.ws,
                "preference",
                customer_id=customer_id,
                name=name,
                value=value,
                recorded_at="2026-01-01T00:00:00+00:00",
            )


def audiences_of(day: date, events: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [
            member(who, occurrence=o, entered_on=day + timedelta(days=e), expected_value=v)
            for who, o, e, v in events[name]
        ]
        for name in ("all", "some")
    }


def happen(life: Life, events: Mapping[str, Any]) -> None:
    """What people did since the day before: read, bought, redeemed, answered, joined."""
    at = life.ws.as_of - timedelta(minutes=1)
    if events["reads"]:
        for row in outbox(life.ws):
            sent = datetime.fromisoformat(row["send_at"]) < at
            if sent and row["message_id"] % 2 and row["send_key"] not in life.readings:
                read(life, row["send_key"], events["reads"], at)
    if name := events["buys"]:
        life.customers[name]["last_purchase_at"] = at.replace(tzinfo=None)
    if name := events["redeems"]:
        redeem(life, name, at)
    if events["scores"]:
        one = life.customers[NAMES[0]]
        one["satisfaction_score"], one["satisfaction_at"] = (
            events["scores"],
            at.replace(tzinfo=None),
        )
    if name := events["joined"]:
        day = life.ws.business_date
        life.events.append(
            {"customer_id": name, "event": "joined", "occurrence": str(day), "occurred_on": day,
             "expected_value": 1}
        )  # fmt: skip


def read(life: Life, send_key: str, event: str, at: datetime) -> None:
    life.readings[send_key] = {"opened": at} | ({"clicked": at} if event == "click" else {})
    moment = at.isoformat(timespec="seconds")
    insert(life.ws, "provider_event", event_key=f"{send_key}{event}", send_key=send_key,
           event=event, occurred_at=moment, received_at=moment)  # fmt: skip


def redeem(life: Life, name: str, at: datetime) -> None:
    """Points, or on every other day a voucher; on every third it was the night that made a voucher of points."""
    source = "till" if at.day % 3 else "reward"
    if source == "till" or at.day % 2:
        life.redeemed[name] = at
    moment, number = at.isoformat(timespec="seconds"), len(outbox(life.ws)) * 100 + at.day
    if at.day % 2:
        one = {"redemption_id": f"{name}-{moment}"}
        spent = {"state": "used", "points": 0, "paid": 0, "discount": 5, "at": moment}
        insert(life.ws, "redemption", **one, store_id="s", **spent)
        insert(life.ws, "redemption_member", **one, customer_id=name)
        insert(life.ws, "voucher_use", **one, code=f"code-{name}", discount=5)
        return
    with life.ws.store.write() as store:
        for owner_type, owner in (("member", name), ("system", "shop")):
            store.run(
                "insert into account (programme, owner_type, owner_id, bucket, balance) values "
                "('p', :kind, :owner, 'available', :balance) on conflict do nothing",
                kind=owner_type, owner=owner, balance=100 if owner_type == "member" else None,
            )  # fmt: skip
        ids = {
            row["owner_type"]: row["account_id"]
            for row in store.all(
                "select owner_type, account_id from account where owner_id in (:name, 'shop')",
                name=name,
            )
        }
        row = {"programme": "p", "idem_key": f"{name}-{moment}", "kind": "redeem", "amount": 1,
               "debit_id": ids["member"], "credit_id": ids["system"], "source_type": source, "source_id": str(number),
               "rule": "r", "rule_version": "1", "effective_at": moment, "posted_at": moment,
               "business_date": moment[:10]}  # fmt: skip
        store.insert_new("transfer", pa.Table.from_pylist([row]))


def edit(life: Life) -> None:
    """The first campaign's file says something else from now on."""
    first = life.files[0]
    life.files[0] = {**first, "steps": [*first["steps"][:1], {"name": "new", "template": "d", "after": "1d"}]}  # fmt: skip
    write(life.ws.project, None, life.files[0])


def _told(
    ws: Workspace, names: Sequence[str]
) -> dict[decide_model.Key, tuple[str, datetime | None]]:
    return {
        (r["campaign"], r["step"], r["customer_id"], r["occurrence"]): (
            r["reason"],
            datetime.fromisoformat(r["send_at"]) if r["send_at"] else None,
        )
        for r in find(ws.home, Question(on=ws.business_date))
        if r["campaign"] in names
    }


def caps_hold(
    messages: Sequence[Mapping[str, Any]],
    customers: Mapping[str, Mapping[str, Any]],
    policy: Mapping[str, Any],
) -> None:
    """No span of a cap's length holds more messages than the cap allows, at the instants they go."""
    gap = policy.get("min_gap_hours")
    for cap in [*policy["caps"], *([{"max": 1, "hours": gap}] if gap else [])]:
        if cap["max"] is None:
            continue
        span = timedelta(days=cap.get("days", 0), hours=cap.get("hours", 0))
        sent: dict[str, list[datetime]] = {}
        for m in messages:
            counts = m["purpose"] == "marketing" and m["state"] not in ("cancelled", "rejected")
            if counts and (not cap.get("tag") or cap["tag"] in m["tags"].split(",")):
                home = customers[m["customer_id"]]["household_id"] if cap.get("per") else None
                who = home or m["customer_id"]
                sent.setdefault(who, []).append(datetime.fromisoformat(m["send_at"]))
        for times, first in ((t, f) for t in sent.values() for f in t):
            assert sum(first <= t < first + span for t in times) <= cap["max"], cap
