"""The till API, on a real port and both stores: what a till may do, and what nobody may."""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from tessera.hear import export
from tessera.land.erased import Keyring
from tessera.reward import cards, keys, once
from tessera.reward.ledger import audit
from tessera.reward.points import Books
from tessera.reward.programme import load
from tessera.reward.refusal import Refusal
from tessera.reward.terms import Terms, day_after
from tessera.reward.till import Spend, Till
from tessera.testing import publish
from tessera.vouchers import codes
from tessera.vouchers.pool import withdraw
from tessera.vouchers.spending import Basket
from tessera.vouchers.terms import Line
from tessera.web.till_messages import SpendQuestion
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.deciding import insert
from tests.serving import served
from tests.tilling import (
    Counter,
    amend,
    balance,
    basket,
    give,
    kind,
    later,
    member,
    rows,
    shop,
    voucher,
)

SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Iterator[Workspace]:
    found = shop(tmp_path, store_url)
    yield found
    found.store.close()


@pytest.fixture
def now(ws: Workspace) -> list[datetime]:
    """The service's clock, to be moved."""
    return [ws.as_of]


@pytest.fixture
def till(ws: Workspace, now: list[datetime]) -> Iterator[Counter]:
    with served(ws, lambda: now[0]) as client:
        yield Counter(ws, client)


# ---------- what a till sees


def pooling(tmp_path: Path, store_url: str, *, households: Sequence[str | None]) -> Workspace:
    """A shop whose households spend together, with a member for each of `households`."""
    ws = shop(tmp_path, store_url, members=len(households))
    amend(ws, "pool: household\n")
    publish(ws, customers=[member(n, household_id=its) for n, its in enumerate(households)])
    cards.refresh(ws)
    return ws


@SQLITE
def test_a_card_tells_a_first_name_a_level_and_points_and_no_more(
    ws: Workspace, till: Counter
) -> None:
    give(ws, "c1", 250)
    answer = till.post("/cards/lookup", {"card": "K1"}).json()
    assert set(answer) == {"card", "given_name", "level", "points", "referral_code"}
    assert (answer["given_name"], answer["level"]) == ("Name1", "gold")
    assert answer["points"] == {
        "available": 250, "pending": 0, "held": 0, "debt": 0, "household": 0,
    }  # fmt: skip
    assert codes.is_good(codes.tidy(answer["referral_code"]))
    assert kind(till.post("/cards/lookup", {"card": "K99"})) == "unknown-card"


@BOTH_STORES
def test_a_household_spends_together_and_a_refusal_moves_nothing(
    tmp_path: Path, store_url: str
) -> None:
    ws = pooling(tmp_path, store_url, households=["h", "h", None])
    for customer_id, points in (("c0", 100), ("c1", 250), ("c2", 900)):
        give(ws, customer_id, points)
    with served(ws) as client:
        till = Counter(ws, client)
        told = till.post("/cards/lookup", {"card": "K0"}).json()["points"]
        quote = till.post("/quotes", {"basket": basket(1000), "card": "K0"}).json()
        refused = till.reserve(card="K0", points=351, basket=basket(1000))
        assert (balance(ws, "c0")["available"], balance(ws, "c1")["available"]) == (100, 250)
        held = till.reserve(card="K0", points=300, basket=basket(1000)).json()
        assert (balance(ws, "c0")["held"], balance(ws, "c1")["available"]) == (300, 50)
        till.settle(held["redemption"], "void")
    assert (told["available"], told["household"], quote["points_usable"]) == (100, 250, 350)
    assert kind(refused) == "not-enough-points"
    assert (balance(ws, "c0")["available"], balance(ws, "c1")["available"]) == (300, 50)
    ws.store.close()


@BOTH_STORES
def test_a_member_redeems_no_oftener_in_a_day_than_the_programme_allows(
    tmp_path: Path, store_url: str
) -> None:
    ws = shop(tmp_path, store_url)
    amend(ws, "redemptions_a_day: 3\n")
    for customer_id in ("c0", "c1"):
        give(ws, customer_id, 100)
    wish = {"basket": basket(1000), "points": 1}
    with served(ws) as client, ThreadPoolExecutor(6) as six:
        till = Counter(ws, client)
        told = list(six.map(lambda _: till.reserve(card="K0", **wish), range(6)))
        held = [answer.json()["redemption"] for answer in told if answer.is_success]
        assert [kind(answer) for answer in told if answer.is_error] == ["daily-limit"] * 3
        assert (
            kind(till.take(card="K0", vouchers=[voucher(ws)], basket=basket(1000))) == "daily-limit"
        )
        assert till.take(card="K1", **wish).is_success  # somebody else
        assert till.take(vouchers=[voucher(ws)], basket=basket(1000)).is_success  # nobody
        till.settle(held[0], "void")
        assert till.take(card="K0", **wish).is_success
        assert kind(till.take(card="K0", **wish)) == "daily-limit"
        give(ws, "c2", 100)
        assert [till.take(card="K2", **wish).is_success for _ in range(2)] == [True, True]
        merged = {"customer_id": "c1", "into_customer_id": "c2"}  # who has redeemed once, above
        insert(ws, "points_merge", programme="club", **merged, merged_at="2026-03-31T11:00:00")
        assert kind(till.take(card="K2", **wish)) == "daily-limit"
    with served(later(ws, "2026-04-01T00:00+00:00")) as client:
        assert Counter(ws, client).take(card="K0", **wish).is_success
    ws.store.close()


@SQLITE
def test_what_no_longer_holds_leaves_room_in_the_day_and_what_was_taken_offline_fills_it(
    tmp_path: Path, store_url: str
) -> None:
    ws = shop(tmp_path, store_url, timezone="America/New_York")
    amend(ws, "redemptions_a_day: 1\n")
    give(ws, "c0", 100)
    give(ws, "c1", 100)
    now = [ws.as_of]
    with served(ws, lambda: now[0]) as client:
        till = Counter(ws, client)
        assert till.reserve(card="K0", points=1, hold_seconds=5).is_success
        assert kind(till.take(card="K0", points=1)) == "daily-limit"
        now[0] += timedelta(seconds=5)
        assert till.take(card="K0", points=1).is_success
        late = [spent(f"a{n}", "2026-03-31T10:00:00Z", card="K0", points=1) for n in range(2)]
        assert [one["status"] for one in till.batch(*late)] == ["done"] * 2
        yesterday = spent("b", "2026-03-31T03:59:59Z", card="K1", points=1)  # by the shop's clock
        till.batch(yesterday)
        assert till.take(card="K1", points=1).is_success
        assert kind(till.take(card="K1", points=1)) == "daily-limit"
    ws.store.close()


@BOTH_STORES
def test_a_till_shows_and_quotes_what_it_takes_though_no_night_came_by(
    ws: Workspace, till: Counter, now: list[datetime]
) -> None:
    with ws.store.write() as store:
        books = Books(store, "club", ws.as_of - timedelta(days=9), ws.business_date)
        for key, points, ends in (("old", 70, "2026-03-30"), ("new", 50, "2026-04-30")):
            terms = Terms(None, day_after(date.fromisoformat(ends), "UTC"), ends)
            books.grant(key=key, customer_id="c1", points=points, terms=terms)
    assert till.reserve(card="K1", points=30, hold_seconds=5).status_code == 200
    assert _seen(till) == (20, 30, 20)
    now[0] += timedelta(seconds=5)
    assert _seen(till) == (50, 0, 50)
    assert kind(till.take(card="K1", points=51)) == "not-enough-points"
    assert till.take(card="K1", points=50).status_code == 200
    assert _seen(till) == (0, 0, 0)


def _seen(till: Counter) -> tuple[int, int, int]:
    """What a lookup says may be spent and is held, and what a quote says may be used."""
    told = till.post("/cards/lookup", {"card": "K1"}).json()["points"]
    quote = till.post("/quotes", {"basket": basket(1000), "card": "K1"}).json()
    return told["available"], told["held"], quote["points_usable"]


@BOTH_STORES
def test_a_reservation_past_its_time_pays_before_the_household_does(
    tmp_path: Path, store_url: str
) -> None:
    ws = pooling(tmp_path, store_url, households=["h"] * 2)
    give(ws, "c0", 40)
    give(ws, "c1", 90)
    now = [ws.as_of]
    with served(ws, lambda: now[0]) as client:
        till = Counter(ws, client)
        assert till.reserve(card="K0", points=40, hold_seconds=5).status_code == 200
        now[0] += timedelta(seconds=5)
        assert till.take(card="K0", points=45).status_code == 200
    assert balance(ws, "c0") == {"available": 0, "pending": 0, "held": 0, "debt": 0}
    assert balance(ws, "c1")["available"] == 85
    ws.store.close()


