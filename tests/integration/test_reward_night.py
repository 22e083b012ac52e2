"""The night: points become spendable, end on their last day, tiers move, and a night that is killed
anywhere ends as one that was not."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tessera import clock
from tessera.reward import cards, ledger, lots, merging, post
from tessera.reward import night as night_module
from tessera.reward.points import Books, Posted, balance
from tessera.reward.posting import STEPS
from tessera.reward.programme import FILE, load
from tessera.store import Connection, bulk
from tessera.testing import line, publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES

CLUB: dict[str, Any] = {
    "programme": "club",
    "currency": "any",
    "earn_rules": [{"rule": "purchase", "points": 1, "per": 100}],
    "returns": "debt",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """SQLite, where a test does not ask for both."""
    asked = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "store_url" in metafunc.fixturenames and "store_url" not in asked:
        metafunc.parametrize("store_url", ["sqlite"], indirect=True)


@pytest.fixture
def shop(tmp_path: Path, store_url: str) -> Iterator[Workspace]:
    ws = workspace(tmp_path / "home", project=tmp_path / "project", store_url=store_url)
    club(ws)
    yield ws
    ws.store.close()


def club(ws: Workspace, **changes: Any) -> None:
    (ws.project / FILE).parent.mkdir(parents=True, exist_ok=True)
    (ws.project / FILE).write_text(yaml.safe_dump(CLUB | changes), encoding="utf-8")


def night(ws: Workspace, day: str, *lines: dict[str, Any], **marts: Any) -> Any:
    """Publish and run the night that ends as `day` begins in the shop's zone."""
    later = replace(ws, as_of=clock.parse_as_of(day, ws.settings.timezone))
    object.__setattr__(later, "store", ws.store)
    publish(later, transactions=lines, **marts)
    return post(later)


def points(ws: Workspace, customer: str = "ann") -> tuple[int, int, int]:
    """Available, pending and owed."""
    with ws.store.read() as store:
        found = balance(store, "club", customer)
    return found.available, found.pending, found.debt


def sound(ws: Workspace) -> None:
    assert ledger.audit(ws.store, load(ws.project)).differences == []


@BOTH_STORES
def test_points_can_be_spent_when_the_window_of_returns_is_over_and_end_a_year_later(
    shop: Workspace,
) -> None:
    club(shop, pending_days=14, expiry={"kind": "rolling", "months": 12})
    sale = line("t", "ann", 1000, sold_at="2026-03-01T10:00")
    back = line("r", "ann", -400, original_transaction_id="t", sold_at="2026-03-05T10:00")
    night(shop, "2026-03-02", sale)
    assert points(shop) == (0, 10, 0)
    night(shop, "2026-03-06", sale, back)
    assert points(shop) == (0, 6, 0)
    assert night(shop, "2026-03-14", sale, back).points_activated == 0
    assert night(shop, "2026-03-15", sale, back).points_activated == 6
    assert points(shop) == (6, 0, 0)
    assert night(shop, "2027-03-15", sale, back).points_expired == 0  # the last day, inclusive
    assert night(shop, "2027-03-16", sale, back).points_expired == 6
    assert points(shop) == (0, 0, 0)
    sound(shop)


def test_only_what_cannot_be_spent_yet_is_taken_back_where_the_programme_says_so(
    shop: Workspace,
) -> None:
    club(shop, pending_days=14, returns="only_pending")
    first = line("t", "ann", 1000, sold_at="2026-03-01")
    second = line("u", "ann", 500, sold_at="2026-03-20")
    back = [
        line("r", "ann", -1000, original_transaction_id="t", sold_at="2026-03-21"),
        line("s", "ann", -500, original_transaction_id="u", sold_at="2026-03-21"),
    ]
    night(shop, "2026-03-21", first, second)
    night(shop, "2026-03-22", first, second, *back)
    assert points(shop) == (10, 0, 0)
    sound(shop)


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "Europe/Athens"])
def test_row_10_points_end_with_the_last_day_of_the_programmes_zone(
    tmp_path: Path, zone: str
) -> None:
    """Over both changes of the clock, whatever the zone of the shop's head office."""
    ws = workspace(tmp_path / "home", project=tmp_path / "project", timezone=zone)
    club(ws, expiry={"kind": "rolling", "days": 1})
    for number, day in enumerate(("2026-03-28", "2026-10-24")):
        sold = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=clock.zone(zone))
        sale = line(f"t{number}", "ann", 500, sold_at=sold.astimezone(UTC).replace(tzinfo=None))
        last = date.fromisoformat(day).replace(day=date.fromisoformat(day).day + 1)
        night(ws, last.isoformat(), sale)
        assert points(ws) == (5, 0, 0)
        night(ws, f"{last}T23:59:59", sale)
        assert points(ws) == (5, 0, 0)
        night(ws, f"{last.replace(day=last.day + 1)}T00:00", sale)
        assert points(ws) == (0, 0, 0)
    ws.store.close()


def test_accounts_are_numbered_by_their_members_names(shop: Workspace) -> None:
    """Whose points end first, and what a night writes at all, is not up to the engine's threads."""
    club(shop)
    names = [f"c{number:03}" for number in range(300)]
    night(shop, "2026-03-02", *(line(f"t-{who}", who, 500) for who in reversed(names)))
    query = "select owner_id from account where owner_type = 'member' order by account_id"
    with shop.store.read() as store:
        assert [row["owner_id"] for row in store.all(query)] == names


