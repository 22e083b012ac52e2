"""What stuck, repeated or lost messages in other senders, each as a case here: campaigns held and let
go, a pace that survives restarts, messages that poison their batch, and doubt that ends."""

from __future__ import annotations

import json
import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera import approval, clock
from tessera.errors import BadInput
from tessera.hear import hear
from tessera.provider.events import Manner, batches, events
from tessera.send import end_all_late, holds, send
from tessera.send import outbox as module
from tessera.send.messengers.sendgrid import SendGridMessenger
from tessera.send.outbox import DUE, SQL, Outbox
from tessera.send.policy import WarmUp
from tessera.settings import CHECKOUT
from tessera.testing import publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.deciding import insert, on
from tests.sending import AS_OF, Api, customer, enqueue, outbox_row, plan, provider, reasons, states

NO_NAP: Callable[[float], None] = lambda _seconds: None  # noqa: E731


@pytest.fixture
def api() -> Iterator[Api]:
    with provider() as found:
        yield found


def by_sendgrid(ws: Workspace, api: Api, **options: Any) -> Any:
    sleep = options.pop("sleep", NO_NAP)
    return send(ws, messenger=SendGridMessenger("key", api.url, **options), sleep=sleep)


def with_policy(folder: Path, store_url: str | None = None, **policy: Any) -> Workspace:
    """A workspace of a project with this contact policy."""
    project = folder / "project"
    (project / "deployments").mkdir(parents=True)
    (project / "templates").symlink_to(CHECKOUT / "templates")
    (project / "deployments" / "contact_policy.yml").write_text(yaml.safe_dump(policy))
    return workspace(folder / "home", project=project, store_url=store_url)


# Holding campaigns


@BOTH_STORES
def test_a_paused_campaign_waits_and_a_resumed_one_writes_to_nobody_twice(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    """Complaint 30, T2, T3: a resume began from the top, or was declared finished half way."""
    ws = workspace(tmp_path, store_url=store_url)
    keys = plan(ws, 12, campaigns=2)
    assert holds.pause(ws, "winback-0") == 6
    assert by_sendgrid(ws, api, capacity=2).accepted == 6
    assert [row["campaign"] for row in holds.paused(ws)] == ["winback-0"]
    assert {row["reason"] for row in holds.unsent(ws)} == {"paused"}
    assert by_sendgrid(ws, api).accepted == 0
    assert holds.resume(ws, "winback-0") == 6
    assert by_sendgrid(ws, api).accepted == 6
    assert sorted(api.journal) == sorted(keys)
    with pytest.raises(BadInput, match="is not paused"):
        holds.resume(ws, "winback-0")


@BOTH_STORES
def test_a_pause_takes_hold_of_what_is_being_written(store_url: str, tmp_path: Path) -> None:
    ws = workspace(tmp_path, store_url=store_url)
    enqueue(ws, outbox_row("c1"), outbox_row("c2", campaign="other"))
    box = Outbox(ws, "me", "sendgrid")
    lease = box.claim(10)
    assert lease is not None
    holds.pause(ws, "winback")
    call = box.call(lease, {row["message_id"]: "hash" for row in lease.rows})
    assert call is not None
    other = [row["message_id"] for row in lease.rows if row["campaign"] == "other"]
    assert list(call.message_ids) == other
    box.release(lease)
    assert states(ws) == {"ready": 1, "calling": 1}


@BOTH_STORES
def test_a_cancelled_campaign_is_never_sent_and_a_finished_one_never_again(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    """T15, T16: no cancel; a restart that sent finished campaigns again."""
    ws = workspace(tmp_path, store_url=store_url)
    plan(ws, 6, campaigns=2)
    assert holds.cancel(ws, "winback-1") == 3
    assert by_sendgrid(ws, api).accepted == 3
    assert {row["reason"] for row in holds.unsent(ws)} == {"campaign_cancelled"}
    holds.pause(ws, "winback-0")
    assert holds.resume(ws, "winback-0") == 0
    assert holds.cancel(ws, "winback-0") == 0
    assert by_sendgrid(ws, api).claimed == 0
    assert states(ws) == {"accepted": 3, "cancelled": 3}
    with pytest.raises(BadInput, match="no messages of a campaign 'typo'"):
        holds.pause(ws, "typo")


def test_a_campaign_is_paused_before_its_first_message(tmp_path: Path, api: Api) -> None:
    """It has a file, and that is enough."""
    ws = workspace(tmp_path)
    assert holds.pause(ws, "winback") == 0
    enqueue(ws, outbox_row("c1"))
    assert by_sendgrid(ws, api).accepted == 0
    assert holds.resume(ws, "winback") == 1
    assert holds.cancel(ws, "birthday") == 0
    assert holds.unsent(ws, campaign="birthday") == []


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sampled_from(["pause", "resume", "slower", "send", "busy"]), max_size=8))
def test_whatever_is_paused_resumed_and_slowed_everybody_is_written_to_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """T3: pause, another pace, resume, in any order."""
    ws = with_policy(tmp_path_factory.mktemp("held"), throttle={"per_minute": 1000})
    keys = plan(ws, 10)
    with provider() as api:
        for step in [*steps, "resume", "send"]:
            if step == "pause":
                holds.pause(ws, "winback")
            if step == "resume" and holds.paused(ws):
                holds.resume(ws, "winback")
            if step == "slower":
                path = ws.project / "deployments" / "contact_policy.yml"
                path.write_text(yaml.safe_dump({"throttle": {"per_minute": 3}}))
            if step == "busy":
                api.will("429")
            if step == "send":
                by_sendgrid(ws, api)
        assert sorted(api.journal) == sorted(keys)
        assert states(ws) == {"accepted": 10}