@SQLITE
def test_the_level_is_the_programmes_own_where_it_has_tiers(tmp_path: Path, store_url: str) -> None:
    ws = shop(tmp_path, store_url)
    amend(ws, "tiers: {levels: [{tier: silver, least: 300}]}\n")
    move = (
        "insert into tier_move (programme, customer_id, business_date, position, tier, reason, "
        "qualifying) values ('club', :who, '2026-03-30', 1, :tier, 'reached', 300)"
    )
    with ws.store.write() as store:
        store.run(move, who="c0", tier="silver")
        store.run(move, who="c2", tier="bronze")  # which the programme names no more
    with served(ws) as client:
        till = Counter(ws, client)
        told = [till.post("/cards/lookup", {"card": f"K{n}"}).json()["level"] for n in range(3)]
        quote = till.post("/quotes", {"basket": basket(250)}).json()
    assert told == ["silver", None, None]
    assert quote["points_earned"] == 2  # no tier multiplies, so a till can know
    ws.store.close()


RULES = """
tiers: {levels: [{tier: silver, least: 300, multiplier: 3/2}]}
earn_rules:
  - {rule: purchase, points: 1, per: 100}
  - {rule: tea, points: 10, per: 1, basis: item, only: {categories: [tea]}}
  - {rule: welcome, points: 50, per: 1, basis: order, only: {first_purchase: true, stores: [S1]}}
"""


@SQLITE
def test_a_quote_tells_what_will_be_earned_or_nothing_where_only_the_night_knows(
    tmp_path: Path, store_url: str
) -> None:
    ws = shop(tmp_path, store_url)
    amend(ws, RULES, instead_of="\nearn_rules: [{rule: purchase, points: 1, per: 100}]\n")
    known = [member(0, first_purchase_at=datetime(2025, 1, 1)), member(1)]  # noqa: DTZ001
    publish(ws, customers=known, products=[{"product_id": "p0", "category": "tea"}])
    move = (
        "insert into tier_move (programme, customer_id, business_date, position, tier, reason, "
        "qualifying) values ('club', 'c0', '2026-03-30', 1, 'silver', 'reached', 300)"
    )
    with ws.store.write() as store:
        store.run(move)
    give(ws, "c0", 100)
    tea, other = basket(1000, quantity=2), basket(1000, 500, quantity=1)
    with served(ws) as client:
        tills = {name: Counter(ws, client, name) for name in ("S1", "S2")}

        def earned(store: str, goods: Any, **wish: Any) -> Any:
            quote = tills[store].post("/quotes", {"basket": goods, "points": 1, **wish}).json()
            return quote["to_pay"], quote["points_earned"]

        assert earned("S1", tea, card="K0") == (1000, 15 + 30)
        assert earned("S1", tea) == (1000, None), "whose tier?"
        assert earned("S1", basket(1000), card="K0") == (1000, None), "how many?"
        assert earned("S1", other, card="K0") == (1500, None), "p1 is new: is it tea?"
        assert earned("S2", tea, card="K1") == (1000, 10 + 20)
        assert earned("S1", tea, card="K1") == (1000, None), "was there a purchase this morning?"
        assert earned("S1", tea, card="K0", points=100) == (950, 14 + 30)
    ws.store.close()


def test_a_request_that_says_no_quantity_is_the_one_it_was_before_there_were_any() -> None:
    """Its key is known by a hash of what was asked."""
    wish = SpendQuestion.model_validate({"basket": basket(100)})
    assert set(wish.model_dump(mode="json")["basket"]["lines"][0]) == {
        "product",
        "category",
        "amount",
    }


@SQLITE
def test_what_a_quote_shows_is_what_is_taken(ws: Workspace, till: Counter) -> None:
    """Complaint 22: shown and granted differed."""
    give(ws, "c0", 700)
    code = voucher(ws, amount=333)
    wish = {"card": "K0", "vouchers": [code], "basket": basket(467, 199)}
    quote = till.post("/quotes", wish).json()
    assert quote["points_needed"] == 666
    taken = till.take(**wish, points=quote["points_usable"]).json()
    assert (taken["discount"], taken["paid_by_points"]) == (
        quote["discount"],
        quote["paid_by_points"],
    )
    assert quote["to_pay"] == 0
    assert balance(ws, "c0")["available"] == 700 - 666


@SQLITE
def test_points_pay_in_the_programmes_currency_only(tmp_path: Path, store_url: str) -> None:
    ws = shop(tmp_path, store_url)
    amend(ws, "currency: EUR", instead_of="currency: any")
    give(ws, "c1", 101)
    with served(ws) as client:
        till = Counter(ws, client)
        yen = {"basket": {**basket(1000), "currency": "JPY"}, "card": "K1"}
        quote = till.post("/quotes", yen).json()
        refused = till.take(**yen, points=100)
        happened = till.batch(spent("a", "2026-03-31T10:00:00Z", **yen, points=1))
        paid = till.take(basket=basket(1000), card="K1", points=100).json()["paid_by_points"]
    assert (quote["points_needed"], quote["points_usable"], quote["to_pay"]) == (0, 0, 1000)
    assert (kind(refused), happened[0]["status"]) == ("other-currency", "done")
    assert paid == 50
    ws.store.close()


@SQLITE
def test_points_pay_the_total_to_exactly_nothing(ws: Workspace, till: Counter) -> None:
    """Complaint 24: points could not pay the rounded total. Three points are worth 1.5 units."""
    give(ws, "c0", 10_000)
    for total in range(1, 9):
        quote = till.post("/quotes", {"card": "K0", "basket": basket(total)}).json()
        assert quote["to_pay"] == 0
        taken = till.take(card="K0", points=quote["points_needed"], basket=basket(total))
        assert taken.json()["paid_by_points"] == total
        more = till.take(card="K0", points=quote["points_needed"] + 1, basket=basket(total))
        assert kind(more) == "too-many-points"
    late = spent("a", "2026-03-31T10:00:00Z", card="K0", points=99) | {"basket": basket(1)}
    assert till.batch(late)[0]["status"] == "done", "it has happened"


# ---------- reserve, redeem, void


@BOTH_STORES
def test_a_reservation_holds_until_it_is_redeemed_or_void(ws: Workspace, till: Counter) -> None:
    give(ws, "c0", 1000)
    code = voucher(ws)
    made = till.reserve(card="K0", points=600, vouchers=[code]).json()
    assert balance(ws, "c0") == {"available": 400, "pending": 0, "held": 600, "debt": 0}
    assert kind(till.reserve(card="K0", points=600)) == "not-enough-points"
    assert kind(till.reserve(vouchers=[code])) == "voucher-used"
    done = till.settle(made["redemption"], receipt="R1").json()
    assert (done["state"], done["receipt"]) == ("used", "R1")
    assert balance(ws, "c0") == {"available": 400, "pending": 0, "held": 0, "debt": 0}
    assert till.settle(made["redemption"], "void").json()["points_back"] == 600
    assert balance(ws, "c0")["available"] == 1000
    assert till.reserve(vouchers=[code]).status_code == 200


@BOTH_STORES
def test_a_hold_whose_time_is_out_holds_nothing(
    ws: Workspace, till: Counter, now: list[datetime]
) -> None:
    """Complaint 16: a failed payment burnt the coupon, or the release was missed."""
    give(ws, "c0", 100)
    code = voucher(ws)
    first = till.reserve(card="K0", points=100, vouchers=[code], hold_seconds=60).json()
    alone = till.reserve(vouchers=[voucher(ws)], hold_seconds=60).json()  # of it no ledger knows
    now[0] += timedelta(seconds=59)
    assert became(till, first["redemption"])["state"] == "held"
    now[0] += timedelta(seconds=1)
    assert became(till, first["redemption"])["state"] == "lapsed"
    assert kind(till.settle(first["redemption"])) == "hold-lapsed"
    assert kind(till.settle(alone["redemption"])) == "hold-lapsed"
    second = till.reserve(card="K0", points=100, vouchers=[code]).json()
    assert till.settle(second["redemption"]).status_code == 200
    assert kind(till.settle(first["redemption"])) in ("hold-lapsed", "already-void")
    assert till.settle(first["redemption"], "void").json()["state"] == "void"
    assert balance(ws, "c0") == {"available": 0, "pending": 0, "held": 0, "debt": 0}


@SQLITE
def test_releasing_twice_releases_once(ws: Workspace, till: Counter) -> None:
    """Complaint 17: a usage count went below nothing; 19: a credit was given back twice."""
    give(ws, "c0", 100)
    code = voucher(ws)
    made = till.reserve(card="K0", points=100, vouchers=[code]).json()["redemption"]
    for _ in range(3):
        assert till.settle(made, "void").json()["state"] == "void"
    assert balance(ws, "c0")["available"] == 100
    assert till.take(vouchers=[code]).status_code == 200
    assert kind(till.take(vouchers=[code])) == "voucher-used"


