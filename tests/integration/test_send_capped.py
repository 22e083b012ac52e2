"""The caps hold at the instant of sending, whatever happened since a message was planned (T19 to T21 saw
caps forgotten by queues), and so does a break that a person takes: each case says who waits, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tessera import clock
from tessera.consent.ledger import Word, record
from tessera.consent.preferences import choose
from tessera.hear.hearing import take_in
from tessera.person.merge import merge, undo
from tessera.send import holds, send, sender
from tessera.settings import CHECKOUT
from tessera.testing import publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.deciding import insert
from tests.sending import customer, enqueue, outbox_row, reasons, states

WEEK = {"caps": [{"purpose": "marketing", "max": 1, "days": 7}]}
LONG = "2026-05-01T00:00:00+00:00"


def shop(
    folder: Path, day: str = "2026-03-31", store_url: str | None = None, **policy: Any
) -> Workspace:
    """A workspace on `day` of a project with this contact policy."""
    file = folder / "project" / "deployments" / "contact_policy.yml"
    if not file.parent.exists():
        file.parent.mkdir(parents=True)
        (folder / "project" / "templates").symlink_to(CHECKOUT / "templates")
    file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    return workspace(folder / "home", day, project=folder / "project", store_url=store_url)


def message(who: str, campaign: str, day: str = "2026-03-31", **columns: Any) -> dict[str, Any]:
    hour = columns.pop("hour", "09")
    given = {
        "business_date": day,
        "send_at": f"{day}T{hour}:00:00+00:00",
        "not_after": LONG,
        "tags": "",
    }
    return outbox_row(who, **{"campaign": campaign, **given, **columns})


def sent(ws: Workspace) -> set[tuple[str, str]]:
    with ws.store.read() as connection:
        rows = connection.all("select customer_id, campaign from outbox where state = 'accepted'")
    return {(row["customer_id"], row["campaign"]) for row in rows}


@BOTH_STORES
def test_a_campaign_resumed_late_breaks_no_cap_and_goes_when_there_is_room(
    store_url: str, tmp_path: Path
) -> None:
    ws = shop(tmp_path, store_url=store_url, **WEEK)
    publish(ws, customers=[customer(1), customer(2)])
    enqueue(ws, message("c1", "early"), message("c2", "early"))
    holds.pause(ws, "early")
    enqueue(ws, message("c1", "late", "2026-04-02"))
    ws = shop(tmp_path, "2026-04-02", store_url=store_url, **WEEK)
    assert send(ws).accepted == 1
    holds.resume(ws, "early")
    assert send(ws).accepted == 1
    assert sent(ws) == {("c1", "late"), ("c2", "early")}
    (waits,) = holds.unsent(ws)
    assert (waits["state"], waits["reason"]) == ("ready", "capped: 1 marketing in 7 days")
    assert send(ws).claimed == 0  # the same day again changes nothing
    for day in (3, 8, 9, 10):
        ws = shop(tmp_path, f"2026-04-{day:02}", store_url=store_url, **WEEK)
        assert send(ws).accepted == (1 if day == 9 else 0), day
    assert reasons(ws) == {}


@BOTH_STORES
def test_a_tightened_policy_lets_the_campaign_of_higher_priority_go(
    store_url: str, tmp_path: Path
) -> None:
    ws = shop(tmp_path, store_url=store_url, caps=[{"purpose": "marketing", "max": 1, "days": 1}])
    publish(ws, customers=[customer(1)])
    with ws.store.write() as connection:
        connection.run(
            "insert into campaign_version (campaign, version, body, first_used_at) values "
            "('dear', '1', '{\"priority\": 90}', :at), "
            "('cheap', '1', '{\"priority\": 10, \"on_cap\": \"drop\"}', :at)",
            at="2026-03-31",
        )
    today = {"not_after": "2026-03-31T18:00:00+00:00"}
    enqueue(ws, message("c1", "cheap", hour="07", **today), message("c1", "dear", **today),
            message("c1", "receipt", purpose="service"))  # fmt: skip
    report = send(ws)
    assert sent(ws) == {("c1", "dear"), ("c1", "receipt")}
    assert (report.cancelled, states(ws)["cancelled"]) == (1, 1)
    assert reasons(ws) == {"c1": "capped: 1 marketing in 1 days"}


def test_two_people_found_to_be_one_share_their_caps(tmp_path: Path) -> None:
    ws = shop(tmp_path, **WEEK)
    publish(ws, customers=[customer(1), customer(2)])
    enqueue(ws, message("c1", "first", "2026-03-30"), message("c2", "second"))
    send(shop(tmp_path, "2026-03-30", **WEEK))
    merge(ws, "c2", "c1")
    assert send(ws).accepted == 0
    assert reasons(ws) == {"c2": "capped: 1 marketing in 7 days"}
    undo(ws, "c2", "c1")
    assert send(shop(tmp_path, "2026-04-01", **WEEK)).accepted == 1


def test_what_a_prospect_was_sent_and_chose_holds_for_the_customer_they_became(
    tmp_path: Path,
) -> None:
    ws = shop(tmp_path, **WEEK)
    became = [{"customer_id": f"prospect:p{n}", "into_customer_id": f"c{n}"} for n in range(3)]
    people = [customer(n, customer_id=f"prospect:p{n}") for n in range(3)]
    publish(ws, customers=people)
    enqueue(ws, message("prospect:p0", "meet", "2026-03-30"))
    send(shop(tmp_path, "2026-03-30", **WEEK))
    for name in ("prospect:p1", "prospect:p2"):
        with ws.store.write() as connection:
            choose(connection, name, {"topic:news": "no"}, ws.as_of)
    with ws.store.write() as connection:
        choose(connection, "c2", {"topic:news": "yes"}, ws.as_of)
    publish(ws, customers=[customer(n) for n in range(3)], known_as=became)
    enqueue(ws, *(message(f"c{n}", "hello", tags="news") for n in range(3)))
    assert send(ws).accepted == 1
    assert sent(ws) == {("prospect:p0", "meet"), ("c2", "hello")}
    declined = "no_consent: topic news declined"
    assert reasons(ws) == {"c0": "capped: 1 marketing in 7 days", "c1": declined}


@BOTH_STORES
def test_a_no_under_either_number_holds_and_an_old_yes_of_the_other_does_not_undo_it(
    store_url: str, tmp_path: Path
) -> None:
    ws = shop(tmp_path, store_url=store_url)
    publish(ws, customers=[customer(n) for n in range(6)])
    enqueue(ws, *(message(f"c{n}", "news") for n in (0, 2, 4)))
    old, lately, later = (datetime(year, 1, 1, tzinfo=UTC) for year in (2024, 2025, 2090))
    words = [("c0", True, lately), ("c1", False, later)]  # the other says no after the merge
    words += [("c2", False, old), ("c3", True, lately)]  # c2 said no, the other had said yes
    words += [("c4", False, old), ("c5", True, later)]  # and says yes after the merge
    with ws.store.write() as connection:
        for who, granted, at in words:
            word = Word(who, "email", granted=granted, origin="test")
            record(connection, word, at)
    for number in (0, 2, 4):
        merge(ws, f"c{number}", f"c{number + 1}")
    send(ws)
    assert sent(ws) == {("c4", "news")}
    assert reasons(ws) == dict.fromkeys(("c0", "c2"), "no_consent")


def test_each_kind_of_cap_counts_what_it_names(tmp_path: Path) -> None:
    policy: dict[str, Any] = {
        "caps": [
            {"purpose": "marketing", "max": 5, "days": 7},
            {"purpose": "marketing", "tag": "offers", "max": 1, "days": 6},
            {"purpose": "marketing", "channel": "sms", "max": 0, "days": 1},
            {"purpose": "marketing", "per": "household", "max": 2, "days": 7},
        ]
    }
    ws = shop(tmp_path, **policy)
    publish(ws, customers=[customer(n) for n in range(4)])
    home, day = {"household_id": "h"}, "2026-03-28"
    before = [message("c0", "a", day, tags="offers,spring"), message("c1", "a", day, **home)]
    enqueue(ws, *before, message("c2", "a", day, **home))
    assert send(shop(tmp_path, day, **policy)).accepted == 3
    enqueue(
        ws,
        message("c0", "b", tags="offers"),  # a tag's cap
        message("c0", "c", tags="news"),
        message("c3", "b", **home),  # others of the household had theirs
    )
    assert send(shop(tmp_path, **policy)).accepted == 1
    assert reasons(ws) == {
        "c0": "capped: 1 offers marketing in 6 days",
        "c3": "capped: 2 marketing in 7 days per household",
    }


@pytest.mark.parametrize(
    ("cap", "before", "now", "goes"),
    [
        (
            {},
            {"send_at": "2026-04-07T08:59:59+00:00"},
            {},
            False,
        ),  # the provider keeps it until then
        ({}, {"send_at": "2026-04-07T09:00:00+00:00"}, {}, True),
        ({}, {"state": "ambiguous"}, {}, False),
        ({}, {"state": "reconciled"}, {}, False),
        ({}, {"state": "rejected"}, {}, True),
        ({}, {"purpose": "service"}, {}, True),
        ({"tag": "offers"}, {"tags": "news,offers"}, {"tags": "offers"}, False),
        ({"tag": "offers"}, {"tags": "news"}, {"tags": "offers"}, True),
        ({"channel": "email"}, {"channel": "sms"}, {}, True),
        ({"per": "household"}, {}, {}, False),  # who lives alone is a household too
    ],
)
def test_what_counts_under_a_cap_and_what_does_not(
    tmp_path: Path,
    cap: dict[str, Any],
    before: dict[str, Any],
    now: dict[str, Any],
    goes: bool,
) -> None:
    ws = shop(tmp_path, caps=[{"purpose": "marketing", "max": 1, "days": 7, **cap}])
    publish(ws, customers=[customer(1)])
    earlier = message("c1", "before", **{"state": "accepted", **before})
    enqueue(ws, earlier, message("c1", "now", **now))
    assert send(ws).accepted == goes


def test_one_that_stays_back_leaves_its_place_to_another(tmp_path: Path) -> None:
    """T22: what is released together goes by one order, and only what goes counts."""
    policy = {
        "caps": [
            {"purpose": "marketing", "max": 2, "days": 7},
            {"purpose": "marketing", "tag": "offers", "max": 1, "days": 7},
        ]
    }
    ws = shop(tmp_path, **policy)
    publish(ws, customers=[customer(1)])
    offers = [
        message("c1", name, hour=hour, tags="offers") for name, hour in (("a", "07"), ("b", "08"))
    ]
    enqueue(ws, *offers, message("c1", "c", hour="09"), message("c1", "d", hour="10"))
    assert send(ws).accepted == 2
    assert sent(ws) == {("c1", "a"), ("c1", "c")}


@BOTH_STORES
def test_a_break_and_a_declined_topic_hold_from_the_moment_they_are_chosen(
    store_url: str, tmp_path: Path
) -> None:
    ws = shop(tmp_path, store_url=store_url, caps=None)
    publish(ws, customers=[customer(n) for n in range(5)])
    enqueue(ws, *(message(f"c{n}", "offers", tags="offers") for n in range(5)),
            message("c0", "receipt", purpose="service"))  # fmt: skip
    at = datetime.fromisoformat("2026-03-31T00:00:00+00:00")
    said = {"c0": {"paused_until": "2026-04-05"}, "c1": {"topic:offers": "no"},
            "c2": {"topic:news": "no"}, "c3": {"paused_until": "2026-03-31"}}  # fmt: skip
    with ws.store.write() as connection:
        for name, wanted in said.items():
            choose(connection, name, wanted, at)
    assert send(ws).accepted == 4
    assert reasons(ws) == {
        "c0": "suppressed: paused until 2026-04-05",
        "c1": "no_consent: topic offers declined",
    }


@BOTH_STORES
def test_marketing_waits_while_too_many_complain_and_service_does_not(
    store_url: str, tmp_path: Path
) -> None:
    ws = shop(tmp_path, store_url=store_url)
    publish(ws, customers=[customer(1)])
    before = [message(f"x{n}", "past", "2026-03-30", state="accepted") for n in range(1000)]
    keys = enqueue(ws, *before)
    moment = int(datetime(2026, 3, 30, 12, tzinfo=UTC).timestamp())
    heard = [("delivered", key) for key in keys] + [("spamreport", key) for key in keys[:2]]
    take_in(
        ws.store,
        [{"event": event, "send_key": key, "timestamp": moment} for event, key in heard],
        ws.as_of,
    )
    insert(ws, "campaign_version", campaign="sale", version="1", first_used_at="2026",
           body='{"not_after": "2026-03-31"}')  # fmt: skip
    enqueue(ws, message("c1", "news"), message("c1", "sale"),
            message("c1", "receipt", purpose="service"))  # fmt: skip
    assert (send(ws).accepted, send(ws).claimed) == (1, 0)
    waits = {row["campaign"]: (row["state"], row["reason"]) for row in holds.unsent(ws)}
    said = (
        "suppressed: 2 complaints of 1,000 marketing messages delivered in 7 days (0.200%): stopped"
    )
    assert waits == {"news": ("ready", said), "sale": ("cancelled", said)}
    for day, left in ((2, 0), (7, 1)):
        later = shop(tmp_path, f"2026-04-{day:02}", store_url=store_url)
        assert send(later).accepted == left, day


def test_who_chose_once_a_week_hears_once_a_week(tmp_path: Path) -> None:
    ws = shop(tmp_path, caps=None)
    publish(ws, customers=[customer(n) for n in range(2)])
    enqueue(ws, *(message(f"c{n}", name) for n in range(2) for name in ("a", "b")))
    with ws.store.write() as connection:
        choose(connection, "c0", {"frequency": "weekly"}, ws.as_of)
    assert send(ws).accepted == 3
    assert reasons(ws) == {"c0": "capped: 1 in 7 days, as chosen"}


def test_what_another_sender_has_in_hand_counts(tmp_path: Path) -> None:
    """T25: two at once, cap 1, never two messages."""
    from tessera.send.outbox import Outbox

    ws = shop(tmp_path, **WEEK)
    publish(ws, customers=[customer(1)])
    enqueue(ws, message("c1", "a"))
    other = Outbox(ws, "other", "file").claim(10)
    assert other is not None
    enqueue(ws, message("c1", "b"))
    assert send(ws).accepted == 0
    Outbox(ws, "other", "file").release(other)
    assert send(ws).accepted == 1
    assert sent(ws) == {("c1", "a")}


# A throttled run lasts hours: what holds is asked of the instant at which a message leaves


def slowly(folder: Path, **policy: Any) -> Workspace:
    """A workspace whose run began three hours ago and writes to one a minute."""
    shop(folder, throttle={"per_minute": 1}, **policy)
    began = (clock.now() - timedelta(hours=3)).isoformat()
    ws = workspace(folder / "home", began, project=folder / "project")
    publish(ws, customers=[customer(n) for n in range(4)])
    return ws


def of_today(ws: Workspace, who: str, campaign: str, **columns: Any) -> dict[str, Any]:
    hours = {"send_at": clock.stamp(ws.as_of), "not_after": "2199-01-01T00:00:00+00:00"}
    return message(who, campaign, f"{ws.business_date}", **{**hours, **columns})


def test_a_cap_of_hours_counts_from_now_in_a_run_that_began_hours_ago(tmp_path: Path) -> None:
    ws = slowly(tmp_path, caps=[{"purpose": "marketing", "max": 1, "hours": 1}])
    left = clock.stamp(clock.now() - timedelta(minutes=10))
    enqueue(ws, of_today(ws, "c1", "a", state="accepted", state_at=left), of_today(ws, "c1", "b"))
    assert send(ws).accepted == 0
    assert reasons(ws) == {"c1": "capped: 1 marketing in 1 hours"}


def test_a_gap_that_is_over_by_now_keeps_nobody_waiting_in_a_long_run(tmp_path: Path) -> None:
    ws = slowly(tmp_path, caps=None, min_gap_hours=20)
    left = clock.stamp(clock.now() - timedelta(hours=21))
    yesterday = {"state": "accepted", "state_at": left, "send_at": left}
    enqueue(ws, of_today(ws, "c1", "a", **yesterday), of_today(ws, "c1", "b"))
    assert send(ws).accepted == 1


def test_complaints_that_are_heard_during_a_long_run_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "GUARD_LASTS", timedelta(0))
    ws = slowly(tmp_path, caps=None)
    day = f"{ws.business_date}"
    keys = enqueue(ws, *(message(f"x{n}", "past", day, state="accepted") for n in range(1000)))
    now = int(clock.now().timestamp())
    said = [{"event": "delivered", "send_key": key, "timestamp": now} for key in keys]
    take_in(ws.store, said, clock.now())
    enqueue(ws, *(of_today(ws, f"c{n}", "news") for n in range(4)))

    def sleep(_seconds: float) -> None:
        angry = [{**one, "event": "spamreport"} for one in said[:2]]
        take_in(ws.store, angry, clock.now())

    assert send(ws, sleep=sleep).accepted == 2  # the second was on its way when they were heard
    assert len(reasons(ws)) == 2


def test_hours_that_end_while_the_day_plans_them_are_over_for_today_only(tmp_path: Path) -> None:
    """A night of hours planned what it could not send any more, and gave it up as if nobody had come."""
    ws = slowly(tmp_path, caps=None)
    insert(ws, "campaign_version", campaign="birthday", version="1", first_used_at="2026",
           body='{"on_cap": "drop"}')  # fmt: skip
    ended = {"not_after": clock.stamp(clock.now() - timedelta(hours=1))}
    before = {"not_after": clock.stamp(ws.as_of - timedelta(hours=1))}
    enqueue(ws, of_today(ws, "c1", "news", **ended), of_today(ws, "c2", "birthday", **ended),
            of_today(ws, "c3", "old", **before))  # fmt: skip
    assert (send(ws).claimed, states(ws)) == (0, {"ready": 1, "cancelled": 2})
    assert reasons(ws) == {"c1": "outside_window", "c2": "too_late", "c3": "too_late"}