def test_what_the_provider_keeps_until_it_is_due_is_held_back_there(
    tmp_path: Path, api: Api
) -> None:
    now = clock.now()
    settings = {"messenger": "sendgrid", "sendgrid_host": api.url, "sendgrid_api_key": "key"}
    ws = workspace(tmp_path, now.isoformat(), **settings)
    publish(ws, customers=[customer(n) for n in range(3)])
    later = {"not_after": module.stamp(now + timedelta(days=3)), "business_date": "2026-03-31"}
    due = [now - timedelta(minutes=1), now + timedelta(hours=1), now + timedelta(hours=1)]
    rows = [outbox_row(f"c{n}", send_at=module.stamp(at), **later) for n, at in enumerate(due)]
    enqueue(ws, *rows)
    day = workspace(tmp_path, (now + timedelta(days=1)).isoformat(), **settings)
    assert by_sendgrid(day, api).accepted == 3
    scheduled = [body for body in api.bodies if "batch_id" in body]
    assert [len(body["personalizations"]) for body in scheduled] == [2]
    (batch_id,) = {body["batch_id"] for body in scheduled}
    holds.pause(ws, "winback")
    assert api.provider.held == {batch_id: "pause"}
    holds.resume(ws, "winback")
    assert api.provider.held == {}
    assert holds.cancel(ws, "winback") == 2
    assert api.provider.held == {batch_id: "cancel"}
    assert states(ws) == {"accepted": 1, "cancelled": 2}


def test_who_bought_or_complained_meanwhile_gets_no_more_of_the_journey(
    tmp_path: Path, api: Api
) -> None:
    ws = workspace(tmp_path)
    bought = ["2026-03-30 10:00:00", "2026-03-31 09:00:00", None, None, None, None]
    people = [
        customer(n, has_complaint_open=n in (3, 4), last_purchase_at=at)
        for n, at in enumerate(bought)
    ]
    event = {"event": "complaint_opened", "occurrence": "1", "expected_value": 0}
    opened = [{"customer_id": "c2", "occurred_on": "2026-03-31", **event}]
    publish(ws, customers=people, customer_events=opened)
    purposes = ["marketing"] * 4 + ["service"] * 2
    enqueue(ws, *(outbox_row(f"c{n}", purpose=purpose) for n, purpose in enumerate(purposes)))
    version(ws, "winback", exit_on=["purchased", "complaint_opened"])
    assert by_sendgrid(ws, api).accepted == 3
    assert reasons(ws) == {"c1": "exited", "c2": "exited", "c3": "complaint_open"}