@SQLITE
def test_what_was_void_must_be_reserved_anew(ws: Workspace, till: Counter) -> None:
    """Complaint 18: a cancelled quote was opened again and its coupon used twice."""
    code = voucher(ws)
    first = till.reserve(vouchers=[code]).json()["redemption"]
    till.settle(first, "void")
    second = till.reserve(vouchers=[code]).json()["redemption"]
    assert kind(till.settle(first)) == "already-void"
    assert till.settle(second).status_code == 200


@SQLITE
def test_an_order_that_is_changed_is_taken_back_and_taken_anew(
    ws: Workspace, till: Counter
) -> None:
    """Complaint 21: editing a confirmed order lost points, or took them twice."""
    give(ws, "c0", 100)
    first = till.take("order-1", card="K0", points=60).json()["redemption"]
    for _ in range(2):  # the till is not sure that it was heard
        till.post(f"/redemptions/{first}/void", {}, "order-1-void")
        till.take("order-1-again", card="K0", points=90)
    assert balance(ws, "c0")["available"] == 10


@SQLITE
def test_taking_back_touches_only_its_own_hold(ws: Workspace, till: Counter) -> None:
    """Complaint 15: the loser's rollback paid back the winner."""
    give(ws, "c0", 500)
    code = voucher(ws)
    won = till.reserve(card="K0", points=500, vouchers=[code]).json()["redemption"]
    assert kind(till.reserve("loser", card="K0", points=500)) == "not-enough-points"
    assert kind(till.settle("0" * 32, "void")) == "unknown-redemption"
    assert till.settle(won).status_code == 200
    assert balance(ws, "c0") == {"available": 0, "pending": 0, "held": 0, "debt": 0}


@SQLITE
def test_a_refusal_in_the_middle_undoes_what_came_before_it(ws: Workspace, till: Counter) -> None:
    code = voucher(ws)
    assert kind(till.reserve(card="K0", points=5, vouchers=[code])) == "not-enough-points"
    assert rows(ws, "select * from redemption") == []
    assert till.reserve(vouchers=[code]).status_code == 200


# ---------- what is brought back


@SQLITE
def test_a_return_of_an_order_paid_with_points_gives_points_back_once(
    ws: Workspace, till: Counter
) -> None:
    """Complaint 2: a refund deducted the points a second time; 20: voiding left credits consumed."""
    give(ws, "c0", 1000)
    made = till.take(card="K0", points=1000, basket=basket(300, 200)).json()["redemption"]
    assert balance(ws, "c0")["available"] == 0
    part = till.settle(made, "return", kept=basket(300)).json()
    assert (part["paid_kept"], part["points_returned"]) == (300, 400)
    assert balance(ws, "c0")["available"] == 400
    whole = till.settle(made, "return", kept=basket()).json()
    assert (whole["points_back"], whole["refund"]) == (1000, 0)
    late = till.settle(made, "return", kept=basket(300)).json()  # told in the wrong order
    assert (late["points_returned"], late["paid_kept"]) == (0, 0), (
        "with what went back nothing is paid"
    )
    assert balance(ws, "c0")["available"] == 1000
    assert till.settle(made, "void").status_code == 200
    assert balance(ws, "c0")["available"] == 1000


@SQLITE
@pytest.mark.parametrize("worth", ["worth: {points: 100, pays: 25}", ""])
def test_what_points_paid_comes_back_whatever_points_are_worth_by_now(
    ws: Workspace, worth: str
) -> None:
    """Half of the goods came back, and neither a point nor a cent did."""
    give(ws, "c0", 200)
    with served(ws) as client:
        till = Counter(ws, client)
        made = till.take(card="K0", points=200, basket=basket(60, 40)).json()["redemption"]
    amend(ws, worth, instead_of="worth: {points: 100, pays: 50}")
    with served(ws) as client:
        till = Counter(ws, client)
        part = till.settle(made, "return", kept=basket(60)).json()
        whole = till.settle(made, "return", kept=basket()).json()
        late = till.settle(made, "return", kept=basket(60)).json()  # told in the wrong order
    assert (part["paid_kept"], part["points_returned"], part["refund"]) == (60, 80, 0)
    assert (whole["points_back"], whole["refund"]) == (200, 0)
    assert (late["points_returned"], late["paid_kept"]) == (0, 0)
    assert balance(ws, "c0")["available"] == 200


@SQLITE
def test_a_return_below_the_vouchers_minimum_takes_its_discount_back(
    ws: Workspace, till: Counter
) -> None:
    """Complaint 26: what was left kept the discount of a basket it was not."""
    code = voucher(ws, amount=500, min_basket=2000)
    made = till.take(vouchers=[code], basket=basket(1500, 1000)).json()["redemption"]
    part = till.settle(made, "return", kept=basket(1500)).json()
    # 20.00 were paid; what is kept costs 15.00 without its discount.
    assert (part["discount_kept"], part["refund"]) == (0, 500)
    assert kind(till.settle(made, "return", kept=basket(2501))) == "more-than-bought"
    other = {**basket(1500), "currency": "JPY"}
    assert kind(till.settle(made, "return", kept=other)) == "more-than-bought"
    held = till.reserve(vouchers=[voucher(ws)]).json()["redemption"]
    assert kind(till.settle(held, "return", kept=basket())) == "not-redeemed"


@SQLITE
def test_what_is_kept_has_no_more_discount_than_it_costs_nor_than_it_had(
    ws: Workspace, till: Counter
) -> None:
    two = [voucher(ws, amount=500, stacks=True) for _ in range(2)]
    made = till.take(vouchers=two, basket=basket(1400, 600)).json()["redemption"]
    part = till.settle(made, "return", kept=basket(600)).json()
    assert (part["discount_kept"], part["refund"]) == (600, 1000)
    some = voucher(ws, amount=None, percent=10, products=("p1",))
    made = till.take(vouchers=[some], basket=basket(900, 100)).json()["redemption"]
    wrong = {"currency": "EUR", "lines": [{"product": "p1", "amount": 900}]}
    part = till.settle(made, "return", kept=wrong).json()
    assert (part["discount_kept"], part["refund"]) == (10, 100)


@SQLITE
def test_a_gift_that_points_bought_comes_back_whole_and_with_the_last_of_the_goods(
    tmp_path: Path, store_url: str
) -> None:
    ws = shop(tmp_path, store_url)
    amend(ws, "", instead_of="worth: {points: 100, pays: 50}\n")
    give(ws, "c0", 90)
    with served(ws) as client:
        till = Counter(ws, client)
        made = till.take(card="K0", points=90, basket=basket(60, 40)).json()["redemption"]
        told = [till.settle(made, "return", kept=basket(*kept)).json() for kept in ((60,), ())]
    assert [(one["points_returned"], one["refund"]) for one in told] == [(0, 40), (90, 100)]
    ws.store.close()


@SQLITE
def test_a_last_point_that_paid_less_than_it_is_worth_is_reckoned_as_a_whole_one(
    tmp_path: Path, store_url: str
) -> None:
    ws = shop(tmp_path, store_url)
    amend(ws, "points: 1, pays: 50", instead_of="points: 100, pays: 50")
    give(ws, "c0", 3)
    with served(ws) as client:
        till = Counter(ws, client)
        wish = {"card": "K0", "points": 3, "vouchers": [voucher(ws, amount=50)]}
        made = till.take(**wish, basket=basket(100, 80)).json()
        part = till.settle(made["redemption"], "return", kept=basket(100)).json()
    assert (made["paid_by_points"], part["points_returned"], part["refund"]) == (130, 2, 0)
    ws.store.close()


@SQLITE
def test_what_was_reserved_and_redeemed_comes_back_in_parts_and_then_whole(
    ws: Workspace, till: Counter
) -> None:
    give(ws, "c0", 200)
    wish = {"card": "K0", "points": 160, "vouchers": [voucher(ws, amount=20)]}
    made = till.reserve(**wish, basket=basket(60, 40)).json()["redemption"]
    till.settle(made, receipt="R1")
    part = till.settle(made, "return", kept=basket(40)).json()
    assert (part["points_returned"], part["paid_kept"], part["refund"]) == (120, 20, 0)
    whole = till.settle(made, "void").json()
    assert (whole["points_back"], whole["state"], whole["receipt"]) == (160, "void", "R1")
    assert balance(ws, "c0")["available"] == 200


