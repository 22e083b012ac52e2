"""The outbox on both databases: leases, fences, and who may move which row."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tessera import clock
from tessera.clock import stamp
from tessera.send import holds
from tessera.send import outbox as module
from tessera.send.lifeline import Lifeline, at_work
from tessera.send.messengers.base import Answer, Fate, Outcome
from tessera.send.outbox import ATTEMPTS, Lease, Outbox
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.sending import enqueue, outbox_row, reasons, states

ACCEPTED, LATER = Outcome(Fate.ACCEPTED), Outcome(Fate.LATER, "full")


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "home", store_url=store_url)


def outbox(ws: Workspace, owner: str = "me", messenger: str = "smtp") -> Outbox:
    return Outbox(ws, owner, messenger)


def call(box: Outbox, lease: Lease) -> int | None:
    call = box.call(lease, {row["message_id"]: f"hash {row['message_id']}" for row in lease.rows})
    return call and call.request_id


def claimed(box: Outbox, size: int = 100) -> Lease:
    lease = box.claim(size)
    assert lease is not None
    return lease


def called(box: Outbox) -> tuple[Lease, int]:
    lease = claimed(box)
    request = call(box, lease)
    assert request is not None
    return lease, request


def requests(ws: Workspace) -> list[str]:
    with ws.store.read() as connection:
        found = connection.all("select state from provider_request order by request_id")
    return [row["state"] for row in found]


@BOTH_STORES
def test_what_is_due_today_is_claimed_in_the_order_it_is_due(ws: Workspace) -> None:
    enqueue(
        ws,
        outbox_row("late", send_at="2026-03-31T20:00:00+00:00"),
        outbox_row("early", send_at="2026-03-31T08:00:00+00:00"),
        outbox_row("yesterday", send_at="2026-03-30T08:00:00+00:00"),
        outbox_row("tomorrow", send_at="2026-04-01T00:00:00+00:00"),
        outbox_row("sms", channel="sms"),
        outbox_row("done", state="accepted"),
    )
    box = outbox(ws)
    assert [row["customer_id"] for row in claimed(box, 2).rows] == ["yesterday", "early"]
    assert [row["customer_id"] for row in claimed(box, 2).rows] == ["late"]
    assert box.claim(2) is None


@BOTH_STORES
def test_the_end_of_the_day_is_the_shops(store_url: str, tmp_path: Path) -> None:
    ws = workspace(tmp_path, store_url=store_url, timezone="America/New_York")
    enqueue(
        ws,
        outbox_row("in", send_at="2026-04-01T03:59:59+00:00"),
        outbox_row("out", send_at="2026-04-01T04:00:00+00:00"),
    )
    assert [row["customer_id"] for row in claimed(outbox(ws)).rows] == ["in"]


@BOTH_STORES
def test_a_messenger_that_cannot_keep_a_message_gets_it_when_it_is_due(
    store_url: str, tmp_path: Path
) -> None:
    now = clock.now()
    ws = workspace(tmp_path, now.isoformat(), store_url=store_url)
    midnight = now.replace(hour=23, minute=59, second=59, microsecond=0)
    for name, due in (("due", now - timedelta(minutes=1)), ("later", midnight)):
        not_after = now + timedelta(days=1)
        enqueue(ws, outbox_row(name, send_at=stamp(due), not_after=stamp(not_after)))
    by_smtp = Outbox(ws, "me", "smtp", schedules=False)
    assert [row["customer_id"] for row in claimed(by_smtp).rows] == ["due"]
    assert by_smtp.claim(1) is None
    assert by_smtp.waiting() == 1
    assert [row["customer_id"] for row in claimed(outbox(ws)).rows] == ["later"]


@BOTH_STORES
def test_a_past_day_run_again_does_not_wait_for_its_hours(ws: Workspace) -> None:
    enqueue(ws, outbox_row("c1"))
    assert len(claimed(Outbox(ws, "me", "smtp", schedules=False)).rows) == 1


@BOTH_STORES
def test_a_run_of_many_hours_hands_nothing_over_before_or_after_its_time(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day's run that began at six may come to its sending at eight, and be throttled until ten."""
    began = datetime(2026, 3, 31, 6, 0, 7, tzinfo=UTC)
    box = Outbox(replace(ws, as_of=began), "me", "smtp", schedules=False)
    for name, due, until in (("now", 7, 20), ("soon", 8, 9), ("evening", 18, 20)):
        hours = {"send_at": due, "not_after": until}
        at = {key: f"2026-03-31T{hour:02}:00:00+00:00" for key, hour in hours.items()}
        enqueue(ws, outbox_row(name, **at))

    def it_is(hour: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: began.replace(hour=hour))

    it_is(8)
    both = claimed(box)
    assert [row["customer_id"] for row in both.rows] == ["now", "soon"]
    it_is(10)
    assert box.call(both, {row["message_id"]: "hash" for row in both.rows[1:]}) is None
    box.release(both)
    assert [row["customer_id"] for row in claimed(box).rows] == ["now"]
    assert box.cancel_late() == 1
    assert reasons(ws) == {"soon": "too_late"}
    it_is(18)
    assert [row["customer_id"] for row in claimed(box).rows] == ["evening"]