def test_what_a_till_spends_while_others_points_end_does_not_end_as_well(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lot at a time; a till comes by after the first."""
    club(shop, expiry={"kind": "rolling", "days": 1})
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    sales = [line(f"t-{who}", who, 500, sold_at="2026-03-01T10:00") for who in ("ann", "bob")]
    night(shop, "2026-03-02", *sales)
    end = night_module._expire

    def end_and_spend(tonight: Any, store: Connection, due: str, **hands: int) -> int:
        ended = end(tonight, store, due, **hands)
        Books(store, "club", at, at.date()).spend(key="till", customer_id="bob", points=3)
        return ended

    monkeypatch.setattr(night_module, "CHUNK", 1)
    monkeypatch.setattr(night_module, "_expire", end_and_spend)
    assert night(shop, "2026-03-05", *sales).points_expired == 5 + 2
    assert (points(shop), points(shop, "bob")) == ((0, 0, 0), (0, 0, 0))
    sound(shop)


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("failing", [0, 1])
def test_points_that_end_by_several_hands_end_once_though_one_of_them_fails(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Each commits by itself: what the other has ended is ended, and the next attempt takes the rest."""
    club(shop, expiry={"kind": "rolling", "days": 1})
    names = [f"c{number}" for number in range(8)]
    sales = [line(f"t-{who}", who, 500, sold_at="2026-03-01T10:00") for who in names]
    night(shop, "2026-03-02", *sales)
    end = night_module._expire

    def end_or_fail(tonight: Any, store: Connection, due: str, **hands: int) -> int:
        ended = end(tonight, store, due, **hands)
        if hands["hand"] == failing:
            raise ConnectionError("the other")
        return ended

    with monkeypatch.context() as patch:
        patch.setattr(night_module, "_expire", end_or_fail)
        with pytest.raises(ConnectionError):
            night(shop, "2026-03-05", *sales)
    left = sum(points(shop, who)[0] for who in names)
    assert left == (20 if failing == 0 else 40)
    sound(shop)
    assert night(shop, "2026-03-05", *sales).points_expired == left
    assert [points(shop, who) for who in names] == [(0, 0, 0)] * 8
    sound(shop)


@BOTH_STORES
def test_what_a_slow_clock_gives_back_to_a_lot_that_has_ended_ends_with_it_again(
    shop: Workspace,
) -> None:
    """The night of the 3rd ended the points; by the till's clock it is still the 2nd."""
    club(shop, expiry={"kind": "rolling", "days": 1})
    sales = [line(f"t-{who}", who, 500, sold_at="2026-03-01T10:00") for who in ("ann", "bob")]
    night(shop, "2026-03-02", *sales)
    slow = datetime(2026, 3, 2, 23, 59, tzinfo=UTC)

    def do(what: str, at: datetime, **asked: Any) -> None:
        with shop.store.write() as store:
            books = Books(store, "club", at, at.date())
            assert isinstance(getattr(books, what)(**asked), Posted), (what, asked)

    for who in ("ann", "bob"):
        do("spend", slow, key=f"s-{who}", customer_id=who, points=5)
    night(shop, "2026-03-02T23:00", *sales)
    for number in range(2):
        for who in ("ann", "bob"):
            do("reverse", slow, of=f"s-{who}", key=f"r-{who}-{number}", points=2)
        assert (points(shop), points(shop, "bob")) == ((2, 0, 0), (2, 0, 0))
        if not number:
            assert night(shop, "2026-03-03", *sales).points_expired == 4
    do("grant", datetime(2026, 3, 3, 1, tzinfo=UTC), key="g", customer_id="bob", points=7)
    do("spend", datetime(2026, 3, 3, 2, tzinfo=UTC), key="s", customer_id="bob", points=7)
    assert points(shop, "bob") == (0, 0, 0)
    assert night(shop, "2026-03-04", *sales).points_expired == 2
    assert points(shop) == (0, 0, 0)
    sound(shop)


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_of_a_lot_from_which_nothing_is_gone_no_earlier_end_is_looked_for(shop: Workspace) -> None:
    """For each of them PostgreSQL walked through all that the night had ended before it."""
    club(shop, expiry={"kind": "rolling", "days": 1})
    night(shop, "2026-03-02", line("t-ann", "ann", 500, sold_at="2026-03-01T10:00"))
    whole = explained(shop, "2026-03-05T00:00:00+00:00")
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    with shop.store.write() as store:
        Books(store, "club", at, at.date()).spend(key="till", customer_id="ann", points=3)
    begun = explained(shop, "2026-03-05T00:00:00+00:00")
    assert ["never executed" in text for text in (whole, begun)] == [True, False]


def explained(ws: Workspace, cutoff: str) -> str:
    """What PostgreSQL did to find out what ends."""
    with ws.store.write() as store:
        query = night_module.SQL["expiring"].format(
            lots=store.listed("lots"), end_key=lots.SQL["end_key"]
        )
        ids = json.dumps([row["lot_id"] for row in store.all("select lot_id from lot")])
        values = {"lots": ids, "cutoff": cutoff, "breakage": 1, "hands": 1, "hand": 0}
        plan = store.all(f"explain (analyze) {query}", **values)
    return "\n".join(str(*row.values()) for row in plan)


@BOTH_STORES
def test_expiry_that_is_turned_on_gives_old_points_a_whole_period(shop: Workspace) -> None:
    sale = line("t", "ann", 500, sold_at="2024-01-01")
    night(shop, "2026-01-01", sale)
    club(shop, expiry={"kind": "rolling", "months": 6})
    assert night(shop, "2026-03-01", sale).points_expired == 0
    assert night(shop, "2026-09-01", sale).points_expired == 0
    assert night(shop, "2026-09-02", sale).points_expired == 5


def test_what_cannot_be_spent_yet_gets_its_period_from_when_it_can(shop: Workspace) -> None:
    """It ended before it could ever be spent where the window of returns is longer."""
    club(shop, pending_days=60)
    sale = line("t", "ann", 500, sold_at="2026-03-01")
    night(shop, "2026-03-02", sale)
    club(shop, pending_days=60, expiry={"kind": "rolling", "days": 30})
    night(shop, "2026-03-03", sale)
    assert night(shop, "2026-04-30", sale).points_activated == 5
    assert night(shop, "2026-05-30", sale).points_expired == 0
    assert night(shop, "2026-05-31", sale).points_expired == 5


@BOTH_STORES
def test_expiry_by_the_day_of_joining_that_is_turned_on_ends_points_on_that_day(
    shop: Workspace,
) -> None:
    """On 29 February where there is one; a year after the first night for whom nobody knows."""
    joined = {"ann": "2024-02-29 10:00", "bob": "2025-07-01 10:00", "cid": None}
    known = [{"customer_id": name, "joined_at": at} for name, at in joined.items()]
    sales = [line(f"t-{name}", name, 500, sold_at="2026-02-01") for name in joined]
    night(shop, "2026-02-02", *sales, customers=known)
    club(shop, expiry={"kind": "anniversary"})
    night(shop, "2027-02-10", *sales, customers=known)
    with shop.store.read() as store:
        query = "select owner_id, expires_on from lot join account using (account_id)"
        ends = {row["owner_id"]: row["expires_on"] for row in store.all(query)}
    assert ends == {"ann": "2028-02-29", "bob": "2028-07-01", "cid": "2028-02-10"}


@BOTH_STORES
def test_whoever_earns_keeps_all_points_where_they_end_by_inactivity(shop: Workspace) -> None:
    club(shop, expiry={"kind": "inactivity", "months": 6})
    old = [line("t", "ann", 500, sold_at="2026-01-10"), line("u", "bob", 700, sold_at="2026-01-10")]
    new = line("v", "ann", 100, sold_at="2026-05-20")
    night(shop, "2026-01-11", *old)
    night(shop, "2026-05-21", *old, new)
    assert night(shop, "2026-07-11", *old, new).points_expired == 7
    assert points(shop) == (6, 0, 0)
    assert night(shop, "2026-11-21", *old, new).points_expired == 6
    sound(shop)


def test_inactivity_counts_from_every_purchase_and_wakes_nothing_that_has_ended(
    shop: Workspace,
) -> None:
    """From one whose points cannot be spent yet too, and where no night came by in between."""
    club(shop, pending_days=14, expiry={"kind": "inactivity", "months": 6})
    old = [line("t", "ann", 500, sold_at="2026-01-10"), line("u", "bob", 700, sold_at="2026-01-10")]
    night(shop, "2026-01-24", *old)
    new = [
        line("v", "ann", 100, sold_at="2026-05-20"),
        line("w", "ann", 100, sold_at="2026-08-20"),
        line("x", "bob", 100, sold_at="2026-08-20"),
    ]
    assert night(shop, "2026-09-15", *old, *new).points_expired == 7
    assert (points(shop), points(shop, "bob")) == ((7, 0, 0), (1, 0, 0))
    sound(shop)


@BOTH_STORES
def test_what_is_told_late_ends_with_the_members_others_where_they_end_by_inactivity(
    shop: Workspace,
) -> None:
    """And so does what a correction adds. What would have ended before the member came again has ended."""
    club(shop, expiry={"kind": "inactivity", "days": 10})
    first = line("t", "ann", 500, sold_at="2026-03-01T10:00")
    last = line("u", "ann", 100, sold_at="2026-03-09T10:00")
    late = [
        line("v", "ann", 200, sold_at="2026-03-03T10:00", file_id=2),
        line("w", "ann", 900, sold_at="2026-02-10T10:00", file_id=2),
        line("x", "bob", 300, sold_at="2026-03-03T10:00", file_id=2),
    ]
    night(shop, "2026-03-02", first)
    night(shop, "2026-03-10", first, last)
    first = {**first, "amount": 900, "file_id": 2}
    night(shop, "2026-03-11", first, last, *late)
    assert {day for day, _ in ends(shop, "ann")} == {"2026-03-19"}
    assert points(shop) == (5 + 1 + 2 + 4, 0, 0)
    assert ends(shop, "bob") == [("2026-03-13", 3)]
    assert night(shop, "2026-03-20", first, last, *late).points_expired == 12 + 3
    sound(shop)


def test_who_spends_while_the_night_is_at_its_last_steps_was_active(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    club(shop, expiry={"kind": "inactivity", "months": 6})
    sale = line("t", "ann", 1000, sold_at="2026-01-10T10:00")
    night(shop, "2026-01-11", sale)
    exchange = STEPS["rewards"]

    def spend_meanwhile(tonight: Any) -> Any:
        with shop.store.write() as store:
            at = datetime(2026, 5, 20, 0, 5, tzinfo=UTC)
            Books(store, "club", at, at.date()).spend(key="s", customer_id="ann", points=3)
        return exchange(tonight)

    monkeypatch.setitem(STEPS, "rewards", spend_meanwhile)
    night(shop, "2026-05-20", sale)
    monkeypatch.undo()
    assert ends(shop, "ann") == [("2026-11-20", 7)]
    assert night(shop, "2026-11-20", sale).points_expired == 0
    assert night(shop, "2026-11-21", sale).points_expired == 7


def test_who_reserves_points_was_active(shop: Workspace) -> None:
    """Also where nothing came of it."""
    club(shop, expiry={"kind": "inactivity", "days": 10})
    sale = line("t", "ann", 500, sold_at="2026-03-01T10:00")
    night(shop, "2026-03-02", sale)
    with shop.store.write() as store:
        at = datetime(2026, 3, 8, 9, tzinfo=UTC)
        books = Books(store, "club", at, at.date())
        books.hold(key="h", customer_id="ann", points=2, expires_at=at)
    night(shop, "2026-03-09", sale)
    assert (points(shop), ends(shop, "ann")) == ((5, 0, 0), [("2026-03-18", 5)])


def test_who_spent_and_was_merged_before_the_night_was_active(shop: Workspace) -> None:
    """The points went over with their old end, and nobody's were prolonged."""
    club(shop, expiry={"kind": "inactivity", "months": 6})
    sale = line("t", "bob", 1000, sold_at="2026-01-10")
    night(shop, "2026-01-11", sale)
    with shop.store.write() as store:
        at = datetime(2026, 5, 20, 9, tzinfo=UTC)
        Books(store, "club", at, at.date()).spend(key="s", customer_id="bob", points=3)
        merge = (
            "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
        )
        store.run(merge + "values ('bob', 'ann', 1, '2026-05-20')")
    sale |= {"customer_id": "ann"}
    night(shop, "2026-05-21", sale)
    assert ends(shop, "ann") == [("2026-11-20", 7)]
    assert night(shop, "2026-11-21", sale).points_expired == 7
    sound(shop)


def test_row_02_a_purchase_returned_after_its_points_were_spent_is_owed_and_repaid(
    shop: Workspace,
) -> None:
    club(shop, pending_days=3)
    sale = line("t", "ann", 1000, sold_at="2026-03-01")
    night(shop, "2026-03-04", sale)
    with shop.store.write() as store:
        books = Books(store, "club", datetime(2026, 3, 4, 9, tzinfo=UTC), date(2026, 3, 4))
        books.spend(key="s", customer_id="ann", points=9)
    back = line("r", "ann", -1000, original_transaction_id="t", sold_at="2026-03-04T12:00")
    more = line("u", "ann", 1200, sold_at="2026-03-04T13:00")
    night(shop, "2026-03-05", sale, back, more)
    assert points(shop) == (0, 12, 9)
    night(shop, "2026-03-08", sale, back, more)
    assert points(shop) == (3, 0, 0)
    sound(shop)


@BOTH_STORES
def test_row_08_a_merge_moves_every_lot_with_its_own_end_and_what_is_owed(shop: Workspace) -> None:
    club(shop, expiry={"kind": "rolling", "months": 12})
    sales = [
        line("t", "ann", 500, sold_at="2026-01-10"),
        line("u", "card", 700, sold_at="2026-02-20"),
        line("v", "card", 300, sold_at="2026-03-01"),
    ]
    night(shop, "2026-03-02", *sales)

    def merge(customer: str, into: str) -> None:
        with shop.store.write() as store:
            at = datetime(2026, 3, 2, 9, tzinfo=UTC)
            merging.move(Books(store, "club", at, at.date()), customer, into)

    merge("card", "ann")
    merge("card", "ann")
    assert ends(shop, "ann") == [("2027-01-10", 5), ("2027-02-20", 7), ("2027-03-01", 3)]
    assert ends(shop, "card") == []
    back = line("r", None, -700, original_transaction_id="u", sold_at="2026-03-02")
    theirs = [{**one, "customer_id": "ann"} for one in sales]
    night(shop, "2026-03-03", *theirs, back)
    assert points(shop) == (8, 0, 0)
    sound(shop)
    merge("ann", "card")
    assert ends(shop, "card") == [("2027-01-10", 5), ("2027-03-01", 3)]
    sound(shop)


@BOTH_STORES
def test_who_has_spent_all_and_is_another_brings_along_what_was_earned(shop: Workspace) -> None:
    """There are no points to move, but a tier to reach, and a return takes from whom they are now."""
    club(shop, tiers={"levels": LEVELS})
    sales = [line("t", "ann", 2000), line("u", "bob", 1500)]
    night(shop, "2026-03-02", *sales)
    with shop.store.write() as store:
        at = datetime(2026, 3, 2, 9, tzinfo=UTC)
        Books(store, "club", at, at.date()).spend(key="s", customer_id="ann", points=20)
        store.run(
            "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
            "values ('ann', 'bob', 1, '2026-03-02T10:00:00+00:00')"
        )
    theirs = [{**one, "customer_id": "bob"} for one in sales]
    night(shop, "2026-03-03", *theirs)
    assert tier(shop, "bob") == [("silver", "reached"), ("gold", "reached")]
    back = line("r", "bob", -500, original_transaction_id="t", sold_at="2026-03-03", file_id=2)
    night(shop, "2026-03-04", *theirs, back)
    assert (points(shop), points(shop, "bob")) == ((0, 0, 0), (10, 0, 0))
    rest = line("s", "bob", -1500, original_transaction_id="t", sold_at="2026-03-04", file_id=3)
    night(shop, "2026-03-05", *theirs, back, rest)
    assert points(shop, "bob") == (0, 0, 5)  # twenty were spent, and fifteen are kept
    sound(shop)


@BOTH_STORES
def test_who_are_two_again_have_their_own_points_and_debts_back(shop: Workspace) -> None:
    club(shop, expiry={"kind": "rolling", "months": 12})
    sales = [
        line("t", "ann", 500, sold_at="2026-01-10"),
        line("u", "bea", 700, sold_at="2026-02-20"),
    ]
    night(shop, "2026-03-02", *sales)
    before = dump(shop)[1:4:2]

    def said(in_force: int) -> None:
        with shop.store.write() as store:
            store.run("delete from person_merge")
            store.run(
                "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
                "values ('bea', 'ann', :in_force, '2026-03-02T09:00:00+00:00')",
                in_force=in_force,
            )

    def have(customer: str) -> tuple[int, int]:
        with shop.store.read() as store:
            found = balance(store, "club", customer)
        return found.available, found.debt

    for day in (3, 5):  # and again: a merge may be thought better of twice
        said(1)
        merged = [{**one, "customer_id": "ann"} for one in sales]
        night(shop, f"2026-03-0{day}", *merged)
        assert (have("ann"), have("bea")) == ((12, 0), (0, 0))
        said(0)
        night(shop, f"2026-03-0{day + 1}", *sales)
        assert (have("ann"), have("bea")) == ((5, 0), (7, 0))
        assert ends(shop, "bea") == [("2027-02-20", 7)]
        sound(shop)
    assert [row for row in dump(shop)[3] if row[0] == "member" and row[3]] == [
        row for row in before[1] if row[0] == "member" and row[3]
    ]
    back = line("r", None, -700, original_transaction_id="u", sold_at="2026-03-06")
    night(shop, "2026-03-07", *sales, back)
    assert (have("ann"), have("bea")) == ((5, 0), (0, 0)), "a return finds whose points it takes"
    sound(shop)


@BOTH_STORES
def test_who_is_another_than_was_said_yesterday_takes_the_points_along(shop: Workspace) -> None:
    """Merged into the wrong one, undone and merged into the right one, all in one day."""
    sales = [line(f"t{n}", n, 500, sold_at="2026-02-10") for n in ("ann", "bea", "cy")]

    def said(into: str) -> list[dict[str, Any]]:
        with shop.store.write() as store:
            store.run(
                "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
                "values ('bea', :into, 1, '2026-03-02T09:00:00+00:00') on conflict (customer_id) "
                "do update set into_customer_id = excluded.into_customer_id",
                into=into,
            )
        return [
            {**one, "customer_id": into} if one["customer_id"] == "bea" else one for one in sales
        ]

    night(shop, "2026-03-02", *sales)
    night(shop, "2026-03-03", *said("ann"))
    assert (points(shop), points(shop, "cy")) == ((10, 0, 0), (5, 0, 0))
    night(shop, "2026-03-04", *said("cy"))
    assert (points(shop), points(shop, "cy")) == ((5, 0, 0), (10, 0, 0))
    night(shop, "2026-03-05", *said("cy"))
    assert (points(shop), points(shop, "cy")) == ((5, 0, 0), (10, 0, 0))
    sound(shop)


def test_a_debt_goes_back_as_far_as_it_is_still_owed(shop: Workspace) -> None:
    """What the one's points paid of it meanwhile is paid."""
    with shop.store.write() as store:
        at = datetime(2026, 3, 2, 9, tzinfo=UTC)
        books = Books(store, "club", at, at.date())
        books.grant(key="g", customer_id="ann", points=4)
        books.spend(key="s", customer_id="bea", points=10, short="owe")
        merging.move(books, "bea", "ann")
        assert books.balance("ann").debt == 6
        merging.part(books, "bea", "ann")
        assert (books.balance("ann").debt, books.balance("bea").debt) == (0, 6)
    sound(shop)


def ends(ws: Workspace, customer: str) -> list[tuple[str, int]]:
    """A member's lots: their last days and what is left of them."""
    with ws.store.read() as store:
        rows = store.all(
            "select expires_on, remaining from lot inner join account using (account_id) "
            "where owner_id = :customer and remaining > 0 order by 1",
            customer=customer,
        )
    return [(row["expires_on"], row["remaining"]) for row in rows]


def tier(ws: Workspace, customer: str = "ann") -> list[tuple[str, str]]:
    with ws.store.read() as store:
        rows = store.all(
            "select tier, reason from tier_move where customer_id = :customer "
            "order by business_date, position",
            customer=customer,
        )
    return [(row["tier"], row["reason"]) for row in rows]


BORN = [
    {"customer_id": f"c{i}", "card_id": f"card{i}", "birth_date": f"1980-03-{10 + i}"}
    for i in range(5)
]
LEVELS = [{"tier": "silver", "least": 10}, {"tier": "gold", "least": 30, "multiplier": "3/2"}]


@pytest.mark.parametrize(
    ("amount", "reached"),
    [(900, []), (999, []), (1000, ["silver"]), (2999, ["silver"]), (3000, ["gold"])],
)
def test_row_25_a_tier_begins_exactly_at_its_limit_on_the_very_first_purchase(
    shop: Workspace, amount: int, reached: list[str]
) -> None:
    club(shop, tiers={"levels": LEVELS})
    night(shop, "2026-03-02", line("t", "ann", amount, sold_at="2026-03-01"))
    assert [name for name, _ in tier(shop)] == reached


def test_a_tier_counts_from_the_first_instant_of_its_window_in_the_programmes_zone(
    shop: Workspace,
) -> None:
    """Also what cannot be spent yet."""
    window = {"levels": LEVELS, "months": 1}
    club(shop, tiers=window, timezone="Pacific/Auckland", pending_days=60)
    sales = [
        line("t", "ann", 3000, sold_at="2026-03-01T11:00:00"),
        line("u", "bob", 3000, sold_at="2026-03-01T10:59:59"),
    ]
    night(shop, "2026-04-02", *sales)
    assert (tier(shop), tier(shop, "bob")) == ([("gold", "reached")], [])


def test_who_has_a_tier_that_the_programme_has_no_more_earns_as_who_has_none(
    shop: Workspace,
) -> None:
    club(shop, tiers={"levels": LEVELS})
    sale = line("t", "ann", 4000, sold_at="2026-03-01")
    night(shop, "2026-03-02", sale)
    levels = [{"tier": "bronze", "least": 10}, {"tier": "platinum", "least": 100}]
    club(shop, tiers={"levels": levels})
    more = line("u", "ann", 1000, sold_at="2026-03-02")
    unnamed = line("r", "ann", -300, sold_at="2026-03-03")
    night(shop, "2026-03-03", sale, more)
    assert points(shop) == (50, 0, 0)
    assert tier(shop) == [("gold", "reached"), ("bronze", "reached")]
    night(shop, "2026-03-04", sale, more, unnamed)
    assert points(shop) == (47, 0, 0)
    sound(shop)


@BOTH_STORES
def test_levels_that_are_others_are_reached_by_who_has_the_points_already(
    shop: Workspace,
) -> None:
    """Of a tier that was renamed, added, or asks for less; nobody has to buy first."""
    club(shop, tiers={"levels": LEVELS})
    sales = [line(f"t-{who}", who, cents) for who, cents in (("ann", 4000), ("bob", 2000))]
    night(shop, "2026-03-02", *sales)
    club(shop, tiers={"levels": [*LEVELS[:1], {"tier": "top", "least": 20}]})
    assert night(shop, "2026-03-03", *sales).tiers_reached == 2
    assert tier(shop) == [("gold", "reached"), ("top", "reached")]
    assert tier(shop, "bob") == [("silver", "reached"), ("top", "reached")]
    for day in ("2026-03-03", "2026-03-02", "2026-03-04"):
        assert night(shop, day, *sales).tiers_reached == 0
    club(shop, tiers={"levels": [{"tier": "other", "least": 900}]})
    assert night(shop, "2027-03-04", *sales).tiers_reviewed == 2
    assert tier(shop)[2:] == [("", "fell")]
    with shop.store.read() as store:
        last = store.all("select distinct until from tier_move where tier = ''")
    assert [row["until"] for row in last] == [None], "to have no tier never ends"


def test_a_longer_window_is_counted_anew_for_everybody(shop: Workspace) -> None:
    club(shop, tiers={"levels": LEVELS, "months": 1})
    sale = line("t", "ann", 1000, sold_at="2026-01-05")
    night(shop, "2026-03-02", sale)
    assert tier(shop) == []
    club(shop, tiers={"levels": LEVELS, "months": 12})
    night(shop, "2026-03-03", sale)
    assert tier(shop) == [("silver", "reached")]


def test_what_came_back_does_not_count_for_a_tier(shop: Workspace) -> None:
    club(shop, tiers={"levels": LEVELS})
    first = line("t", "ann", 900, sold_at="2026-03-01")
    night(shop, "2026-03-02", first)
    back = line("r", "ann", -600, original_transaction_id="t", sold_at="2026-03-02")
    more = [line(name, "ann", 500, sold_at="2026-03-02") for name in "uv"]
    night(shop, "2026-03-03", first, back, more[0])
    assert tier(shop) == []  # nine and five, less six
    night(shop, "2026-03-04", first, back, *({**one, "file_id": 2} for one in more))
    assert tier(shop) == [("silver", "reached")]


@BOTH_STORES
def test_who_is_found_by_day_to_be_another_has_the_tier_of_what_both_earned(
    shop: Workspace,
) -> None:
    club(shop, tiers={"levels": LEVELS})
    sales = [line(f"t-{who}", who, 600, sold_at="2026-03-01") for who in ("ann", "bob")]
    night(shop, "2026-03-02", *sales)
    with shop.store.write() as store:
        at = datetime(2026, 3, 2, 9, tzinfo=UTC)
        merging.move(Books(store, "club", at, at.date()), "bob", "ann")
    night(shop, "2026-03-03", *sales)
    assert (tier(shop), tier(shop, "bob")) == ([("silver", "reached")], [])
    club(shop, tiers={"levels": [{"tier": "low", "least": 5}, *LEVELS]})
    night(shop, "2026-03-04", *sales)
    assert tier(shop, "bob") == [], "who is nobody any more"


def test_a_tier_that_a_day_before_the_last_brings_is_in_force_at_once(shop: Workspace) -> None:
    """What was late may be posted by an earlier day, and that day run again: the member's last move is
    still the last."""
    club(shop, tiers={"levels": LEVELS})
    sales = [line("t", "ann", 1500, sold_at="2026-03-05")]
    for day in (8, 12):
        night(shop, f"2026-03-{day:02}", *sales)
    sales += [line("u", "ann", 2000, sold_at="2026-03-06", file_id=2)]
    for day in (8, 8, 13):
        night(shop, f"2026-03-{day:02}", *sales)
        assert tier(shop) == [("silver", "reached"), ("gold", "reached")]
    club(shop, tiers={"levels": LEVELS[:1]})
    night(shop, "2026-03-14", *sales)
    club(shop, tiers={"levels": LEVELS})
    night(shop, "2026-03-10", *sales)
    with shop.store.read() as store:
        moves = store.all("select * from tier_move order by business_date, position")
    assert [row["previous_tier"] for row in moves] == ["", *(row["tier"] for row in moves[:-1])]


def test_a_day_before_the_last_counts_all_that_was_earned_by_the_last(shop: Workspace) -> None:
    """What came late makes a level together with what came after it."""
    club(shop, tiers={"levels": LEVELS})
    sales = [line("t", "ann", 2500, sold_at="2026-03-11")]
    night(shop, "2026-03-12", *sales)
    night(shop, "2026-03-08", *sales, line("u", "ann", 700, sold_at="2026-03-06", file_id=2))
    assert tier(shop) == [("silver", "reached"), ("gold", "reached")]


@BOTH_STORES
def test_who_earned_in_a_night_that_was_killed_rises_whatever_night_comes_between(
    shop: Workspace,
) -> None:
    """Nights of two machines on one store, too, may come between one another's steps."""
    club(shop, tiers={"levels": LEVELS})
    sales = [
        line("t", "ann", 1500, sold_at="2026-03-06"),
        line("o", "bob", 100, sold_at="2026-03-06"),
    ]
    night(shop, "2026-03-08", *sales)
    sales.append(line("u", "ann", 2000, sold_at="2026-03-11", file_id=2))
    later = replace(shop, as_of=clock.parse_as_of("2026-03-12", "UTC"))
    object.__setattr__(later, "store", shop.store)
    publish(later, transactions=sales)
    tonight = night_module.Night(later, load(shop.project))
    assert STEPS["earn"](tonight)["points_earned"] == 20
    another = night_module.Night(
        replace(later, as_of=clock.parse_as_of("2026-03-10", "UTC")), load(shop.project)
    )
    object.__setattr__(another.ws, "store", shop.store)
    STEPS["tie out"](another)
    assert STEPS["tiers rising"](tonight)["tiers_reached"] == 1
    assert tier(shop) == [("silver", "reached"), ("gold", "reached")]


@BOTH_STORES
def test_a_members_number_that_is_somebodys_card_too_moves_nothing(shop: Workspace) -> None:
    """Shops count both from 1."""
    club(shop)
    owners = [{"card_id": "1", "customer_id": "2"}, {"card_id": "2", "customer_id": "1"}]
    known = [{"customer_id": "1"}, {"customer_id": "2"}]
    sales = [line("t", "1", 1000, card_id="2"), line("u", "2", 2000, card_id="1")]
    for day in ("2026-03-02", "2026-03-03", "2026-03-04"):
        assert night(shop, day, *sales, customers=known, card_owners=owners).points_merged == 0
    assert (points(shop, "1"), points(shop, "2")) == ((10, 0, 0), (20, 0, 0))
    late = [{"card_id": "9", "customer_id": "1"}, *owners]
    night(shop, "2026-03-05", *sales, line("w", "9", 300, file_id=2), customers=known)
    night(
        shop,
        "2026-03-06",
        *sales,
        line("w", "1", 300, file_id=2),
        customers=known,
        card_owners=late,
    )
    assert points(shop, "1") == (13, 0, 0), "of a card that was registered late"


@pytest.mark.parametrize(
    ("customers", "owners"),
    [
        ([{"customer_id": "1"}, {"customer_id": "2"}], [("1", "2")]),
        ([], [("1", "2"), ("2", "1")]),
    ],
)
def test_a_number_is_a_members_if_either_customers_or_cards_say_so(
    shop: Workspace, customers: list[dict[str, Any]], owners: list[tuple[str, str]]
) -> None:
    cards_ = [{"card_id": card, "customer_id": owner} for card, owner in owners]
    sale = line("t", "1", 1000)
    for day in ("2026-03-02", "2026-03-03"):
        night(shop, day, sale, customers=customers, card_owners=cards_)
    assert (points(shop, "1"), points(shop, "2")) == ((10, 0, 0), (0, 0, 0))


def test_what_comes_late_under_a_number_goes_where_that_has_gone_by_now(shop: Workspace) -> None:
    """From the first number to the last at once, and also while it cannot be spent yet."""
    club(shop, pending_days=14)
    first = line("t", "ann", 500, sold_at="2026-03-01")
    night(shop, "2026-03-02", first)
    for who, into in (("ann", "bob"), ("bob", "cy")):
        with shop.store.write() as store:
            at = datetime(2026, 3, 2, 9, tzinfo=UTC)
            merging.move(Books(store, "club", at, at.date()), who, into)
    late = line("u", "ann", 300, sold_at="2026-03-02", file_id=2)
    night(shop, "2026-03-03", first, late)
    night(shop, "2026-03-04", first, late)
    assert [points(shop, name) for name in ("ann", "bob", "cy")] == [
        (0, 0, 0),
        (0, 0, 0),
        (0, 8, 0),
    ]
    sound(shop)


@BOTH_STORES
def test_points_follow_a_card_that_turns_out_to_be_somebody_elses(shop: Workspace) -> None:
    """No receipt is told again: the shop corrects its list of cards, twice, and the first time the card
    was nobody's. Returns follow too, and what ann bought with another card stays hers."""
    club(shop, expiry={"kind": "rolling", "months": 12})

    def own(owner: str, day: str) -> None:
        mine = {"card_id": "C1", "sold_at": "2026-03-01T10:00"}
        lines = [
            line("t", owner, 1000, **mine),
            line("r", owner, -300, original_transaction_id="t", **mine),
            line("s", owner, -200, **mine),
            line("u", "ann", 500, card_id="C2", sold_at="2026-03-01"),
        ]
        cards_ = [{"card_id": "C2", "customer_id": "ann", "is_last": True}]
        if owner != "C1":
            cards_.append({"card_id": "C1", "customer_id": owner, "is_last": True})
        people = [{"customer_id": "ann", "card_id": "C2"}, {"customer_id": owner, "card_id": "C1"}]
        night(shop, day, *lines, customers=people, card_owners=cards_)
        cards.refresh(replace(shop, as_of=clock.parse_as_of(day, "UTC")))

    own("C1", "2026-03-02")
    assert points(shop, "C1") == (5, 0, 0)
    own("ann", "2026-03-03")
    assert points(shop) == (10, 0, 0)
    own("bob", "2026-03-04")
    assert (points(shop), points(shop, "bob")) == ((5, 0, 0), (5, 0, 0))
    own("ann", "2026-03-05")
    own("cy", "2026-03-06")
    assert (points(shop), points(shop, "bob"), points(shop, "cy")) == (
        (5, 0, 0),
        (0, 0, 0),
        (5, 0, 0),
    )
    with shop.store.read() as store:
        ends = store.scalar("select distinct expires_on from lot where remaining > 0")
    assert ends == "2027-03-01"
    sound(shop)


def test_what_was_earned_while_two_were_one_goes_with_the_card_when_they_are_two_again(
    shop: Workspace,
) -> None:
    club(shop)

    def own(owner: str, day: str, *lines: dict[str, Any]) -> None:
        card = {"card_id": "C1", "customer_id": owner, "is_last": True}
        night(shop, day, *lines, customers=[{"customer_id": owner}], card_owners=[card])
        cards.refresh(replace(shop, as_of=clock.parse_as_of(day, "UTC")))

    def sale(owner: str, number: int) -> dict[str, Any]:
        sold = {"sold_at": f"2026-03-0{number}T10:00", "file_id": number, "card_id": "C1"}
        return line(f"t{number}", owner, 1000, **sold)

    own("bob", "2026-03-02", sale("bob", 1))
    with shop.store.write() as store:
        store.run("insert into person_merge values ('bob', 'ann', 1, '2026-03-02')")
    own("ann", "2026-03-03", sale("ann", 1), sale("ann", 2))
    assert (points(shop), points(shop, "bob")) == ((20, 0, 0), (0, 0, 0))
    with shop.store.write() as store:
        store.run("update person_merge set is_in_force = 0")
    own("bob", "2026-03-04", sale("bob", 1), sale("bob", 2))
    assert (points(shop), points(shop, "bob")) == ((0, 0, 0), (20, 0, 0))
    sound(shop)


def test_points_of_a_return_that_was_told_too_large_come_back_with_their_own_end(
    shop: Workspace,
) -> None:
    club(shop, expiry={"kind": "rolling", "months": 12})
    sale = line("t", "ann", 1000, sold_at="2026-03-01T10:00")
    back = {"original_transaction_id": "t", "sold_at": "2026-06-01T10:00"}
    night(shop, "2026-06-02", sale, line("r", "ann", -900, **back))
    night(shop, "2026-06-03", sale, line("r", "ann", -200, file_id=2, **back))
    with shop.store.read() as store:
        left = store.all("select expires_on, sum(remaining) as left from lot group by expires_on")
    assert [dict(row) for row in left] == [{"expires_on": "2027-03-01", "left": 8}]
    sound(shop)


def spend(ws: Workspace, points: int, day: str, customer: str = "ann") -> None:
    at = clock.parse_as_of(day, "UTC")
    with ws.store.write() as store:
        done = Books(store, "club", at, at.date()).spend(
            key=f"s:{customer}:{day}", customer_id=customer, points=points
        )
    assert isinstance(done, Posted)


@BOTH_STORES
def test_points_that_had_ended_cost_nobody_anything_when_the_goods_come_back(
    shop: Workspace,
) -> None:
    """Of ten points four were spent and six ended. What comes back takes those that ended, then owes those
    that were spent; a return that turns out smaller gives none that could be spent."""
    club(shop, expiry={"kind": "rolling", "days": 10})
    sale = line("t", "ann", 1000, sold_at="2026-03-01T10:00")
    other = line("u", "ann", 300, sold_at="2026-03-19T10:00")
    back = [
        line(f"r{n}", "ann", -amount, original_transaction_id="t", sold_at=f"2026-03-2{n}T10:00")
        for n, amount in enumerate((500, 100, 300, 100))
    ]
    night(shop, "2026-03-02", sale)
    spend(shop, 4, "2026-03-05")
    assert night(shop, "2026-03-12", sale).points_expired == 6
    night(shop, "2026-03-20", sale, other)
    for n, left in enumerate([(3, 0, 0), (3, 0, 0), (0, 0, 0), (0, 0, 1)], 1):
        night(shop, f"2026-03-2{n}", sale, other, *back[:n])
        assert points(shop) == left
        sound(shop)
    first = {**back[0], "amount": -200, "file_id": 2}
    night(shop, "2026-03-25", sale, other, first, *back[1:])
    assert points(shop) == (0, 0, 0)
    sound(shop)
    with shop.store.read() as store:
        ended = store.all(
            "select idem_key, amount from transfer where kind in ('expire', 'revive') order by transfer_id"
        )
    told = ledger.history(shop.store, "club", "earn:t:-:purchase")
    assert [(row["kind"], row["points"]) for row in told] == [
        ("earn", 10), ("redeem", -4), ("expire", -6), ("revive", 0), ("revive", 0),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in map(dict, ended)] == [
        ("expire:earn:t:-:purchase:2026-03-11", 6),
        ("revive:earn:t:-:purchase:0", 5),
        ("revive:earn:t:-:purchase:1", 1),
        ("expire:adjust:t:(returns):purchase:2:7:2026-03-11", 2),
    ]


@BOTH_STORES
@pytest.mark.parametrize("returns", ["debt", "within_balance"])
def test_points_that_had_ended_leave_the_others_alone_whoever_has_the_receipt_by_then(
    shop: Workspace, returns: str
) -> None:
    """Goods come back of a member who was found to be another, a receipt is found to be somebody else's, and
    one is told anew, smaller and on another day: all after the points had ended."""
    club(shop, expiry={"kind": "rolling", "days": 10}, returns=returns)
    day = {"sold_at": "2026-03-01T10:00"}
    sales = [line(f"t{n}", who, 1000, **day) for n, who in enumerate(("ann", "bob", "cy"))]
    others = [line(f"u{who}", who, 400, sold_at="2026-03-18T10:00") for who in ("ann", "bob", "cy")]
    night(shop, "2026-03-02", *sales)
    night(shop, "2026-03-19", *sales, *others)
    with shop.store.write() as store:
        store.run("insert into person_merge values ('ann', 'dee', 1, '2026-03-19')")
    mine = [line("t0", "dee", 1000, **day), line("uann", "dee", 400, sold_at=others[0]["sold_at"])]
    again = [
        line("t1", "cy", 1000, file_id=2, **day),
        line("t2", "cy", 300, file_id=2, sold_at="2026-03-02T10:00"),
        line("r", None, -900, original_transaction_id="t0", sold_at="2026-03-19T10:00"),
    ]
    night(shop, "2026-03-20", *mine, *others[1:], *again)
    for who in ("dee", "bob", "cy"):
        assert points(shop, who) == (4, 0, 0)
    sound(shop)


def test_a_return_that_names_no_receipt_owes_nothing_that_had_ended(shop: Workspace) -> None:
    club(shop, expiry={"kind": "rolling", "days": 10})
    sale = line("t", "ann", 1000, sold_at="2026-03-01T10:00")
    back = line("r", "ann", -900, sold_at="2026-03-19T10:00")
    night(shop, "2026-03-02", sale)
    spend(shop, 3, "2026-03-05")
    night(shop, "2026-03-12", sale)
    night(shop, "2026-03-20", sale, back)
    assert points(shop) == (0, 0, 3)
    sound(shop)


def test_a_return_through_a_till_whose_clock_is_behind_takes_what_its_receipt_gave(
    shop: Workspace,
) -> None:
    club(shop)
    sale = line("t", "ann", 1000, sold_at="2026-03-01T12:00")
    back = line("r", "ann", -900, original_transaction_id="t", sold_at="2026-03-01T11:00")
    night(shop, "2026-03-02", sale, back)
    assert points(shop) == (1, 0, 0)
    sound(shop)


@pytest.mark.parametrize("days", [["2026-03-02", "2026-03-03"], ["2026-03-03"]])
def test_a_return_that_names_no_receipt_owes_points_that_cannot_be_spent_yet(
    shop: Workspace, days: list[str]
) -> None:
    club(shop, pending_days=4)
    sale = line("t", "ann", 1000, sold_at="2026-03-01T10:00")
    back = line("r", "ann", -9900, sold_at="2026-03-02T10:00")
    for day in days:
        night(shop, day, sale, back)
    assert points(shop) == (0, 10, 10)
    night(shop, "2026-03-06", sale, back)
    assert points(shop) == (0, 0, 0)
    sound(shop)


def test_what_was_earned_this_morning_counts_at_noon(shop: Workspace) -> None:
    club(shop, tiers={"levels": LEVELS})
    night(shop, "2026-03-02T12:00", line("t", "ann", 1000, sold_at="2026-03-02T09:00"))
    assert tier(shop) == [("silver", "reached")]


@pytest.mark.parametrize(
    ("downgrade", "story"),
    [
        ("to_measure", [("gold", "reached"), ("", "fell")]),
        ("one_down", [("gold", "reached"), ("silver", "fell")]),
        ("never", [("gold", "reached"), ("gold", "kept")]),
    ],
)
def test_a_tier_falls_after_its_time_and_grace_as_the_programme_says(
    shop: Workspace, downgrade: str, story: list[tuple[str, str]]
) -> None:
    club(shop, tiers={"levels": LEVELS, "downgrade": downgrade, "grace_days": 10})
    sale = line("t", "ann", 3000, sold_at="2026-03-01")
    night(shop, "2026-03-02", sale)
    more = line("u", "ann", 100, sold_at="2026-03-02")
    night(shop, "2026-03-03", sale, more, line("w", "ann", 400, sold_at="2026-03-02"))
    assert points(shop) == (30 + 1 + 6, 0, 0)  # three halves, each receipt rounded down
    night(shop, "2027-03-12", sale, more)
    assert tier(shop) == story[:1]
    night(shop, "2027-03-13", sale, more)
    assert tier(shop) == story
    night(shop, "2027-03-13", sale, more)
    assert tier(shop) == story


# Killed anywhere


def world(ws: Workspace) -> list[dict[str, Any]]:
    """A first night, and all there is to do in a second."""
    club(
        ws,
        pending_days=3,
        expiry={"kind": "rolling", "days": 18},
        tiers={"levels": LEVELS, "keep_months": 0, "grace_days": 3},
        gifts=[{"gift": "birthday", "points": 7, "to_mark": "birthday"}],
        rewards=[{"reward": "coffee", "at_points": 60}],
    )
    lines = [line(f"t{i}", f"c{i % 5}", 700 * i, sold_at="2026-02-20") for i in range(1, 10)]
    lines += [line(f"u{i}", f"c{i % 5}", 300 * i, sold_at="2026-03-09") for i in range(1, 10)]
    night(ws, "2026-03-10", *lines, customers=BORN)
    with ws.store.write() as store:
        at = datetime(2026, 3, 10, 9, tzinfo=UTC)
        books = Books(store, "club", at, at.date())
        books.hold(key="h", customer_id="c1", points=5, expires_at=at)
        books.spend(key="s", customer_id="c2", points=40)
        merge = {"customer_id": "c4", "into": "c3", "at": at.isoformat()}
        store.run(
            "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
            "values (:customer_id, :into, 1, :at)",
            **merge,
        )
    mine = [{**one, "customer_id": "c3"} if one["customer_id"] == "c4" else one for one in lines]
    late = [line(f"v{i}", f"c{i % 4}", 900 * i, sold_at="2026-03-13") for i in range(1, 8)]
    returns = [
        line(f"r{i}", None, -500 * i, original_transaction_id=f"t{i}", sold_at="2026-03-13")
        for i in (2, 7, 9)
    ]
    return [*mine, *late, *returns]


TABLES = (
    """select t.idem_key, t.kind, d.owner_id, d.bucket, c.owner_id, c.bucket, t.amount, t.source_id,
        t.rule, t.rule_version, t.effective_at, t.business_date, t.reverses, t.activates_at,
        t.expires_at, t.expires_on, t.basis
        from transfer t join account d on t.debit_id = d.account_id
        join account c on t.credit_id = c.account_id order by 1""",
    """select t.idem_key, a.owner_id, a.bucket, l.amount, l.remaining, l.earned_at, l.activates_at,
        l.expires_at, l.expires_on, l.redated_on from lot l join transfer t on l.lot_id = t.transfer_id
        join account a on l.account_id = a.account_id order by 1""",
    """select t.idem_key, g.idem_key, m.delta from lot_move m
        join transfer t on m.transfer_id = t.transfer_id
        join transfer g on m.lot_id = g.transfer_id order by 1, 2""",
    "select owner_type, owner_id, bucket, balance from account order by 1, 2, 3",
    "select customer_id, business_date, position, tier, reason, qualifying, until "
    "from tier_move order by 1, 2, 3",
    "select customer_id, into_customer_id from points_merge order by 1",
    "select business_date, expected, actual from balance_assertion order by 1",
    "select as_of, asserted from reward_cursor",
    "select send_key, customer_id, voucher.reward, valid_until from reward_grant "
    "inner join voucher on reward_grant.code = voucher.code order by 1",
    "select business_date, step from reward_night",
)


def dump(ws: Workspace) -> list[list[tuple[Any, ...]]]:
    with ws.store.read() as store:
        return [sorted(map(tuple, store.sql.exec_driver_sql(q)), key=str) for q in TABLES]


def _doomed(home: str, project: str, url: str, day: str, at_statement: int) -> None:
    """Run the night and die at the n-th statement that writes, or at the commit after it."""
    done: list[int] = []

    def dying(original: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            done.append(1)
            if len(done) == at_statement:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return run

    for name in ("run", "insert_new", "insert"):
        setattr(Connection, name, dying(getattr(Connection, name)))
    post(workspace(Path(home), day, project=Path(project), store_url=url))


def killed(ws: Workspace, day: str, at_statement: int) -> bool:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.integration.test_reward_night"])
    where = (str(ws.home.root), str(ws.project), ws.settings.store_url, day, at_statement)
    process = context.Process(target=_doomed, args=where)
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def undisturbed(folder: Path) -> tuple[Workspace, list[dict[str, Any]]]:
    ws = workspace(folder / "quiet", project=folder / "project")
    lines = world(ws)
    night(ws, "2026-03-14", *lines, customers=BORN)
    sound(ws)
    return ws, lines


@BOTH_STORES
def test_a_night_killed_again_and_again_ends_as_one_that_was_not(
    store_url: str, tmp_path: Path
) -> None:
    quiet, _ = undisturbed(tmp_path)
    ws = workspace(tmp_path / "home", project=tmp_path / "project", store_url=store_url)
    publish(
        replace(ws, as_of=clock.parse_as_of("2026-03-14", "UTC")),
        transactions=world(ws),
        customers=BORN,
    )
    for at_statement in (3, 6, 9, 14, 11, 8):
        if not killed(ws, "2026-03-14", at_statement):
            break
    night(ws, "2026-03-14", *world_lines(ws), customers=BORN)
    assert dump(ws) == dump(quiet)
    ws.store.close()
    quiet.store.close()


@BOTH_STORES
def test_a_night_in_bulk_ends_as_any_other_and_leaves_the_tables_as_they_were(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet, _ = undisturbed(tmp_path)
    ws = workspace(tmp_path / "home", project=tmp_path / "project", store_url=store_url)
    before = tables(ws)
    monkeypatch.setattr(bulk, "is_worth_it", lambda new, there: True)
    night(ws, "2026-03-14", *world(ws), customers=BORN)
    assert dump(ws) == dump(quiet)
    assert tables(ws) == before
    sound(ws)
    ws.store.close()
    quiet.store.close()


def tables(ws: Workspace) -> list[str]:
    """Keys, indexes and constraints of the ledger, as the database tells them."""
    catalog = {
        "sqlite": "select sql from sqlite_master where sql is not null",
        "postgresql": "select pg_get_indexdef(indexrelid) as sql from pg_index "
        "union all select conrelid::regclass || conname || pg_get_constraintdef(oid) from pg_constraint",
    }
    with ws.store.read() as store:
        return sorted(row["sql"].lower() for row in store.all(catalog[store.dialect]))


def world_lines(ws: Workspace) -> list[dict[str, Any]]:
    from tessera.warehouse import marts

    with marts.connect(ws.home) as duck:
        rows: list[dict[str, Any]] = (
            duck.execute("select * from transactions").arrow().read_all().to_pylist()
        )
    return rows


@pytest.mark.proof
def test_a_night_killed_at_each_statement_ends_as_one_that_was_not(tmp_path: Path) -> None:
    quiet, _ = undisturbed(tmp_path)
    first = workspace(tmp_path / "first", project=tmp_path / "project")
    lines = world(first)
    publish(
        replace(first, as_of=clock.parse_as_of("2026-03-14", "UTC")),
        transactions=lines,
        customers=BORN,
    )
    first.store.close()
    at_statement = 0
    while True:
        at_statement += 1
        home = tmp_path / "again"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(first.home.root, home)
        ws = workspace(home, project=first.project, store_url=f"sqlite:///{home}/store.sqlite")
        if not killed(ws, "2026-03-14", at_statement):
            break
        night(ws, "2026-03-14", *lines, customers=BORN)
        assert dump(ws) == dump(quiet), at_statement
        ws.store.close()
    assert at_statement > 40