@SQLITE
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    prices=st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    percent=st.integers(1, 100),
    order=st.randoms(),
)
def test_however_a_return_is_split_no_more_comes_back_than_was_spent(
    ws: Workspace, till: Counter, prices: list[int], percent: int, order: random.Random
) -> None:
    """Complaint 3: returned quantities were ignored."""
    give(ws, "c2", 50_000)
    before = balance(ws, "c2")["available"]
    code = voucher(ws, amount=None, percent=percent)
    wish = {"card": "K2", "vouchers": [code], "basket": basket(*prices)}
    usable = till.post("/quotes", wish).json()["points_needed"] // 2
    taken = till.take(**wish, points=usable) if usable else till.take(**wish)
    made, kept, back = taken.json(), list(prices), 0
    while kept:
        kept.pop(order.randrange(len(kept)))
        told = till.settle(made["redemption"], "return", kept=basket(*kept)).json()
        assert told["points_back"] >= back
        back = told["points_back"]
        assert balance(ws, "c2")["available"] == before - usable + back
    assert back == usable
    assert told["refund"] == sum(prices) - made["discount"] - made["paid_by_points"]


# ---------- vouchers


@SQLITE
def test_a_voucher_is_good_through_the_end_of_its_printed_day(
    tmp_path: Path, store_url: str
) -> None:
    """Complaints 10, 11 and 12: judged in the wrong zone, dead a day early, two zones for one span."""
    zones = {  # the first instant of the day, and the first after it
        "Pacific/Auckland": (
            "2026-04-04T11:00:00",
            "2026-04-05T12:00:00",
        ),  # clocks go back that day
        "America/Los_Angeles": ("2026-04-05T07:00:00", "2026-04-06T07:00:00"),
    }
    second = timedelta(seconds=1)
    for zone, (begins, ends) in zones.items():
        ws = shop(tmp_path / zone.replace("/", "-"), store_url, timezone=zone)
        code = voucher(ws, valid_from="2026-04-05", valid_until="2026-04-05")
        first, after = (later(ws, f"{at}+00:00").as_of for at in (begins, ends))
        told = {
            first - second: "voucher-not-valid-yet",
            first: None,
            after - second: None,
            after: "voucher-expired",
        }
        clock = [first]
        with served(ws, lambda clock=clock: clock[0]) as client:  # type: ignore[misc]
            till = Counter(ws, client)
            for clock[0], problem in told.items():
                answer = till.post("/vouchers/validate", {"code": code, "basket": basket(1000)})
                assert answer.json()["problem"] == problem, (zone, clock)


@SQLITE
def test_vouchers_that_do_not_stack_are_used_alone(ws: Workspace, till: Counter) -> None:
    alone, one, other = voucher(ws), voucher(ws, stacks=True), voucher(ws, stacks=True)
    refused = till.reserve(vouchers=[alone, one])
    assert (kind(refused), refused.json()["about"]) == ("does-not-stack", codes.spoken(alone))
    quote = till.post("/quotes", {"vouchers": [alone, one], "basket": basket(500)}).json()
    assert {one["code"] for one in quote["vouchers"]} == {codes.spoken(alone), codes.spoken(one)}
    assert quote["discount"] == 500
    told = {(one["problem"], one["discount"]) for one in quote["vouchers"]}
    assert told == {("does-not-stack", 0), (None, 500)}
    over = voucher(ws, valid_until="2026-03-30")
    quote = till.post("/quotes", {"vouchers": [over, one], "basket": basket(1000)}).json()
    told = {(one["problem"], one["discount"]) for one in quote["vouchers"]}
    assert told == {("voucher-expired", 0), (None, 500)}
    both = till.reserve(vouchers=[one, other], basket=basket(800)).json()
    assert both["discount"] == 800  # never more than the basket
    assert till.reserve(vouchers=[alone]).status_code == 200


@SQLITE
def test_a_code_that_is_over_says_so_whatever_is_bought(ws: Workspace, till: Counter) -> None:
    over, good = (
        voucher(ws, min_basket=2000, **end) for end in ({"valid_until": "2026-03-30"}, {})
    )
    told = [kind(till.take(vouchers=[code], basket=basket(1999))) for code in (over, good)]
    assert told == ["voucher-expired", "basket-does-not-qualify"]


@SQLITE
def test_the_same_code_twice_on_one_receipt_is_one_use(ws: Workspace, till: Counter) -> None:
    code = voucher(ws, uses=2)
    typed = [code, codes.spoken(code).lower()]
    assert till.take(vouchers=typed).json()["discount"] == 500
    assert till.take(vouchers=[code]).status_code == 200
    assert kind(till.take(vouchers=[code])) == "voucher-used"


@SQLITE
def test_a_code_for_one_customer_is_nothing_to_any_other(ws: Workspace, till: Counter) -> None:
    code = voucher(ws, customer_id="c0", per_customer=True)
    assert kind(till.take(vouchers=[code])) == "unknown-voucher"
    assert kind(till.take(vouchers=[code], card="K1")) == "unknown-voucher"
    asked = {"code": code, "basket": basket(1000)}
    assert kind(till.post("/vouchers/validate", asked)) == "unknown-voucher"
    assert till.post("/vouchers/validate", asked | {"card": "K0"}).json()["problem"] is None
    assert till.take(vouchers=[code], card="K0").status_code == 200


@BOTH_STORES
def test_a_code_for_who_was_found_to_be_another_is_good_with_their_card(
    ws: Workspace, till: Counter
) -> None:
    code, other = (voucher(ws, customer_id="c0", per_customer=True) for _ in range(2))
    with ws.store.write() as store:
        merge = (
            "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
        )
        store.run(merge + "values ('c0', 'c1', 1, '2026-03-31')")
        store.run("update card set customer_id = 'c1' where card_id = 'K0'")
    assert kind(till.take(vouchers=[code], card="K2")) == "unknown-voucher"
    assert kind(till.take(vouchers=[code])) == "unknown-voucher"
    assert till.take(vouchers=[code], card="K0").status_code == 200
    with ws.store.write() as store:
        store.run("update person_merge set is_in_force = 0")
    assert kind(till.take(vouchers=[other], card="K1")) == "unknown-voucher"


@SQLITE
def test_the_code_of_previews_is_worth_nothing(ws: Workspace, till: Counter) -> None:
    from tessera.say.fields import VOUCHER

    assert codes.tidy(VOUCHER["code"]) == codes.TEST_CODE
    assert kind(till.take(vouchers=[VOUCHER["code"]])) == "test-code"


# ---------- once


@BOTH_STORES
def test_the_same_key_and_body_get_the_same_answer(ws: Workspace, till: Counter) -> None:
    give(ws, "c0", 100)
    answers = [till.take("once", card="K0", points=30).text for _ in range(5)]
    assert len(set(answers)) == 1
    assert balance(ws, "c0")["available"] == 70
    assert kind(till.take("once", card="K0", points=31)) == "key-reused"
    assert kind(till.reserve("once", card="K0", points=30)) == "key-reused"
    assert balance(ws, "c0")["available"] == 70


@SQLITE
def test_a_key_is_its_stores_and_its_redemptions(ws: Workspace, till: Counter) -> None:
    code = voucher(ws, uses=2)
    tills = till, Counter(ws, till.client, "S2")
    one, other = (its.reserve("one", vouchers=[code]).json()["redemption"] for its in tills)
    assert one != other
    beside = till.reserve(vouchers=[voucher(ws)]).json()["redemption"]
    told = [till.post(f"/redemptions/{it}/void", {}, "void") for it in (one, beside)]
    assert (told[0].json()["state"], kind(told[1])) == ("void", "key-reused")
    assert became(till, beside)["state"] == "held"


def became(till: Counter, redemption: str) -> dict[str, Any]:
    """What the till is told of a redemption."""
    headers = {"Authorization": f"bearer {till.key}"}  # a scheme's case says nothing
    found: dict[str, Any] = till.client.get(
        f"/till/v1/redemptions/{redemption}", headers=headers
    ).json()
    return found


@SQLITE
def test_what_a_refusal_said_stays_said(ws: Workspace, till: Counter) -> None:
    assert kind(till.take("early", card="K0", points=30)) == "not-enough-points"
    give(ws, "c0", 100)
    assert kind(till.take("early", card="K0", points=30)) == "not-enough-points"
    assert till.take("again", card="K0", points=30).status_code == 200


@SQLITE
def test_a_key_is_needed_for_what_changes_something(ws: Workspace, till: Counter) -> None:
    headers = {"Authorization": f"Bearer {till.key}"}
    asked = {"basket": basket(1), "vouchers": [voucher(ws)]}
    answer = till.client.post("/till/v1/redemptions", json=asked, headers=headers)
    assert (answer.status_code, kind(answer)) == (400, "key-missing")


# ---------- what is kept of it


@BOTH_STORES
def test_answers_are_kept_for_their_time_and_nothing_is_done_twice_after_it(
    tmp_path: Path, store_url: str
) -> None:
    ws = shop(tmp_path, store_url, till_requests_kept_days=30)
    give(ws, "c0", 1000)
    with served(ws) as client:
        _forgets(ws, Counter(ws, client))
    ws.store.close()