@BOTH_STORES
def test_what_a_sender_knows_has_not_left_is_in_no_doubt(ws: Workspace) -> None:
    """Somebody took it for dead while the provider made it wait."""
    enqueue(ws, outbox_row("c1"))
    box = outbox(ws)
    _, request = called(box)
    outbox(ws, "other").reap({"me"}, repeatable=())
    assert states(ws) == {"ambiguous": 1}
    box.give_back(request, "busy")
    assert states(ws) == {"ready": 1}


@BOTH_STORES
@pytest.mark.parametrize("ending", ["busy", "not now", "killed"])
def test_what_comes_back_of_a_cancelled_campaign_is_not_sent_again(
    ws: Workspace, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(ws, outbox_row("c1", purpose="service"))
    box = outbox(ws)
    lease, request = called(box)
    holds.cancel(ws, "winback")
    if ending == "busy":
        box.give_back(request, "busy")
    elif ending == "not now":
        box.finish(request, lease.rows, Answer([LATER]))
    else:
        outbox(ws, "other").reap({"me"}, repeatable=())
        later = clock.now() + timedelta(days=2)
        monkeypatch.setattr(clock, "now", lambda: later)
        outbox(ws, "other").settle(timedelta(hours=24))
    assert box.claim(1) is None
    box.cancel_late()
    ends = {"killed": {"reconciled": 1}}
    assert states(ws) == ends.get(ending, {"cancelled": 1})
    assert reasons(ws) == {"c1": "given_up" if ending == "killed" else "campaign_cancelled"}


@BOTH_STORES
def test_a_service_message_in_doubt_goes_out_again_within_its_hours(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine in the evening in Athens is no time for it, and the clocks change in between."""
    hours = {"send_at": "2026-10-24T06:00:00+00:00", "not_after": "2026-10-24T16:30:00+00:00"}
    row = outbox_row("c1", purpose="service", timezone="Europe/Athens", **hours)
    enqueue(ws, row)
    evening = datetime(2026, 10, 24, 8, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: evening)
    box = Outbox(replace(ws, as_of=evening), "me", "smtp", schedules=False)
    called(box)
    next_evening = datetime(2026, 10, 25, 19, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: next_evening)
    box = Outbox(replace(ws, as_of=next_evening), "other", "smtp", schedules=False)
    box.reap({"me"}, repeatable=())
    assert box.settle(timedelta(hours=24)) == 1
    assert box.claim(1) is None
    assert box.cancel_late() == 0
    with ws.store.read() as connection:
        (again,) = connection.all("select state, state_reason, send_at, not_after from outbox")
    assert again == {
        "state": "ready",
        "state_reason": "sent_again",
        "send_at": "2026-10-26T07:00:00+00:00",
        "not_after": "2026-10-26T17:30:00+00:00",
    }


@BOTH_STORES
def test_a_message_whose_time_has_passed_is_cancelled(ws: Workspace) -> None:
    """Complaint 30: a restored copy sent an old campaign. T6: a copied server ran an overdue schedule once more."""
    enqueue(
        ws,
        outbox_row("old", not_after="2026-03-30T23:59:59+00:00"),
        outbox_row("good", not_after="2026-03-31T00:00:00+00:00"),
    )
    assert outbox(ws).cancel_late() == 1
    assert reasons(ws) == {"old": "too_late"}
    assert states(ws) == {"cancelled": 1, "ready": 1}


@BOTH_STORES
def test_many_senders_at_once_claim_every_message_once(ws: Workspace) -> None:
    enqueue(ws, *(outbox_row(f"c{n}") for n in range(200)))
    found: list[str] = []

    def work(owner: str) -> None:
        box = outbox(ws, owner)
        while lease := box.claim(7):
            found.extend(row["send_key"] for row in lease.rows)

    threads = [threading.Thread(target=work, args=(f"s{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 200


@BOTH_STORES
def test_calling_is_committed_with_the_hash_of_the_first_writing(ws: Workspace) -> None:
    enqueue(ws, outbox_row("c1"))
    box = outbox(ws)
    lease, request = called(box)
    assert states(ws) == {"calling": 1}
    box.give_back(request, "busy")
    again = claimed(box)
    box.call(again, {again.rows[0]["message_id"]: "another hash"})
    with ws.store.read() as connection:
        kept = connection.scalar("select content_hash from outbox")
    assert kept == f"hash {lease.rows[0]['message_id']}"


@BOTH_STORES
def test_each_message_of_a_request_has_its_own_fate(ws: Workspace) -> None:
    enqueue(ws, *(outbox_row(f"c{n}") for n in range(4)))
    box = outbox(ws)
    lease, request = called(box)
    answer = Answer([ACCEPTED, Outcome(Fate.REJECTED, "bad"), LATER, ACCEPTED], 202, "id")
    box.finish(request, lease.rows, answer)
    box.release(lease)
    assert states(ws) == {"accepted": 2, "rejected": 1, "ready": 1}
    assert reasons(ws) == {"c1": "bad", "c2": "full"}
    assert requests(ws) == ["accepted"]


@BOTH_STORES
def test_not_now_is_asked_again_later_and_later_and_not_for_ever(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T9: what was put off was put off again for ever, hundreds of rows a second."""
    enqueue(ws, outbox_row("c1"))
    box, waits = outbox(ws), []
    moment = clock.now()
    for _ in range(ATTEMPTS):
        monkeypatch.setattr(module.clock, "now", lambda moment=moment: moment)
        lease, request = called(box)
        box.finish(request, lease.rows, Answer([LATER]))
        box.release(lease)
        assert box.claim(1) is None
        with ws.store.read() as connection:
            retry_at = connection.scalar("select retry_at from outbox")
        later = moment.fromisoformat(retry_at)
        waits.append((later - moment).total_seconds())
        moment = later
    assert [round(wait / 60) for wait in waits] == [5, 20, 80, 320, 1280]
    assert states(ws) == {"rejected": 1}


@BOTH_STORES
def test_a_lease_that_runs_out_gives_its_messages_back_and_fences_its_holder(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complaint 33: thousands of jobs were at work for months. T6, T17: who wakes up after that is fenced."""
    enqueue(ws, outbox_row("c1"))
    slow, fresh = outbox(ws, "slow"), outbox(ws, "fresh")
    lease = claimed(slow)
    fresh.reap(dead=(), repeatable=())
    assert states(ws) == {"leased": 1}
    later = clock.now() + module.LEASE * 2
    monkeypatch.setattr(module.clock, "now", lambda: later)
    fresh.reap(dead=(), repeatable=())
    assert states(ws) == {"ready": 1}
    claimed(fresh)
    assert call(slow, lease) is None
    slow.drop(lease, "rejected", {lease.rows[0]["message_id"]: "no"})
    slow.release(lease)
    assert states(ws) == {"leased": 1}


@BOTH_STORES
@pytest.mark.parametrize(
    ("messenger", "state"), [("sendgrid", "ambiguous"), ("smtp", "ambiguous"), ("file", "ready")]
)
def test_a_sender_that_died_in_a_call_leaves_doubt_unless_it_can_be_repeated(
    ws: Workspace, messenger: str, state: str
) -> None:
    enqueue(ws, outbox_row("c1"))
    called(outbox(ws, "gone", messenger))
    outbox(ws).reap(dead={"gone"}, repeatable={"file"})
    assert states(ws) == {state: 1}
    outbox(ws).reap(dead={"gone"}, repeatable={"file"})
    assert states(ws) == {state: 1}


@BOTH_STORES
def test_an_answer_that_comes_after_all_ends_the_doubt(ws: Workspace) -> None:
    enqueue(ws, outbox_row("c1"))
    slow = outbox(ws, "slow")
    lease, request = called(slow)
    outbox(ws).reap(dead={"slow"}, repeatable=())
    slow.finish(request, lease.rows, Answer([ACCEPTED], 202))
    assert states(ws) == {"accepted": 1}
    assert "accepted" in requests(ws)


@BOTH_STORES
def test_a_released_lease_leaves_no_trace(ws: Workspace) -> None:
    enqueue(ws, outbox_row("c1"))
    box = outbox(ws)
    box.release(claimed(box))
    assert states(ws) == {"ready": 1}
    assert requests(ws) == []


def test_a_living_sender_is_not_taken_for_dead(tmp_path: Path) -> None:
    assert not at_work(tmp_path / "senders")
    with Lifeline(tmp_path) as one, Lifeline(tmp_path) as other:
        assert at_work(tmp_path)
        assert one.dead() == other.dead() == set()
    (tmp_path / "killed").touch()
    with Lifeline(tmp_path) as one:
        assert one.dead() == {"killed"}
        one.bury({"killed"})
        assert one.dead() == set()
    assert list(tmp_path.iterdir()) == []