@BOTH_STORES
def test_who_clicked_or_redeemed_meanwhile_gets_no_more_of_the_journey(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    """The last look asked for events of these names, which no build makes: only the next pass knew."""
    ws = workspace(tmp_path, store_url=store_url)
    publish(ws, customers=[customer(n) for n in range(9)])
    journeys = {"campaign": "ends", "campaign_version": "1"}
    left = "2026-03-20T09:00:00+00:00"
    said = {"state": "accepted", "send_at": left, "state_at": left, "business_date": left[:10]}
    first = [
        outbox_row("c0", step="hello", **journeys, **said),
        outbox_row("c1", step="hello", occurrence="2025", **journeys, **said),  # of another journey
        outbox_row("c2", step="hello", campaign="winback", **said),  # of another campaign
    ]
    clicked = enqueue(ws, *first)
    keys = enqueue(ws, *(outbox_row(f"c{n}", **journeys) for n in range(9)))
    version(ws, "ends", exit_on=["clicked", "redeemed"])
    at = "2026-03-30T20:00:00+00:00"
    for key in clicked:
        event = {"event_key": key, "send_key": key, "event": "click"}
        insert(ws, "provider_event", occurred_at=at, received_at=at, **event)
    for account, (name, moment) in enumerate([("c3", AS_OF), ("c4", "2026-03-31T08:00:00+00:00")]):
        redeemed(ws, account + 1, name, moment)
    redeemed(
        ws, 3, "c5", "2026-03-31T08:00:00+00:00", source_type="reward"
    )  # by the night, not by c5
    for code, who in (("A", "c6"), ("B", None)):
        used(ws, code, who, "2026-03-31T08:00:00+00:00")
    insert(ws, "reward_grant", send_key=keys[7], reward="cake", code="B")
    assert by_sendgrid(ws, api).accepted == 5
    assert reasons(ws) == dict.fromkeys(("c0", "c4", "c6", "c7"), "exited")


def used(ws: Workspace, code: str, who: str | None, at: str) -> None:
    """The code at a till, with a card or without."""
    spent = {"points": 0, "paid": 0, "discount": 5, "at": at, "state": "used"}
    insert(ws, "redemption", redemption_id=code, store_id="s", **spent)
    insert(ws, "voucher_use", redemption_id=code, code=code, discount=5)
    if who:
        insert(ws, "redemption_member", redemption_id=code, customer_id=who)


def redeemed(ws: Workspace, account: int, owner: str, at: str, **said: str) -> None:
    for number, kind in ((account, "member"), (account + 100, "system")):
        its = {
            "account_id": number,
            "owner_type": kind,
            "owner_id": owner if kind == "member" else f"s{account}",
        }
        insert(ws, "account", programme="club", bucket="available", balance=0, **its)
    how = {"kind": "redeem", "debit_id": account, "credit_id": account + 100, "amount": 5}
    words = dict.fromkeys(("source_type", "source_id", "rule", "rule_version"), "") | said
    when = {"effective_at": at, "posted_at": at, "business_date": at[:10]}
    insert(ws, "transfer", programme="club", idem_key=owner, **how, **words, **when)


# The pace


@BOTH_STORES
def test_the_throttle_is_kept_across_restarts(
    store_url: str, tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T5: a pace that was forgotten at every restart."""
    ws = with_policy(tmp_path, store_url, throttle={"per_minute": 6})
    plan(ws, 18)
    moment = [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        moment[0] += timedelta(seconds=seconds)
        if len(naps) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by_sendgrid(ws, api, sleep=nap)
    by_sendgrid(ws, api, sleep=nap)
    assert states(ws) == {"accepted": 18}
    assert [len(body["personalizations"]) for body in api.bodies] == [6, 6, 6]
    assert sum(naps) >= 119


@BOTH_STORES
def test_a_clock_that_was_wrong_keeps_nobody_waiting_for_years(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    ws = with_policy(tmp_path, store_url, throttle={"per_minute": 6})
    plan(ws, 12)
    ahead = int((clock.now() + timedelta(days=400)).timestamp() * 1000)
    with ws.store.write() as connection:
        connection.run("insert into pace (messenger, free_at) values ('sendgrid', :at)", at=ahead)
    naps: list[float] = []
    began = time.monotonic()
    assert by_sendgrid(ws, api, sleep=naps.append).accepted == 12
    assert sum(naps) <= 60
    assert sum(naps) + time.monotonic() - began > 50, "what the work itself takes is not slept"


@BOTH_STORES
def test_a_young_sender_writes_to_each_domain_a_little_more_every_day(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    ws = with_policy(tmp_path, store_url, warm_up={"first_day": 2, "growth": 2, "days": 3})
    people = [customer(n, email=f"p{n}@{'small' if n == 9 else 'big'}.example") for n in range(12)]
    publish(ws, customers=people)
    rows = [outbox_row(f"c{n}", not_after="2026-04-30T00:00:00+00:00") for n in range(12)]
    enqueue(ws, *rows[:10])
    sent = []
    for day in ("2026-03-31", "2026-03-31", "2026-04-01", "2026-04-02"):
        today = workspace(ws.home.root, day, project=ws.project, store_url=store_url)
        sent.append(by_sendgrid(today, api).accepted)
        today.store.close()
        enqueue(ws, *rows[10:])  # those come after the day's share was used up
    assert sent == [3, 0, 4, 5]
    assert len(set(api.journal)) == len(api.journal) == 12
    with ws.store.read() as connection:
        assert "big.example" not in str(connection.all("select * from domain_day"))
    assert [WarmUp(first_day=2, days=3).allowed(day) for day in range(4)] == [2, 4, 8, None]


@BOTH_STORES
def test_who_would_be_written_to_too_late_is_not_put_off(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    ws = with_policy(tmp_path, store_url, warm_up={"first_day": 1})
    publish(ws, customers=[customer(n) for n in range(10)])
    says = [{"not_after": "2026-03-31"}, {"not_after": "2026-04-01T09:00"}, {"valid_hours": 24},
            {"on_cap": "drop"}, {"valid": "0d"}]  # fmt: skip
    for number, body in enumerate(says):
        version(ws, f"v{number}", **body)
        enqueue(ws, *(outbox_row(f"c{number + n}", campaign=f"v{number}") for n in (0, 5)))
    assert by_sendgrid(ws, api).accepted == 1
    assert states(ws) == {"accepted": 1, "cancelled": 9}
    assert set(reasons(ws).values()) == {"warm_up"}


@BOTH_STORES
def test_who_is_put_off_is_written_to_within_the_next_days_hours(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    """A planned message is good for its day's window: what a warm-up leaves goes in the next one."""
    ws = with_policy(tmp_path, store_url, warm_up={"first_day": 1})
    publish(ws, customers=[customer(n) for n in range(3)])
    version(ws, "winback", not_after="2026-04-01", valid_hours=48, valid="1d")
    closes = {"not_after": "2026-03-31T16:30:00+00:00"}
    enqueue(ws, *(outbox_row(f"c{n}", **closes) for n in range(3)))
    assert by_sendgrid(ws, api).accepted == 1
    with ws.store.read() as connection:
        waits = connection.all("select send_at, not_after from outbox where state = 'ready'")
    later = {"send_at": "2026-04-01T09:00:00+00:00", "not_after": "2026-04-01T16:30:00+00:00"}
    assert waits == [later] * 2
    sent = [by_sendgrid(on(ws, f"2026-04-0{day}"), api).accepted for day in (1, 2, 3)]
    assert sent == [2, 0, 0]


@BOTH_STORES
def test_what_was_kept_past_its_hours_goes_within_the_next(store_url: str, tmp_path: Path) -> None:
    """A word that comes in the evening, or a campaign resumed then, is no word against sending."""
    ws = workspace(tmp_path, store_url=store_url)
    publish(ws, customers=[customer(n) for n in range(6)])
    says = [{}, {"on_cap": "drop"}, {"not_after": "2026-03-31"}, {"not_after": "2026-04-01T12:30"}]
    names = ["asked", "drops", "over", "ends"]
    for name, body in zip(names, says, strict=True):
        version(ws, name, **body)
    names += ["paused", "nobody-came"]
    closes = {"not_after": "2026-03-31T16:30:00+00:00"}
    enqueue(ws, *(outbox_row(f"c{n}", campaign=name, **closes) for n, name in enumerate(names)))
    with ws.store.write() as connection:
        approval.ask(connection, ws.business_date, 0)
    approval.approve(ws, "paused")
    approval.approve(ws, "nobody-came")  # as far as the store knows: before its hours were over
    with ws.store.write() as connection:
        connection.run("update approval set approved_at = business_date")
    holds.pause(ws, "paused")
    with ws.store.write() as connection:
        ready = connection.all("select campaign from outbox where state = 'ready'")
    assert len(ready) == 6

    report = send(on(ws, "2026-04-01"))
    assert (report.accepted, report.cancelled) == (0, 3)
    late = dict.fromkeys(("c1", "c2", "c5"), "too_late")
    assert reasons(ws) == {**late, **dict.fromkeys(("c0", "c3", "c4"), "outside_window")}
    with ws.store.read() as connection:
        waits = connection.all(
            "select campaign, send_at, not_after from outbox where state = 'ready' order by 1"
        )
    day = "2026-04-01T{}:00+00:00".format
    assert [(row["campaign"], row["send_at"], row["not_after"]) for row in waits] == [
        ("asked", day("09:00"), day("16:30")),
        ("ends", day("09:00"), day("12:30")),
        ("paused", day("09:00"), day("16:30")),
    ]
    approval.approve(ws, "asked")  # by the clock long after all of these hours
    holds.resume(ws, "paused")
    assert send(on(ws, "2026-04-02")).accepted == 2
    assert (states(ws), reasons(ws)) == (
        {"accepted": 2, "cancelled": 4}, {**late, "c3": "too_late"},
    )  # fmt: skip


@BOTH_STORES
def test_what_a_throttled_run_does_not_reach_goes_the_next_day(
    store_url: str, tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = with_policy(tmp_path, store_url, throttle={"per_minute": 6})
    moment = [datetime(2026, 3, 31, 16, 29, 30, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])

    def nap(seconds: float) -> None:
        moment[0] += timedelta(seconds=seconds)

    plan(ws, 18, not_after="2026-03-31T16:30:00+00:00")
    enqueue(ws, outbox_row("c1", campaign="old", not_after="2026-03-31T16:29:00+00:00"))
    report = by_sendgrid(replace(ws, as_of=moment[0]), api, sleep=nap)
    assert (report.accepted, report.cancelled) == (6, 1)
    assert by_sendgrid(replace(ws, as_of=moment[0]), api, sleep=nap).claimed == 0
    moment[0] = datetime(2026, 4, 1, 9, tzinfo=UTC)
    assert by_sendgrid(replace(ws, as_of=moment[0]), api, sleep=nap).accepted == 12
    assert states(ws) == {"accepted": 18, "cancelled": 1}


def test_a_run_that_goes_on_past_midnight_takes_the_new_days_share(
    tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = with_policy(tmp_path, throttle={"per_minute": 1}, warm_up={"first_day": 2})
    moment = [datetime(2026, 3, 31, 23, 59, 30, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])

    def nap(seconds: float) -> None:
        moment[0] += timedelta(seconds=seconds)

    plan(ws, 6)
    by_sendgrid(replace(ws, as_of=moment[0]), api, sleep=nap)
    with ws.store.read() as connection:
        days = connection.all("select day, messages from domain_day order by day")
    assert [(row["day"], row["messages"]) for row in days] == [("2026-03-31", 2), ("2026-04-01", 4)]
    assert states(ws) == {"accepted": 6}


@BOTH_STORES
@pytest.mark.parametrize("pace", [{"throttle": {"per_minute": 1}}, {"warm_up": {"first_day": 2}}])
def test_where_not_all_can_leave_the_campaign_of_higher_priority_goes_first(
    store_url: str, tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch, pace: dict[str, Any]
) -> None:
    """A win-back took the place of a birthday, whose day does not come back, and of a complaint's answer."""
    ws = with_policy(tmp_path, store_url, **pace)
    moment = [datetime(2026, 3, 31, 16, 28, 30, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])

    def nap(seconds: float) -> None:
        moment[0] += timedelta(seconds=seconds)

    good = {"not_after": "2026-03-31T16:30:00+00:00"}
    keys = plan(ws, 4, **good)
    version(ws, "winback", priority=40)
    version(ws, "birthday", priority=90)
    later = {"send_at": "2026-03-31T10:00:00+00:00", **good}
    keys += enqueue(ws, outbox_row("c0", campaign="birthday", **later),
                    outbox_row("c1", campaign="answer", purpose="service", **later))  # fmt: skip
    report = by_sendgrid(replace(ws, as_of=moment[0]), api, sleep=nap)
    assert report.accepted == 2
    assert api.journal == [keys[5], keys[4]]


def test_a_day_that_begins_meanwhile_leaves_what_a_throttled_run_could_not_come_to(
    tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took it for what nobody had come to send, and gave it up."""
    ws = with_policy(tmp_path, throttle={"per_minute": 6})
    moment = [datetime(2026, 3, 31, 16, 29, 30, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])

    def nap(seconds: float) -> None:
        moment[0] += timedelta(seconds=seconds)
        end_all_late(replace(ws, as_of=moment[0]))

    plan(ws, 18, not_after="2026-03-31T16:30:00+00:00")
    enqueue(ws, outbox_row("c1", campaign="old", not_after="2026-03-31T16:29:00+00:00"))
    assert by_sendgrid(replace(ws, as_of=moment[0]), api, sleep=nap).accepted == 6
    assert states(ws) == {"accepted": 6, "ready": 12, "cancelled": 1}


@BOTH_STORES
def test_who_is_put_off_is_not_written_to_after_the_campaigns_end(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    ws = with_policy(tmp_path, store_url, warm_up={"first_day": 1})
    publish(ws, customers=[customer(n) for n in range(4)])
    says = [{"not_after": "2026-04-01T12:30"}, {"valid_hours": 26}]
    for number, body in enumerate(says):
        version(ws, f"v{number}", **body)
        closes = {"campaign": f"v{number}", "not_after": "2026-03-31T16:30:00+00:00"}
        enqueue(ws, *(outbox_row(f"c{number + n}", **closes) for n in (0, 2)))
    by_sendgrid(ws, api)
    with ws.store.read() as connection:
        waits = connection.all("select campaign, not_after from outbox where state = 'ready'")
    ends = {"v0": "2026-04-01T12:30:00+00:00", "v1": "2026-04-01T11:00:00+00:00"}
    assert {(row["campaign"], row["not_after"]) for row in waits} == set(ends.items())


def version(ws: Workspace, campaign: str, **body: Any) -> None:
    row = {"campaign": campaign, "version": "1", "body": json.dumps(body), "first_used_at": "2026"}
    insert(ws, "campaign_version", **row)


# Poison


@BOTH_STORES
def test_one_bad_address_does_not_hold_up_the_others_of_its_request(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    """T8, T13: one bad contact wedged its batch for ever, or had the others sent again."""
    ws = workspace(tmp_path, store_url=store_url)
    keys = plan(ws, 9)
    api.provider.unwelcome = frozenset({"person4@mail.example", "person7@mail.example"})
    report = by_sendgrid(ws, api)
    assert (report.accepted, report.rejected) == (7, 2)
    assert sorted(api.journal) == sorted(set(keys) - {keys[4], keys[7]})
    found = reasons(ws)
    assert set(found) == {"c4", "c7"}
    assert all("personalizations" in why and "@" not in why for why in found.values())
    assert by_sendgrid(ws, api).claimed == 0


@pytest.mark.parametrize("poison", range(0, 9, 4))
def test_a_request_refused_without_a_word_is_tried_in_ever_smaller_ones(
    tmp_path: Path, api: Api, poison: int
) -> None:
    ws = workspace(tmp_path)
    keys = plan(ws, 9)
    refuse = api.provider._answer

    def picky(request: Any, body: dict[str, Any], messages: list[Any]) -> Any:
        bad = any(one.send_key == keys[poison] for one in messages)
        return (400, {}, {"errors": [{}]}) if bad else refuse(request, body, messages)

    api.provider._answer = picky  # type: ignore[method-assign]
    report = by_sendgrid(ws, api)
    assert (report.accepted, report.rejected) == (8, 1)
    assert sorted(api.journal) == sorted(set(keys) - {keys[poison]})
    assert list(reasons(ws)) == [f"c{poison}"]


def test_two_messages_to_one_address_go_in_two_requests(tmp_path: Path, api: Api) -> None:
    ws = workspace(tmp_path)
    publish(ws, customers=[customer(1), {**customer(2), "email": "person1@mail.example"}])
    enqueue(ws, outbox_row("c1"), outbox_row("c2"))
    assert by_sendgrid(ws, api).accepted == 2
    assert len(api.bodies) == 2


def test_values_too_large_for_substitutions_go_in_a_request_of_their_own(
    tmp_path: Path, api: Api
) -> None:
    ws = workspace(tmp_path)
    publish(ws, customers=[customer(1), customer(2), customer(3, given_name="Ж" * 3000)])
    enqueue(ws, *(outbox_row(f"c{n}") for n in (1, 2, 3)))
    assert by_sendgrid(ws, api).accepted == 3
    assert sorted(len(body["personalizations"]) for body in api.bodies) == [1, 2]


# Doubt


@BOTH_STORES
def test_doubt_ends_as_the_purpose_says_when_no_event_came(
    store_url: str, tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T17: what nobody can know is never sent again blindly, nor left so for ever."""
    ws = workspace(tmp_path, store_url=store_url)
    publish(ws, customers=[customer(n) for n in range(3)])
    keys = enqueue(
        ws,
        outbox_row("c0", campaign="news"),
        outbox_row("c1", campaign="receipt", purpose="service"),
        outbox_row("c2", campaign="taken"),
    )
    api.will("500", "500", "500-after")
    by_sendgrid(ws, api)
    assert states(ws) == {"ambiguous": 3}
    path = tmp_path / "events.json"
    path.write_text(json.dumps(list(events(api.provider.journal, Manner()))))
    hear(ws, [path])
    by_sendgrid(ws, api)
    assert states(ws) == {"ambiguous": 2, "reconciled": 1}
    later = clock.now() + timedelta(hours=25)
    monkeypatch.setattr(module.clock, "now", lambda: later)
    by_sendgrid(ws, api)
    assert states(ws) == {"accepted": 1, "reconciled": 2}
    assert sorted(api.journal) == sorted(keys[1:])
    assert reasons(ws) == {"c0": "given_up", "c2": "accepted"}
    assert [row["customer_id"] for row in holds.unsent(ws)] == ["c0"]


def test_an_event_that_comes_46_times_under_other_ids_counts_once(tmp_path: Path, api: Api) -> None:
    """Complaint 31: webhooks repeat with new ids; late and shuffled, they end the doubt once."""
    ws = workspace(tmp_path)
    plan(ws, 4)
    api.will("cut-after")
    by_sendgrid(ws, api)
    manner = Manner(repeat=46, shuffle=True, change_ids=True, batch=50)
    found = batches(events(api.provider.journal, manner), manner)
    paths = [tmp_path / f"{n}.json" for n in range(len(found))]
    for path, batch in zip(paths, found, strict=True):
        path.write_text(json.dumps(batch))
    random.Random(1).shuffle(paths)
    report = hear(ws, paths)
    assert (report.events, report.new, report.reconciled) == (46 * 8, 8, 4)
    assert states(ws) == {"reconciled": 4}


# The outbox


@BOTH_STORES
def test_fifty_at_once_with_one_key_make_one_message(store_url: str, tmp_path: Path) -> None:
    """T10: planning that ran again, or at the same time, added every message anew."""
    ws = workspace(tmp_path, store_url=store_url)
    row = outbox_row("c1")
    threads = [threading.Thread(target=enqueue, args=(ws, row)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states(ws) == {"ready": 1}


def test_people_who_are_gone_do_not_keep_a_campaign_from_ending(tmp_path: Path, api: Api) -> None:
    """T11: an audience that shrank while it was being sent to."""
    ws = workspace(tmp_path)
    plan(ws, 6)
    publish(ws, customers=[customer(n) for n in range(4)])
    report = by_sendgrid(ws, api)
    assert (report.accepted, report.cancelled, report.waiting) == (4, 2, 0)


@pytest.mark.parametrize("query", [SQL["waiting"], DUE], ids=["waiting", "due"])
def test_whether_all_is_sent_is_asked_of_an_index(tmp_path: Path, query: str) -> None:
    """T12: two full counts per mail, ever slower."""
    ws = workspace(tmp_path)
    values = {"until": "2026", "now": "2026", "moment": "2026", "channel": "email"}
    asked = {name: value for name, value in values.items() if f":{name}" in query}
    with ws.store.read() as connection:
        steps = connection.all(f"explain query plan {query}", **asked)
    assert "outbox using index outbox_due" in steps[0]["detail"].lower()


def test_the_unsent_are_listed_with_their_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """T15: nobody could tell who had not got it."""
    from tessera.cli.send import pause, unsent

    ws = workspace(tmp_path)
    enqueue(
        ws,
        outbox_row("c1", state="cancelled", state_reason="no_consent"),
        outbox_row("c2", state="accepted"),
        outbox_row("c3", state="rejected", state_reason="SendGrid answered 400"),
        outbox_row("c4"),
    )
    pause("winback", home=ws.home.root)
    assert "1 messages wait" in capsys.readouterr().out
    unsent(home=ws.home.root, as_json=True)
    found = {row["customer_id"]: row["reason"] for row in json.loads(capsys.readouterr().out)}
    assert found == {"c1": "no_consent", "c3": "SendGrid answered 400", "c4": "paused"}
    unsent(home=ws.home.root, state="rejected", day="2026-03-31", campaign="winback")
    assert "c3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"campaign": "winbak"}, "no messages of a campaign 'winbak'"),
        ({"day": "31.3.2026"}, "--day '31.3.2026' is not a date"),
        ({"state": "canceled"}, "--state 'canceled' is none of the unsent; there are ready"),
        ({"state": "accepted"}, "--state 'accepted' is none of the unsent"),
    ],
)
def test_a_list_of_what_there_is_not_is_a_sentence(
    tmp_path: Path, asked: dict[str, str], says: str
) -> None:
    ws = workspace(tmp_path)
    enqueue(ws, outbox_row("c1"))
    with pytest.raises(BadInput, match=re.escape(says)):
        holds.unsent(ws, **asked)
    assert len(holds.unsent(ws, campaign="winback", day="20260331", state="ready")) == 1


@BOTH_STORES
def test_what_was_put_off_does_not_leave_on_a_blackout(store_url: str, tmp_path: Path) -> None:
    """What a cap, a pause or an approval had kept until then left on the day without marketing."""
    days: list[Any] = [{"from": "2026-03-31", "to": "2026-04-01"}]
    ws = with_policy(tmp_path, store_url, blackout_dates=days, caps=None)
    publish(ws, customers=[customer(n) for n in range(5)])
    version(ws, "brief", on_cap="drop")
    version(ws, "rests", blackout_dates=[{"from": "2026-04-02", "to": "2026-04-02"}])
    names = ["winback", "brief", "rests"]
    enqueue(ws, *(outbox_row(f"c{n}", campaign=name) for n, name in enumerate(names)),
            outbox_row("c3", purpose="service"),
            outbox_row("c4", campaign="rests", purpose="service"))  # fmt: skip
    assert send(ws).by_messenger == {"file": 2}
    said = "outside_window: blackout 2026-03-31"
    assert reasons(ws) == dict.fromkeys(("c0", "c1", "c2"), said)
    accepted = [send(on(ws, f"2026-04-0{day}")).accepted for day in (1, 2, 3)]
    assert accepted == [0, 1, 1]
    assert (states(ws), reasons(ws)) == ({"accepted": 4, "cancelled": 1}, {"c1": said})


def test_a_template_that_comes_due_during_a_long_run_is_looked_at_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Api
) -> None:
    """A throttled run lasts hours, and more falls due: broken, it waits as what was due at the start does."""
    ws = with_policy(tmp_path, throttle={"per_minute": 1})
    now = clock.now()
    moment = [now]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    ws = replace(ws, as_of=now)
    templates = ws.project / "templates"
    templates.unlink()
    shutil.copytree(CHECKOUT / "templates", templates)
    (templates / "birthday/greeting/subject.txt").write_text("{% if %}")
    publish(ws, customers=[customer(n) for n in range(3)])
    good = {"business_date": f"{ws.business_date}", "not_after": "2199-01-01T00:00:00+00:00"}
    broken = {"campaign": "birthday", "template": "birthday/greeting"}
    later = clock.stamp(now + timedelta(minutes=30))
    soon = [
        outbox_row(f"c{n}", send_at=clock.stamp(now - timedelta(seconds=1)), **good)
        for n in range(2)
    ]
    enqueue(ws, *soon, outbox_row("c2", send_at=later, **good, **broken))

    def sleep(_seconds: float) -> None:
        moment[0] = now + timedelta(hours=1)

    report = send(ws, messenger=SendGridMessenger("key", api.url, schedules=False), sleep=sleep)
    assert (report.accepted, report.rejected, len(report.held)) == (2, 0, 1)
    assert states(ws) == {"accepted": 2, "ready": 1}
    assert "birthday/greeting/subject.txt" in reasons(ws)["c2"]