def _forgets(ws: Workspace, till: Counter) -> None:
    wish = {"card": "K0", "points": 100}
    redeemed = {
        "kind": "redeem",
        "key": "o",
        "at": "2026-03-31T11:00:00Z",
        "basket": basket(10_000),
    }
    told = till.take("old", **wish).json()
    held = till.reserve("held", **wish).json()["redemption"]
    assert till.batch(redeemed | wish)[0]["status"] == "done"
    for day, gone in (("2026-04-30T12:00", 0), ("2026-04-30T12:01", 3)):
        kept = later(ws, f"{day}:00+00:00")
        assert once.forget(kept) == gone
        assert once.forget(kept) == 0
        if not gone:
            assert till.take("old", **wish).json() == told
    before = balance(ws, "c0")
    assert kind(till.take("old", **wish)) == kind(till.reserve("held", **wish)) == "key-reused"
    assert till.batch(redeemed | wish)[0]["problem"] == "key-reused"
    assert balance(ws, "c0") == before == {"available": 700, "pending": 0, "held": 100, "debt": 0}
    assert till.settle(held).json()["state"] == "used"


# ---------- at once


def _spend_one(url: str, home: str, key: str, body: dict[str, Any], start: Any) -> str:
    """In a process of its own: one redemption with its own connection to the store."""
    ws = later(shop_again(url, home), "2026-03-31T12:00:00+00:00")
    start.wait()
    wish = Spend(
        Basket("EUR", (Line(product="p", amount=10_000),)),
        body.get("card"), body.get("points", 0), body.get("vouchers", ()),
    )  # fmt: skip
    request = once.Request("S1", key, "take", body, ws.as_of)
    programme = load(ws.project)
    try:
        once.once(
            ws.store,
            request,
            lambda store: dict(
                Till(store, programme, b"s", "S1", ws.as_of, ws.business_date).take(key, wish)
            ),
        )
    except Refusal as refusal:
        return refusal.kind
    return "done"


def shop_again(url: str, home: str) -> Workspace:
    from tessera.testing import workspace

    return workspace(Path(home) / "home", project=Path(home) / "project", store_url=url)


@BOTH_STORES
def test_eight_processes_on_one_code_and_on_one_balance_have_one_success_each(
    ws: Workspace, store_url: str, tmp_path: Path
) -> None:
    """Complaints 13 and 14: a single-use code used N times, a balance spent twice; 32: one key, one row."""
    give(ws, "c0", 100)
    code = voucher(ws)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    races = {
        "code": [(f"a{n}", {"vouchers": [code]}) for n in range(8)],
        "balance": [(f"b{n}", {"card": "K0", "points": 100}) for n in range(8)],
    }
    with context.Manager() as manager, context.Pool(8) as pool:
        for name, race in races.items():
            start = manager.Barrier(8)
            asked = [(store_url, str(tmp_path), key, body, start) for key, body in race]
            told = sorted(pool.starmap(_spend_one, asked, chunksize=1))
            assert told.count("done") == 1, (name, told)
        give(ws, "c1", 300)
        start = manager.Barrier(8)
        asked = [(store_url, str(tmp_path), "one", {"card": "K1", "points": 100}, start)] * 8
        assert pool.starmap(_spend_one, asked, chunksize=1) == ["done"] * 8
        start, body = manager.Barrier(8), {"vouchers": [voucher(ws)]}
        asked = [(store_url, str(tmp_path), "two", body, start)] * 8
        assert pool.starmap(_spend_one, asked, chunksize=1) == ["done"] * 8
    assert len(rows(ws, "select 1 from redemption")) == 4
    assert balance(ws, "c0")["available"] == 0
    assert balance(ws, "c1")["available"] == 200


