"""Gifts without a purchase, points that become a voucher by themselves, and the room of a cap."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tessera.errors import BadInput
from tessera.reward import merging
from tessera.reward.points import Books
from tessera.reward.programme import load
from tessera.reward.replay import replay
from tessera.testing import line, publish, workspace
from tessera.vouchers import pool
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.integration import test_reward_night
from tests.integration.test_reward_night import club, night, points, sound

pytest_generate_tests = test_reward_night.pytest_generate_tests

YEARLY = {"gift": "birthday", "points": 50, "to_mark": "birthday"}
WELCOME = {"gift": "hello", "points": 20, "to_mark": "joining"}
COFFEE = {"reward": "coffee", "at_points": 30, "voucher": {"valid_days": 10}}


@pytest.fixture
def shop(tmp_path: Path, store_url: str) -> Iterator[Workspace]:
    ws = workspace(tmp_path / "home", project=tmp_path / "project", store_url=store_url)
    club(ws)
    yield ws
    ws.store.close()


def member(name: str = "ann", **columns: Any) -> dict[str, Any]:
    return {"customer_id": name, "card_id": f"card-{name}", **columns}


def given(ws: Workspace, day: str, *people: dict[str, Any], sales: Any = ()) -> int:
    return int(night(ws, day, *sales, customers=people).points_given)


def test_row_28_four_years_of_birthdays_bring_a_gift_once_each_on_29_february_too(
    shop: Workspace,
) -> None:
    club(shop, gifts=[YEARLY])
    leap, march = member("leap", birth_date="1996-02-29"), member("ann", birth_date="1990-03-14")
    days = [f"{year}-02-28" for year in range(2025, 2029)] + ["2028-02-29", "2028-03-01"]
    brought = {day: given(shop, day, leap, march) for day in days}
    assert [day for day, some in brought.items() if some] == [
        "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29",
    ]  # fmt: skip
    assert (points(shop, "leap"), points(shop, "ann")) == ((200, 0, 0), (0, 0, 0))
    assert given(shop, "2028-03-27", leap, march) == 50  # the night of the day did not come by
    assert given(shop, "2028-03-28", leap, march) == 0
    club(shop, gifts=[YEARLY], leap_day="mar-1")
    assert [given(shop, f"2029-{day}", leap) for day in ("02-28", "03-01")] == [0, 50]
    sound(shop)


def test_who_was_given_points_is_in_the_level_that_asks_for_none(shop: Workspace) -> None:
    """On whatever night: those of the first were, those of later ones only once they bought."""
    club(shop, gifts=[WELCOME], tiers={"levels": [{"tier": "basic", "least": 0}]})
    ann, bob = (
        member(name, joined_at=f"{day} 10:00")
        for name, day in (("ann", "2026-03-01"), ("bob", "2026-03-02"))
    )
    given(shop, "2026-03-02", ann)
    given(shop, "2026-03-03", ann, bob)
    with shop.store.read() as store:
        moves = store.all("select customer_id, tier, business_date from tier_move order by 1")
    assert [tuple(move.values()) for move in map(dict, moves)] == [
        ("ann", "basic", "2026-03-02"),
        ("bob", "basic", "2026-03-03"),
    ]


@BOTH_STORES
def test_who_joins_gets_a_gift_once_whoever_they_are_found_to_be(
    shop: Workspace,
) -> None:
    one_day = {"since": "2026-03-02", "until": "2026-03-02"}
    rules = {"expiry": {"kind": "rolling", "months": 1}, "timezone": "Pacific/Auckland"}
    club(shop, gifts=[WELCOME | one_day], **rules)
    new = member(joined_at="2026-03-01 22:30:00")  # the day after, there
    others = [
        member("old", joined_at="2026-02-01"),
        member("soon", joined_at="2026-03-01 10:59:59"),
        member("lead", joined_at=new["joined_at"], prospect_id="L1"),
        member("bare", joined_at=new["joined_at"], card_id=None),
        member("xen", joined_at=new["joined_at"]),
    ]
    assert given(shop, "2026-02-28", new) == 0
    assert given(shop, "2026-03-02", new, *others) == 40
    with shop.store.write() as store:
        at = datetime(2026, 3, 3, 9, tzinfo=UTC)
        merging.move(Books(store, "club", at, at.date()), "ann", "zoe")
        ends = store.scalar("select min(expires_on) from lot")
        store.run("insert into person_merge values ('xen', 'yan', 0, '2026-03-03')")  # undone
    assert ends == "2026-04-02"  # as if earned on the day it was given
    zoe, yan = (member(name, joined_at="2026-03-02 08:00:00") for name in ("zoe", "yan"))
    assert given(shop, "2026-03-04", zoe) == 0
    assert given(shop, "2026-03-04", yan) == 20
    assert points(shop, "zoe") == (20, 0, 0)
    sound(shop)


def test_a_gift_pays_back_first_what_the_member_owes_and_makes_no_tier(shop: Workspace) -> None:
    club(shop, gifts=[YEARLY], tiers={"levels": [{"tier": "silver", "least": 5}]})
    with shop.store.write() as store:
        at = datetime(2026, 3, 1, 9, tzinfo=UTC)
        Books(store, "club", at, at.date()).spend(
            key="s", customer_id="ann", points=30, short="owe"
        )
    given(shop, "2026-03-14", member(birth_date="1990-03-14"))
    assert points(shop) == (20, 0, 0)
    with shop.store.read() as store:
        assert store.scalar("select count(*) from tier_move") == 0
    sound(shop)


@BOTH_STORES
def test_points_become_vouchers_at_their_threshold_once(shop: Workspace) -> None:
    club(shop, rewards=[COFFEE])
    sales = [
        line("t", "ann", 7000, sold_at="2026-03-01"),
        line("u", "bob", 2900, sold_at="2026-03-01"),
    ]
    assert night(shop, "2026-03-02", *sales).vouchers_given == 2
    assert night(shop, "2026-03-02", *sales).vouchers_given == 0
    assert (points(shop), points(shop, "bob")) == ((10, 0, 0), (29, 0, 0))
    more = line("v", "ann", 2000, sold_at="2026-03-02")
    assert night(shop, "2026-03-03", *sales, more).vouchers_given == 1
    with shop.store.read() as store:
        rows = store.all(
            "select voucher.customer_id, voucher.valid_until, transfer.amount from voucher "
            "inner join reward_grant on voucher.code = reward_grant.code "
            "inner join transfer on reward_grant.send_key = transfer.idem_key order by 2"
        )
    assert [tuple(row.values()) for row in rows] == [
        ("ann", "2026-03-11", 30), ("ann", "2026-03-11", 30), ("ann", "2026-03-12", 30),
    ]  # fmt: skip
    (told,) = pool.summary(shop.store, at=shop.as_of, day=shop.business_date.replace(day=5))
    assert (told["given"], told["reward"]) == (3, "coffee")
    sound(shop)


def test_points_become_no_voucher_whose_last_day_is_over(shop: Workspace) -> None:
    club(shop, rewards=[{**COFFEE, "voucher": {"valid_until": "2026-03-02"}}])
    sales = [line(f"t-{who}", who, 3000, sold_at="2026-03-01") for who in ("ann", "bob")]
    assert night(shop, "2026-03-02", sales[0]).vouchers_given == 1
    sales[1]["sold_at"] = "2026-03-02"
    assert night(shop, "2026-03-03", *sales).vouchers_given == 0
    assert (points(shop), points(shop, "bob")) == ((0, 0, 0), (30, 0, 0))


def test_a_message_about_points_that_became_a_voucher_tells_its_code(shop: Workspace) -> None:
    club(shop, rewards=[COFFEE])
    night(shop, "2026-03-02", line("t", "ann", 3000, sold_at="2026-03-01"))
    with shop.store.write() as store:
        row = store.one("select send_key, code from reward_grant")
        assert row
        store.run(
            "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
            "values ('ann', 'cleo', 1, ''), ('dan', 'bob', 1, '')"
        )
        for key, customer in (("hers", "ann"), ("his", "bob"), ("hers now", "cleo")):
            store.run(
                "insert into outbox (send_key, customer_id, campaign, campaign_version, step, "
                "occurrence, channel, purpose, template, language, timezone, business_date, "
                "decided_at, send_at, not_after, state, state_at) values (:key, :customer, 'c', '1', "
                "'s', :of, 'email', 'marketing', 't', 'en', 'UTC', '2026-03-02', '', '', '', 'ready', '')",
                key=key, customer=customer, of=row["send_key"],
            )  # fmt: skip
    found = pool.of_messages(shop.store, ["hers", "his", "hers now"], shop.business_date)
    assert {key: one["code"].replace("-", "") for key, one in found.items()} == {
        "hers": row["code"], "hers now": row["code"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gifts": [YEARLY, YEARLY]}, "two gifts have the same name"),
        ({"rewards": [COFFEE, {**COFFEE, "reward": "tea"}]}, "only one reward by themselves"),
        ({"rewards": [{**COFFEE, "limit": 5}]}, "so it can have no 'limit'"),
        ({"pool": "family"}, "Valid: household"),
        ({"worth": {"points": 1, "pays": 1, "expected": "3/2"}}, "3/2 of all points"),
    ],
)
def test_a_programme_that_cannot_be_kept_is_refused(
    shop: Workspace, changes: dict[str, Any], said: str
) -> None:
    club(shop, **changes)
    with pytest.raises(BadInput, match=said):
        load(shop.project)


@pytest.mark.parametrize(("cap", "later"), [({"day": 8}, 8), ({"budget": 8}, 6)])
def test_what_a_return_takes_back_makes_room_under_a_cap_for_later_nights(
    shop: Workspace, cap: dict[str, int], later: int
) -> None:
    """The room of a day comes back for receipts of that day only."""
    club(shop, earn_rules=[{"rule": "purchase", "points": 1, "per": 100, "cap": cap}])
    first = line("t", "ann", 1000, sold_at="2026-03-01T10:00")
    back = line("r", "ann", -800, original_transaction_id="t", sold_at="2026-03-02T10:00")
    night(shop, "2026-03-02", first)
    assert points(shop)[0] == 8
    night(shop, "2026-03-03", first, back)
    assert points(shop)[0] == 2
    next_day = line("u", "ann", 2000, sold_at="2026-03-03T10:00")
    night(shop, "2026-03-04", first, back, next_day)
    assert points(shop)[0] == 2 + later
    late = line("v", "ann", 300, sold_at="2026-03-01T18:00", file_id=2)
    night(shop, "2026-03-05", first, back, next_day, late)
    assert points(shop)[0] == 2 + later + (3 if "day" in cap else 0)
    sound(shop)


def test_a_simulation_gives_every_gift_of_its_span_and_lets_tiers_begin_within_a_month(
    shop: Workspace,
) -> None:
    first, last = date(2025, 1, 10), date(2025, 3, 31)
    days = [first + timedelta(days=n) for n in range(-10, 80)]
    people = [
        member(f"c{day}", birth_date=str(day.replace(year=1981)), joined_at=f"{day} 10:00:00")
        for day in days
    ]
    sales = [
        line("t", "ann", 3000, sold_at="2025-01-11"),
        line("u", "ann", 1000, sold_at="2025-01-30"),
    ]
    levels = [{"tier": "gold", "least": 30, "multiplier": "2"}]
    club(shop, gifts=[YEARLY, WELCOME], tiers={"levels": levels})
    publish(shop, transactions=sales, customers=people)
    found = replay(shop, load(shop.project), first, last)
    within = sum(first <= day <= last for day in days)
    assert found.issued == within * (50 + 20) + 30 + 2 * 10