@BOTH_STORES
def test_eight_processes_of_one_household_spend_exactly_what_it_has(
    tmp_path: Path, store_url: str
) -> None:
    """Who lives together shops at several tills at one instant."""
    ws = pooling(tmp_path, store_url, households=["h"] * 4)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    rounds = [  # what each has (who has nothing has no account yet), what each of eight asks for
        ((90, 80, 130, 0), 60),
        ((0, 0, 300, 0), 300),
        ((1, 2, 3, 4), 3),
        ((200, 0, 99, 1), 100),
    ]
    with context.Manager() as manager, context.Pool(8) as pool:
        had = 0
        for number, (given, asked) in enumerate(rounds):
            for one, points in enumerate(given):
                if points:
                    give(ws, f"c{one}", points)
            had += sum(given)
            start = manager.Barrier(8)
            body = [{"card": f"K{one % 4}", "points": asked} for one in range(8)]
            races = [(f"h{number}-{one}", wish, start) for one, wish in enumerate(body)]
            told = pool.starmap(
                _spend_one, [(store_url, str(tmp_path), *race) for race in races], chunksize=1
            )
            done = min(8, had // asked)
            assert sorted(told) == ["done"] * done + ["not-enough-points"] * (8 - done)
            had -= done * asked
            found = [balance(ws, f"c{one}") for one in range(4)]
            assert sum(one["available"] for one in found) == had
            assert min(min(one.values()) for one in found) == 0
    assert audit(ws.store, load(ws.project)).differences == []
    ws.store.close()


# ---------- who may not


@SQLITE
def test_a_wrong_key_gets_nothing(ws: Workspace, till: Counter) -> None:
    made = till.reserve(vouchers=[voucher(ws)]).json()["redemption"]
    with ws.store.write() as store:
        other = keys.make(store, "S2", ws.as_of)
        keys.revoke(store, other.split("_")[1], ws.as_of)
    wrong = ["", "Bearer", "Bearer x", f"Basic {till.key}", f"Bearer {till.key[:-1]}x"]
    for shown in [*wrong, f"Bearer {other}"]:
        headers = {"Authorization": shown, "Idempotency-Key": "x"}
        answers = [
            till.client.post(f"/till/v1/redemptions/{made}/redeem", json={}, headers=headers),
            till.client.post("/till/v1/cards/lookup", json={"card": "K0"}, headers=headers),
            till.client.post("/till/v1/cards/lookup", content=b"{{{", headers=headers),
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
        assert len({answer.text for answer in answers}) == 1
    assert rows(ws, "select state from redemption")[0]["state"] == "held"


@SQLITE
def test_another_stores_reservation_is_none(ws: Workspace, till: Counter) -> None:
    made = till.reserve(vouchers=[voucher(ws)]).json()["redemption"]
    thief = Counter(ws, till.client, "S2")
    unknown = thief.settle("f" * 32).json()
    for what in ("redeem", "void", "return"):
        body = {"kept": basket()} if what == "return" else {}
        assert thief.settle(made, what, **body).json() == unknown
    with ws.store.read() as store:
        assert keys.store_of(store, thief.key) == "S2"
    assert till.settle(made).json()["state"] == "used"


@SQLITE
def test_a_guesser_is_stopped_for_a_minute(ws: Workspace) -> None:
    good, seconds = voucher(ws, uses=2), [0.0]
    with served(ws, seconds=lambda: seconds[0]) as client:
        till = Counter(ws, client)
        asked = [
            till.post("/vouchers/validate", {"code": guess, "basket": basket(1000)})
            for guess in codes.make(35)
        ]
        assert {answer.status_code for answer in asked[:30]} == {404}
        assert {answer.headers["retry-after"] for answer in asked[30:]} == {"60"}
        assert till.take(vouchers=[good]).status_code == 429
        assert Counter(ws, client, "S2").take(vouchers=[good]).status_code == 200
        seconds[0] = 60
        assert till.take(vouchers=[good]).status_code == 200


@SQLITE
def test_whatever_is_guessed_counts(ws: Workspace) -> None:
    """Codes of a quote and of a batch each; cards and redemptions."""

    def quote() -> tuple[str, dict[str, Any]]:
        return "/quotes", {"vouchers": codes.make(10), "basket": basket(1000)}

    def batch() -> tuple[str, dict[str, Any]]:
        at = "2026-03-30T10:00:00Z"
        done = [spent(f"g{code}", at, vouchers=[code]) for code in codes.make(10)]
        return "/batches", {"operations": done}

    def card() -> tuple[str, dict[str, Any]]:
        return "/cards/lookup", {"card": "K99"}

    def redemption() -> tuple[str, dict[str, Any]]:
        return f"/redemptions/{'f' * 32}/void", {}

    with served(ws, seconds=lambda: 0.0) as client:
        for guess, may in ((quote, 3), (batch, 3), (card, 30), (redemption, 30)):
            till = Counter(ws, client, guess.__name__)
            asked = [till.post(*guess()).status_code for _ in range(may + 1)]
            assert asked == [200 if may == 3 else 404] * may + [429]


@SQLITE
def test_a_key_that_was_revoked_opens_nothing_some_seconds_later(ws: Workspace) -> None:
    """Also where its till never rests."""
    seconds = [0.0]
    with served(ws, seconds=lambda: seconds[0]) as client:
        till, told = Counter(ws, client), []
        for seconds[0] in (0.0, 4.0, 8.0):
            told.append(till.post("/cards/lookup", {"card": "K0"}).status_code)
            if not seconds[0]:
                with ws.store.write() as store:
                    keys.revoke(store, till.key.split("_")[1], ws.as_of)
    assert told == [200, 200, 401]


@SQLITE
def test_a_till_that_asks_too_often_waits(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tessera.web.till.ASKS_A_SECOND", 3)
    seconds = [0.0]
    with served(ws, seconds=lambda: seconds[0]) as client:
        till, beside = (Counter(ws, client, "S1") for _ in range(2))
        asked = [till.post("/cards/lookup", {"card": "K0"}) for _ in range(5)]
        assert [answer.status_code for answer in asked] == [200] * 3 + [429] * 2
        assert {answer.headers["retry-after"] for answer in asked[3:]} == {"1"}
        assert beside.post("/cards/lookup", {"card": "K0"}).status_code == 200  # its own key
        seconds[0] = 1
        assert till.post("/cards/lookup", {"card": "K0"}).status_code == 200


@SQLITE
def test_nobody_is_named_in_logs_or_in_what_is_kept(
    ws: Workspace, till: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    give(ws, "c0", 100)
    till.post("/cards/lookup", {"card": "K0"})
    till.take(card="K0", points=10)
    till.post("/members", {"card": "KNEW", "device": "Anna's phone"})
    till.post("/cards/lookup", {"card": "\u0000Name0", "Secret0": "person0@mail.example"})
    kept = json.dumps([dict(row) for row in rows(ws, "select * from till_request")])
    kept += json.dumps([dict(row) for row in rows(ws, "select * from referral")])
    for secret in ("Name0", "Secret0", "person0@mail", "Anna", till.key):
        assert secret not in caplog.text
        assert secret not in kept


@SQLITE
@pytest.mark.parametrize(
    ("content", "kind_", "status"),
    [
        (b"{", "not-json", 400),
        (b"[" * 100_000, "not-json", 400),
        (b'{"card": 1e400}', "bad-body", 422),
        (b'{"card": "K0", "more": 1}', "bad-body", 422),
        (b'"' + b"x" * 300_000 + b'"', "too-large", 413),
    ],
)
def test_a_body_that_is_none_is_one_sentence(
    till: Counter, content: bytes, kind_: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {till.key}", "Content-Type": "application/json"}
    answer = till.client.post("/till/v1/cards/lookup", content=content, headers=headers)
    assert (answer.status_code, kind(answer)) == (status, kind_)


@SQLITE
def test_a_mistake_in_a_body_is_told_without_what_was_written(till: Counter) -> None:
    answer = till.post("/cards/lookup", {"card": "Anna Person"})
    assert answer.json()["mistakes"][0]["at"] == "card"
    assert "Anna" not in answer.text
    headers = {"Authorization": f"Bearer {till.key}", "Content-Type": "text/plain"}
    answer = till.client.post("/till/v1/cards/lookup", content=b'{"card": "K0"}', headers=headers)
    assert (answer.status_code, kind(answer)) == (415, "not-json")


# ---------- cards


@BOTH_STORES
def test_a_new_card_is_the_same_member(ws: Workspace, till: Counter) -> None:
    give(ws, "c0", 100)
    swap = {"card": "K0", "new_card": "K0b"}
    assert till.post("/cards/replace", swap).json() == {"card": "K0b", "replaced": "K0"}
    assert kind(till.post("/cards/lookup", {"card": "K0"})) == "card-replaced"
    assert till.post("/cards/lookup", {"card": "K0b"}).json()["points"]["available"] == 100
    assert kind(till.post("/cards/replace", {"card": "K0", "new_card": "K0c"})) == "card-replaced"
    assert kind(till.post("/cards/replace", {"card": "K1", "new_card": "K0b"})) == "card-in-use"
    assert kind(till.post("/cards/replace", {"card": "K1", "new_card": "K1"})) == "same-card"


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_card_is_replaced_once_by_two_tills_at_once(ws: Workspace) -> None:
    """Both were told yes, where the second had found the card good before the first was through."""
    second = "select count(*) from pg_locks where not granted"

    def ask() -> str:
        with pytest.raises(Refusal) as refused, ws.store.write() as store:
            cards.replace(store, "K0", "K0c", ws.as_of, ws.as_of)
        return refused.value.kind

    with ThreadPoolExecutor(1) as thread:
        with ws.store.write() as store:
            cards.replace(store, "K0", "K0b", ws.as_of, ws.as_of)
            told = thread.submit(ask)
            while not told.done() and not rows(ws, second)[0]["count"]:
                time.sleep(0.01)
        assert told.result() == "card-replaced"
    known = rows(ws, "select card_id, replaced_by_card_id from card where customer_id = 'c0'")
    assert {row["card_id"]: row["replaced_by_card_id"] for row in known} == {
        "K0": "K0b",
        "K0b": None,
    }


@SQLITE
def test_a_replaced_card_comes_back_by_the_front_door(
    ws: Workspace, till: Counter, now: list[datetime]
) -> None:
    from tessera.land import land

    till.post("/cards/replace", {"card": "K0", "new_card": "K0b"})
    till.post("/members", {"card": "KNEW"})
    tomorrow = later(ws, "2026-04-01T12:00:00+00:00")
    assert export(tomorrow).cards == 2
    report = land(tomorrow, "engine", ws.home.engine)
    assert report.rows == 2
    late = {"kind": "replace", "key": "r", "at": "2026-03-31T08:00:00Z"}
    now[0] = tomorrow.as_of
    till.batch(late | {"card": "K1", "new_card": "K1b"})
    assert export(later(ws, "2026-04-02T12:00:00+00:00")).cards == 2, "though that day is exported"


@SQLITE
def test_what_the_models_know_of_an_owner_is_not_told_them_as_the_tills_word(
    ws: Workspace, till: Counter
) -> None:
    """Who was merged may be two again; and of two cards, the later counts, whenever models are built."""
    first = {"kind": "replace", "key": "r", "at": "2026-03-30T08:00:00Z", "card": "K0"}
    till.batch(first | {"new_card": "K0a"})
    merged = later(ws, "2026-04-01T12:00:00+00:00")
    publish(merged, customers=[member(1, card_id=card) for card in ("K0", "K0a", "K1")])
    cards.refresh(merged)
    assert export(merged).cards == 2
    assert export(later(ws, "2026-04-03T12:00:00+00:00")).cards == 0
    till.batch(first | {"key": "s", "at": "2026-03-31T08:00:00Z", "new_card": "K0b"})
    known = rows(ws, "select customer_id, replaced_by_card_id from card where card_id = 'K0'")
    assert dict(known[0]) == {"customer_id": "c1", "replaced_by_card_id": "K0b"}


@BOTH_STORES
def test_a_card_that_the_shops_books_blocked_pays_nothing_but_may_be_replaced(
    ws: Workspace, till: Counter
) -> None:
    """A lost card is reported to the shop, not to the till where its finder goes."""
    give(ws, "c0", 100)
    known = [member(0, card_id=None), member(1), member(2)]
    owners = [{"card_id": f"K{n}", "customer_id": f"c{n}", "is_last": True} for n in range(3)]
    for owner, blocked_at in zip(owners, ("2026-03-30", "2026-04-02", "9999-12-31"), strict=True):
        owner["blocked_at"] = blocked_at
    publish(ws, customers=known, card_owners=owners)
    assert (cards.refresh(ws), cards.refresh(ws)) == (1, 0)
    assert cards.refresh(later(ws, "2026-04-03T12:00:00+00:00")) == 1, "without another word of it"
    assert cards.refresh(ws) == 1
    asked = [till.post("/cards/lookup", {"card": "K0"}), till.take(card="K0", points=10)]
    assert [kind(answer) for answer in asked] == ["card-blocked"] * 2
    happened = spent("a", "2026-03-30T10:00:00Z", card="K0", points=10)
    assert till.batch(happened)[0]["status"] == "done", "before anybody knew"
    assert till.post("/cards/replace", {"card": "K0", "new_card": "K0b"}).status_code == 200
    assert till.take(card="K0b", points=90).status_code == 200
    publish(ws, customers=[member(n) for n in range(3)])
    cards.refresh(ws)
    assert rows(ws, "select 1 from card where is_blocked = 1") == []


@SQLITE
def test_a_card_is_handed_out_once(ws: Workspace, till: Counter) -> None:
    assert till.post("/members", {"card": "KNEW"}).json() == {"card": "KNEW", "referral": False}
    assert kind(till.post("/members", {"card": "KNEW"})) == "card-in-use"
    assert kind(till.post("/members", {"card": "K0"})) == "card-in-use"
    late = {"kind": "enrol", "at": "2026-03-30T10:00:00Z", "card": "KNEW"}
    told = [till.batch(late | {"key": key})[0]["status"] for key in "ab"]
    assert told == ["done"] * 2, "by two tills without a line"
    told = till.post("/cards/lookup", {"card": "KNEW"}).json()
    assert (told["given_name"], told["points"]["available"]) == (None, 0)


@SQLITE
def test_a_card_that_bought_before_it_was_handed_out_can_still_be(
    ws: Workspace, till: Counter
) -> None:
    publish(ws, customers=[{"customer_id": "KEARLY", "card_id": "KEARLY"}])
    cards.refresh(ws)
    assert till.post("/members", {"card": "KEARLY"}).status_code == 200
    assert kind(till.post("/members", {"card": "KEARLY"})) == "card-in-use"


@BOTH_STORES
def test_a_card_that_bought_before_its_replacement_was_posted_is_its_members(
    ws: Workspace, till: Counter
) -> None:
    """The till was without a line for longer than the night's receipts took."""
    publish(ws, customers=[{"customer_id": "KEARLY", "card_id": "KEARLY"}])
    cards.refresh(ws)
    early = spent("s", "2026-03-30T12:00:00Z", card="KEARLY", vouchers=[voucher(ws)])
    swap = {"kind": "replace", "at": "2026-03-30T10:00:00Z", "new_card": "KEARLY"}
    told = [till.batch(early), till.batch(swap | {"key": "r", "card": "K0"})]
    assert [one["status"] for (one,) in told] == ["done", "done"]
    assert till.batch(swap | {"key": "t", "card": "K1"})[0]["problem"] == "card-in-use"
    assert till.post("/cards/lookup", {"card": "KEARLY"}).json()["given_name"] == "Name0"
    assert [row["customer_id"] for row in rows(ws, "select * from redemption_member")] == ["c0"]
    assert rows(ws, "select * from member where customer_id = 'KEARLY'") == []


@SQLITE
def test_the_models_word_on_whose_card_it_is_counts_and_a_replacement_stays(
    ws: Workspace, till: Counter
) -> None:
    till.post("/members", {"card": "KNEW"})
    till.post("/cards/replace", {"card": "K0", "new_card": "K0b"})
    known = [member(number) for number in range(3)]
    publish(ws, customers=[*known, member(7, card_id="KNEW", given_name="Seven")])
    cards.refresh(ws)
    assert till.post("/cards/lookup", {"card": "KNEW"}).json()["given_name"] == "Seven"
    assert kind(till.post("/cards/lookup", {"card": "K0"})) == "card-replaced"
    assert cards.refresh(ws) == 0


@SQLITE
def test_what_was_done_with_a_card_is_its_customers_once_it_is_registered(
    ws: Workspace, till: Counter
) -> None:
    till.post("/members", {"card": "KNEW", "device": "phone"})
    give(ws, "KNEW", 50)
    made = till.take(card="KNEW", points=20).json()["redemption"]
    own = voucher(ws, customer_id="KNEW", per_customer=True)
    cards.refresh(ws)
    code = till.post("/cards/lookup", {"card": "KNEW"}).json()["referral_code"]
    till.post("/members", {"card": "KFRIEND", "referral": code})
    publish(ws, customers=[member(7, card_id="KNEW")])
    cards.refresh(ws)
    whose = "select customer_id from redemption_member where redemption_id = :made"
    assert rows(ws, whose, made=made)[0]["customer_id"] == "c7"
    for table in ("referral", "member", "referral_code"):
        assert rows(ws, f"select * from {table} where customer_id = 'KNEW'") == []
    brought = "select referred_by from referral where customer_id = 'KFRIEND'"
    assert rows(ws, brought)[0]["referred_by"] == "c7"
    assert till.take(card="KNEW", vouchers=[own]).status_code == 200


# ---------- without a line


def a_days_work(code: str) -> list[dict[str, Any]]:
    """What two tills did while they were cut off; some of it needs some other of it."""
    day = "2026-03-30T1"
    return [
        {"kind": "enrol", "key": "e", "at": f"{day}0:00:00Z", "card": "KOFF"},
        {
            "kind": "replace",
            "key": "r",
            "at": f"{day}1:00:00Z",
            "card": "KOFF",
            "new_card": "KOFF2",
        },
        spent("s1", f"{day}0:30:00Z", card="KOFF", points=0, vouchers=[code]),
        spent("s2", f"{day}2:00:00Z", card="KOFF2", points=40),
        spent("s3", f"{day}2:30:00Z", card="K1", points=80),
        spent("s4", f"{day}3:00:00Z", card="K1", points=50),
        {"kind": "void", "key": "v", "at": f"{day}3:30:00Z", "of": "s3"},
        spent("s5", f"{day}4:00:00Z", vouchers=[code]),
    ]


def spent(key: str, at: str, **body: Any) -> dict[str, Any]:
    return {"kind": "redeem", "key": key, "at": at, "basket": basket(5000), **body}


def outcome(ws: Workspace, code: str) -> tuple[Any, ...]:
    from tessera.vouchers import pool

    states = rows(
        ws, "select redemption_id, state, points, discount, at from redemption order by 1"
    )
    cards_ = rows(ws, "select card_id, customer_id, replaced_by_card_id from card order by 1")
    shown = pool.show(ws.store, code, at=ws.as_of, day=ws.business_date)
    points = {c: balance(ws, c) for c in ("c1", "KOFF")}
    return (list(map(dict, states)), list(map(dict, cards_)), shown and shown["state"], points)


@SQLITE
def test_offline_batches_in_any_order_and_twice_come_to_the_same(
    tmp_path: Path, store_url: str
) -> None:
    """Complaint 4: a retry or an offline sync doubled points."""
    outcomes, code = [], ""
    for number in range(4):
        ws = shop(tmp_path / str(number), f"sqlite:///{tmp_path}/{number}/store.sqlite")
        give(ws, "c1", 100)
        (code,) = [code or voucher(ws)]
        if number:
            _same_code(ws, code)
        work = a_days_work(code)
        order = random.Random(number)
        if number:
            order.shuffle(work)
            work += order.sample(work, len(work))
        with served(ws) as client:
            till = Counter(ws, client)
            for part in _parts(work):
                till.batch(*part)
        outcomes.append(outcome(ws, code))
        assert rows(ws, "select * from till_waiting") == []
    assert all(one == outcomes[0] for one in outcomes)
    states, _, state, points = outcomes[0]
    assert len(states) == 5
    assert state == "overused"  # both tills took it, and somebody will want to know
    assert points["c1"] == {"available": 50, "pending": 0, "held": 0, "debt": 0}
    assert points["KOFF"] == {"available": 0, "pending": 0, "held": 0, "debt": 40}


def _parts(work: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(work), 3):
        yield work[start : start + 3]


def _same_code(ws: Workspace, code: str) -> None:
    made = voucher(ws)
    with ws.store.write() as store:
        store.run("update voucher set code = :code where code = :made", code=code, made=made)


@SQLITE
def test_of_two_new_cards_the_later_counts_whoever_posts_first(
    ws: Workspace, till: Counter
) -> None:
    """Of the same second always the same one."""
    for card, order in (("K0", "A10 B10"), ("K1", "B10 A10"), ("K2", "A11 B10")):
        for new, hour in ((one[0], one[1:]) for one in order.split()):
            told = till.batch(
                {
                    "kind": "replace",
                    "key": f"{card}{new}",
                    "at": f"2026-03-30T{hour}:00:00Z",
                    "card": card,
                    "new_card": card + new,
                }
            )
            assert told[0]["status"] == "done"
    query = "select replaced_by_card_id as new from card where replaced_by_card_id is not null"
    assert [row["new"] for row in rows(ws, f"{query} order by card_id")] == ["K0B", "K1B", "K2A"]


@SQLITE
def test_each_offline_operation_stands_alone(ws: Workspace, till: Counter) -> None:
    told = till.batch(
        spent("a", "2026-03-30T10:00:00Z", vouchers=[codes.make(1)[0]]),
        spent("b", "2026-03-30T10:00:00Z", vouchers=[voucher(ws)]),
        spent("c", "2026-04-30T10:00:00Z", vouchers=[voucher(ws)]),
        {"kind": "void", "key": "d", "at": "2026-03-30T10:00:00Z", "of": "never"},
    )
    assert [one["status"] for one in told] == ["refused", "done", "refused", "waiting"]
    assert [one["problem"] for one in told] == ["unknown-voucher", None, "too-far-ahead", None]


@BOTH_STORES
def test_what_waits_for_ever_holds_up_nothing_else(
    ws: Workspace, till: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards that were misread: no batch tries them again, however many they are."""
    early = "2026-03-01T10:00:00Z"
    with ws.store.write() as store:
        dead = [
            {"store_id": "S2", "idem_key": f"x{n}", "at": early,
             "body": json.dumps(spent(f"x{n}", early, card=f"Z{n}", points=1))}
            for n in range(1200)
        ]  # fmt: skip
        store.run_many(
            "insert into till_waiting (store_id, idem_key, body, at) "
            "values (:store_id, :idem_key, :body, :at)",
            dead,
        )
    late = "2026-03-30T10:00:00Z"
    replaced = {"kind": "replace", "key": "r", "at": late, "card": "N1", "new_card": "N2"}
    told = till.batch(
        spent("s", late, card="N2", points=3), replaced, spent("t", late, card="N1", points=2),
        {"kind": "void", "key": "v", "at": late, "of": "t"},
    )  # fmt: skip
    assert {one["status"] for one in told} == {"waiting"}
    tried: list[str] = []
    act = once.once
    monkeypatch.setattr(
        "tessera.reward.offline.once", lambda *a: (tried.append(a[1].key), act(*a))[1]
    )
    assert (
        till.batch({"kind": "enrol", "key": "e", "at": late, "card": "N1"})[0]["status"] == "done"
    )
    assert len(tried) < 10
    assert rows(ws, "select * from till_waiting where store_id = 'S1'") == []
    assert balance(ws, "N1")["debt"] == 3


@BOTH_STORES
def test_what_was_done_with_the_card_of_who_was_erased_does_not_wait(
    ws: Workspace, till: Counter
) -> None:
    """It waited for ever, with the number of the card in it."""
    ring = Keyring.of(ws)
    with ws.store.write() as store:
        ring.add(store, [("card", "GONE"), ("customer", "N2")])
    at = "2026-03-30T10:00:00Z"
    told = till.batch(
        spent("a", at, card="GONE", points=3),
        {"kind": "replace", "key": "b", "at": at, "card": "N1", "new_card": "GONE"},
        spent("c", at, card="N2", points=3),
    )
    assert [(one["status"], one["problem"]) for one in told] == [
        ("refused", "card-blocked"), ("refused", "card-blocked"), ("waiting", None),
    ]  # fmt: skip
    kept = [rows(ws, f"select * from {table}") for table in ("till_waiting", "till_request")]
    assert len(kept[0]) == 1
    assert "GONE" not in str(kept)


@SQLITE
def test_a_key_that_two_operations_of_a_batch_share_is_the_firsts(
    ws: Workspace, till: Counter
) -> None:
    give(ws, "c1", 100)
    early, late = (
        spent("a", f"2026-03-30T1{hour}:00:00Z", card="K1", points=5 + hour) for hour in (0, 1)
    )
    told = till.batch(late, early, early)
    assert [one["status"] for one in told] == ["refused", "done", "done"]
    assert [one["problem"] for one in told] == ["key-reused", None, None]
    assert balance(ws, "c1")["available"] == 95


@BOTH_STORES
def test_the_key_of_what_waits_is_the_firsts(ws: Workspace, till: Counter) -> None:
    give(ws, "c1", 100)
    at = "2026-03-30T10:00:00Z"
    first = spent("a", at, card="N1", points=3)
    others = [spent("a", at, card="N1", points=4), spent("a", at, card="K1", points=5)]
    told = till.batch(first)
    told += [one for other in (*others, first) for one in till.batch(other)]
    assert [one["status"] for one in told] == ["waiting", "refused", "refused", "waiting"]
    assert [one["problem"] for one in told] == [None, "key-reused", "key-reused", None]
    enrolled = {"kind": "enrol", "key": "e", "at": at, "card": "N1"}
    assert [one["status"] for one in till.batch(first, enrolled, others[1])] == [
        "done", "done", "refused",
    ]  # fmt: skip
    assert balance(ws, "N1")["debt"] == 3
    assert balance(ws, "c1")["available"] == 100


@SQLITE
def test_what_a_fast_clock_dated_ahead_is_done_once_it_is_time(
    ws: Workspace, till: Counter, now: list[datetime]
) -> None:
    give(ws, "c1", 100)
    near = spent("b", "2026-03-31T13:00:00Z", card="K1", points=1)
    assert till.batch(near)[0]["status"] == "done"
    ahead = spent("a", "2026-03-31T13:00:01Z", card="K1", points=5)
    assert till.batch(ahead)[0]["problem"] == "too-far-ahead"
    now[0] += timedelta(hours=3)
    assert [till.batch(ahead)[0]["status"] for _ in range(2)] == ["done", "done"]
    assert balance(ws, "c1")["available"] == 94


@SQLITE
def test_a_till_whose_clock_never_ran_is_answered(tmp_path: Path, store_url: str) -> None:
    """Also where the first day that can be written begins the day before."""
    ws = shop(tmp_path, store_url, timezone="America/New_York")
    with served(ws) as client:
        told = Counter(ws, client).batch(spent("a", "0001-01-01T00:00:00Z", vouchers=[voucher(ws)]))
    assert told[0]["status"] == "done"
    ws.store.close()


@SQLITE
def test_a_voucher_that_was_good_when_it_was_taken_offline_is_good(
    ws: Workspace, till: Counter
) -> None:
    code = voucher(ws, valid_until="2026-03-30")
    assert kind(till.take(vouchers=[code])) == "voucher-expired"
    assert till.batch(spent("a", "2026-03-30T20:00:00Z", vouchers=[code]))[0]["status"] == "done"


@SQLITE
def test_a_voucher_that_was_withdrawn_after_it_was_taken_offline_was_good(
    ws: Workspace, till: Counter
) -> None:
    code = voucher(ws, uses=9)
    with ws.store.write() as store:
        withdraw(store, [code], datetime.fromisoformat("2026-03-31T10:00:00+00:00"))
    assert kind(till.take(vouchers=[code])) == "voucher-withdrawn"
    told = till.batch(
        spent("a", "2026-03-31T11:59:59+02:00", vouchers=[code]),
        spent("b", "2026-03-31T12:00:00+02:00", vouchers=[code]),
    )
    assert [one["problem"] for one in told] == [None, "voucher-withdrawn"]


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_till_asks_again_while_its_server_only_reads(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    """As a standby does after a failover, and a hosted server whose disk is nearly full."""
    give(ws, "c1", 100)
    with served(ws) as client:
        till = Counter(ws, client)
        name = rows(ws, "select current_database() as name")[0]["name"]
        _only_read(ws, name, "on")
        told = till.take("one", card="K1", points=7)
        assert (told.status_code, kind(told)) == (503, "busy")
        assert "read-only transaction" in caplog.text, "whoever keeps the service reads why"
        _only_read(ws, name, "off")
        assert till.take("one", card="K1", points=7).status_code == 200
    assert balance(ws, "c1")["available"] == 93


def _only_read(ws: Workspace, name: str, how: str) -> None:
    """What is connected from now on writes, or does not."""
    with psycopg.connect(str(ws.settings.store_url), autocommit=True) as admin:
        admin.execute("set default_transaction_read_only = off")
        admin.execute(f"alter database {name} set default_transaction_read_only = {how}")
    ws.store.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_nobody_notices_a_server_that_was_started_anew_while_nobody_asked(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    """Each connection that was open would have been one till, or one reader of a page, sent away."""
    give(ws, "c1", 100)
    with served(ws) as client:
        till = Counter(ws, client)

        def ask(number: int) -> list[int]:
            taken = till.take(f"one-{number}", card="K1", points=1)
            seen = till.post("/cards/lookup", {"card": "K1"})
            return [one.status_code for one in (taken, seen, client.get("/health"))]

        for first in (0, 8):
            with ThreadPoolExecutor(8) as threads:
                told = list(threads.map(ask, range(first, first + 8)))
            assert told == [[200] * 3] * 8
            _end_connections(ws)
    assert balance(ws, "c1")["available"] == 84
    assert caplog.text == ""


def _end_connections(ws: Workspace) -> None:
    """As a server does that is told to stop."""
    with psycopg.connect(str(ws.settings.store_url), autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        others = (
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid()"
        )
        while admin.execute(others).fetchone() != (0,):
            time.sleep(0.01)


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_connection_that_ends_under_a_till_is_logged_in_one_line(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    give(ws, "c1", 100)
    with pytest.raises(OperationalError):
        ws.store.together(lambda store: store.run("select pg_terminate_backend(pg_backend_pid())"))
    assert ws.store.together(lambda store: store.scalar("select 1")) == 1
    assert caplog.text == ""
