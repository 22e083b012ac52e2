"""What each kind of earn rule gives, and what a return then takes back."""

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
from tessera.testing import line, workspace
from tessera.workspace import Workspace
from tests.integration.test_reward_night import CLUB, LEVELS, club, ends, night, points, sound

ONE = {"rule": "purchase", "points": 1, "per": 100}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workspace]:
    ws = workspace(tmp_path / "home", project=tmp_path / "project")
    yield ws
    sound(ws)
    ws.store.close()


def rules(ws: Workspace, *extra: dict[str, Any], **changes: Any) -> None:
    club(ws, earn_rules=[ONE, *extra], **changes)


PRODUCTS = [
    {"product_id": "beans", "category": "coffee", "brand": "roaster"},
    {"product_id": "mug", "category": "kitchen", "brand": "potter"},
]


@pytest.mark.parametrize(
    "only",
    [{"products": ["beans"]}, {"categories": ["coffee", "tea"]}, {"brands": ["roaster"]}],
)
def test_a_rule_for_some_products_counts_their_lines_only_and_their_returns_only(
    shop: Workspace, only: dict[str, Any]
) -> None:
    rules(shop, {**ONE, "rule": "extra", "points": 3, "only": only})
    sale = [
        line("t", "ann", 1000, product_id="beans"),
        line("t", "ann", 700, line_id="2", product_id="mug"),
    ]
    night(shop, "2026-03-02", *sale, products=PRODUCTS)
    assert points(shop) == (17 + 30, 0, 0)
    mug = line(
        "r", "ann", -700, product_id="mug", original_transaction_id="t", sold_at="2026-03-02"
    )
    night(shop, "2026-03-03", *sale, mug, products=PRODUCTS)
    assert points(shop) == (10 + 30, 0, 0)
    half = {**mug, "transaction_id": "r2", "amount": -500, "product_id": "beans"}
    night(shop, "2026-03-04", *sale, mug, {**half, "sold_at": "2026-03-03"}, products=PRODUCTS)
    assert points(shop) == (5 + 15, 0, 0)


def test_pieces_and_receipts_can_be_counted_instead_of_money(shop: Workspace) -> None:
    rules(
        shop,
        {"rule": "pieces", "points": 2, "per": 3, "basis": "item"},
        {"rule": "visit", "points": 5, "per": 1, "basis": "order"},
    )
    sale = [line("t", "ann", 50, quantity=4), line("t", "ann", 40, line_id="2", quantity=3)]
    night(shop, "2026-03-02", *sale)
    assert points(shop) == (0 + 4 + 5, 0, 0)
    back = line("r", "ann", -50, quantity=-4, original_transaction_id="t", sold_at="2026-03-02")
    night(shop, "2026-03-03", *sale, back)
    assert points(shop) == (2 + 5, 0, 0)
    rest = {**back, "transaction_id": "r2", "amount": -40, "quantity": -3, "sold_at": "2026-03-03"}
    night(shop, "2026-03-04", *sale, back, rest)
    assert points(shop) == (0, 0, 0)


def test_points_are_rounded_as_the_rule_says_and_given_for_what_it_asks(shop: Workspace) -> None:
    """Of 12.5 and of exactly 12; a whole piece counts; of equals the first; a return is no purchase."""
    order = {"per": 1, "points": 5, "basis": "order"}
    ways = [{**ONE, "rule": way, "per": 8, "rounding": way} for way in ("down", "nearest", "up")]
    rules_ = [
        *ways,
        {"rule": "pieces", "points": 1, "per": 1, "basis": "item"},
        {**order, "rule": "month", "only": {"birthday": "month"}},
        {**order, "rule": "hello", "only": {"first_purchase": True}},
        {**order, "rule": "first", "stacking": "best"},
        {**order, "rule": "second", "stacking": "best"},
    ]
    club(shop, earn_rules=rules_)
    sales = [
        line("a", "ann", 100, sold_at="2026-03-01", quantity=2.5),
        line("b", "bob", 96, sold_at="2026-02-28"),
        line("back", "bob", -10, sold_at="2026-02-20"),
        line("a-second", "bob", 80, sold_at="2026-03-01"),
    ]
    born = [{"customer_id": name, "birth_date": date(1990, 3, 14)} for name in ("ann", "bob")]
    night(shop, "2026-03-02", *sales, customers=born)
    with shop.store.read() as store:
        query = "select source_id, rule, amount from transfer where kind = 'earn'"
        found = {(row["source_id"], row["rule"]): row["amount"] for row in store.all(query)}
    assert {rule: n for (source, rule), n in found.items() if source == "a"} == {
        "down": 12, "nearest": 13, "up": 13, "pieces": 2, "month": 5, "hello": 5, "first": 5,
    }  # fmt: skip
    assert {rule: n for (source, rule), n in found.items() if source == "b"} == {
        "down": 12, "nearest": 12, "up": 12, "pieces": 1, "hello": 5, "first": 5,
    }  # fmt: skip


def test_a_rule_gives_nothing_once_nothing_that_it_counts_is_kept(shop: Workspace) -> None:
    """Neither where it gives by the receipt, nor where what comes back is money and names nothing."""
    only = {"categories": ["coffee"]}
    visit = {"rule": "visit", "points": 50, "per": 1, "basis": "order", "only": only}
    pieces = {"rule": "pieces", "points": 5, "per": 1, "basis": "item", "only": only}
    club(shop, earn_rules=[visit, pieces])
    sales = [
        line("t", "ann", 1000, product_id="beans"),
        line("t", "ann", 700, line_id="2", product_id="mug"),
        line("u", "bob", 1000, product_id="beans"),
    ]
    night(shop, "2026-03-02", *sales, products=PRODUCTS)
    assert (points(shop), points(shop, "bob")) == ((55, 0, 0), (55, 0, 0))
    beans = line("r", "ann", -1000, product_id="beans", quantity=-1, original_transaction_id="t")
    money = {"product_id": None, "quantity": None, "original_transaction_id": "u"}
    back = [
        {**beans, "sold_at": "2026-03-02"},
        line("s", "bob", -1000, sold_at="2026-03-02", **money),
    ]
    night(shop, "2026-03-03", *sales, *back, products=PRODUCTS)
    assert (points(shop), points(shop, "bob")) == ((0, 0, 0), (0, 0, 0))


def test_row_26_a_return_that_crosses_the_least_amount_takes_the_whole_bonus(
    shop: Workspace,
) -> None:
    rules(
        shop,
        {"rule": "big", "points": 50, "per": 1, "basis": "order", "only": {"least_amount": 5000}},
    )
    sale = line("t", "ann", 6000)
    night(shop, "2026-03-02", sale, line("v", "bob", 5000), line("w", "cy", 4999))
    assert points(shop) == (60 + 50, 0, 0)
    assert [points(shop, name)[0] for name in ("bob", "cy")] == [50 + 50, 49]
    back = line("r", "ann", -1000, original_transaction_id="t", sold_at="2026-03-02")
    night(shop, "2026-03-03", sale, back)
    assert points(shop) == (50 + 50, 0, 0)
    more = line("s", "ann", -1, original_transaction_id="t", sold_at="2026-03-03")
    night(shop, "2026-03-04", sale, back, more)
    assert points(shop) == (49, 0, 0)


def test_stores_weekdays_and_days_choose_receipts_in_the_programmes_zone(shop: Workspace) -> None:
    rules(
        shop,
        {**ONE, "rule": "north", "only": {"stores": ["north"]}},
        {**ONE, "rule": "sunday", "only": {"weekdays": ["sun"]}},
        {**ONE, "rule": "may", "only": {"since": "2026-05-01", "until": "2026-05-01"}},
        timezone="Pacific/Auckland",
    )
    sales = [
        line("t", "ann", 100, sold_at="2026-03-01T12:00", store_id="north"),  # monday there
        line("u", "bob", 100, sold_at="2026-02-28T12:00"),  # sunday there
        line("v", "cy", 100, sold_at="2026-04-30T13:00"),  # 1 May there
    ]
    night(shop, "2026-06-01", *sales)
    assert [points(shop, name)[0] for name in ("ann", "bob", "cy")] == [2, 2, 2]


def test_the_first_purchase_is_one(shop: Workspace) -> None:
    rules(
        shop,
        {
            "rule": "hello",
            "points": 100,
            "per": 1,
            "basis": "order",
            "only": {"first_purchase": True},
        },
    )
    first = line("t", "ann", 100, sold_at="2026-03-01")
    night(shop, "2026-03-02", first)
    second = line("u", "ann", 100, sold_at="2026-03-04")
    late = line("s", "ann", 100, sold_at="2026-02-28", file_id=2)  # heard of last, and was before
    night(shop, "2026-03-05", first, second, late)
    assert points(shop) == (103, 0, 0)
    taken = line("v", "bob", 100, sold_at="2026-03-05")
    night(shop, "2026-03-06", first, second, late, taken)
    taken |= {"customer_id": "cy", "file_id": 3}  # it was somebody else's
    night(shop, "2026-03-07", first, second, late, taken)
    own = line("w", "bob", 100, sold_at="2026-03-07")
    night(shop, "2026-03-08", first, second, late, taken, own)
    assert [points(shop, name)[0] for name in ("bob", "cy")] == [101, 101]


@pytest.mark.parametrize(("leap_day", "other_years"), [("feb-28", "02-28"), ("mar-1", "03-01")])
def test_row_28_a_birthday_on_29_february_comes_once_in_each_of_four_years(
    shop: Workspace, leap_day: str, other_years: str
) -> None:
    rules(
        shop,
        {"rule": "birthday", "points": 10, "per": 1, "basis": "order", "only": {"birthday": "day"}},
        leap_day=leap_day,
    )
    days = [
        f"{year}-{day}"
        for year in range(2024, 2028)
        for day in ("02-27", "02-28", "02-29", "03-01", "03-02")
        if day != "02-29" or year == 2024
    ]
    sales = [line(f"t{n}", "ann", 10, sold_at=f"{day}T12:00") for n, day in enumerate(days)]
    ann = {"customer_id": "ann", "birth_date": date(2000, 2, 29)}
    night(shop, "2028-01-01", *sales, customers=[ann])
    with shop.store.read() as store:
        found = store.all("select effective_at from transfer where rule = 'birthday' order by 1")
    given = [row["effective_at"][:10] for row in found]
    assert given == ["2024-02-29"] + [f"{year}-{other_years}" for year in (2025, 2026, 2027)]


@pytest.mark.parametrize(
    ("cap", "given"),
    [
        ({"transaction": 7}, [7, 7, 7, 7]),
        ({"day": 12}, [10, 2, 10, 10]),
        ({"member": 25}, [10, 10, 5, 10]),
        ({"budget": 34}, [10, 10, 10, 4]),
    ],
)
def test_a_cap_holds_over_receipts_and_nights(
    shop: Workspace, cap: dict[str, int], given: list[int]
) -> None:
    club(shop, earn_rules=[{**ONE, "cap": cap}])
    sales = [
        line("t1", "ann", 1000, sold_at="2026-03-01T10:00"),
        line("t2", "ann", 1000, sold_at="2026-03-01T11:00"),
        line("t3", "ann", 1000, sold_at="2026-03-02T10:00"),
        line("t4", "bob", 1000, sold_at="2026-03-02T11:00"),
    ]
    night(shop, "2026-03-01T10:30", sales[0])
    night(shop, "2026-03-02", *sales[:2])
    night(shop, "2026-03-03", *sales)
    with shop.store.read() as store:
        found = {r["source_id"]: r["amount"] for r in store.all("select * from transfer")}
    assert [found[f"t{n}"] for n in range(1, 5)] == given
    back = line("r", "ann", -500, original_transaction_id="t1", sold_at="2026-03-03")
    night(shop, "2026-03-04", *sales, back)
    kept = min(5, given[0])
    assert points(shop)[0] == kept + given[1] + given[2]


def test_each_day_of_one_night_has_its_own_cap(shop: Workspace) -> None:
    club(shop, earn_rules=[{**ONE, "cap": {"day": 12}}])
    days = ("2026-03-01T10:00", "2026-03-01T11:00", "2026-03-02T10:00")
    night(shop, "2026-03-03", *(line(f"t{day}", "ann", 1000, sold_at=day) for day in days))
    assert points(shop) == (12 + 10, 0, 0)


def test_a_correction_keeps_to_the_caps_as_does_who_was_merged(shop: Workspace) -> None:
    caps = {"day": 12, "member": 25, "budget": 50}
    club(
        shop, earn_rules=[{**ONE, "rule": name, "cap": {name: most}} for name, most in caps.items()]
    )
    sales = [
        line("t", "bob", 1000),
        line("u", "ann", 1000),
        line("v", "ann", 1000, sold_at="2026-03-01T10:00"),
    ]
    night(shop, "2026-03-02", *sales)
    assert points(shop) == (12 + 20 + 20, 0, 0)
    with shop.store.write() as store:
        at = datetime(2026, 3, 2, 9, tzinfo=UTC)
        merging.move(Books(store, "club", at, at.date()), "bob", "ann")
    sales = [{**sale, "customer_id": "ann"} for sale in sales]
    sales[2] |= {"amount": 4000, "file_id": 2}
    night(shop, "2026-03-03", *sales)
    assert points(shop) == ((10 + 10) + (10 + 5 + 10) + (10 + 10 + 30), 0, 0)


def test_a_corrected_receipt_that_no_longer_suits_a_rule_gives_nothing_by_it(
    shop: Workspace,
) -> None:
    visit = {"rule": "visit", "points": 50, "per": 1, "basis": "order"}
    club(shop, earn_rules=[{**visit, "only": {"least_amount": 1000, "stores": ["north"]}}])
    sales = [line(name, name, 2000, store_id="north") for name in ("ann", "bob", "cy")]
    night(shop, "2026-03-02", *sales)
    sales[1] |= {"amount": 500, "file_id": 2}
    sales[2] |= {"store_id": "south", "file_id": 2}
    night(shop, "2026-03-03", *sales)
    assert [points(shop, name)[0] for name in ("ann", "bob", "cy")] == [50, 0, 0]


@pytest.mark.parametrize("pending", [0, 30])
def test_points_of_a_receipt_whose_day_is_corrected_last_from_that_day(
    shop: Workspace, pending: int
) -> None:
    """Once, whichever way the day moves; what came back stays taken."""
    rules(shop, expiry={"kind": "rolling", "months": 12}, pending_days=pending)
    back = line("r", "ann", -300, original_transaction_id="t", sold_at="2026-03-09")
    for night_on, day, told, moved in [
        ("2026-03-10", 5, 1, 2), ("2026-03-11", 8, 2, 2), ("2026-03-12", 3, 3, 2), ("2026-03-13", 3, 4, 0),
    ]:  # fmt: skip
        sale = line("t", "ann", 1000, sold_at=f"2026-03-0{day}", file_id=told)
        assert night(shop, night_on, sale, back).transfers == moved
        last = date(2026, 3, day) + timedelta(days=pending)
        assert ends(shop, "ann") == [(last.replace(year=2027).isoformat(), 7)]


def test_a_receipt_whose_day_is_corrected_earns_by_the_rules_of_that_day(shop: Workspace) -> None:
    monday = {**ONE, "rule": "monday", "only": {"weekdays": ["mon"]}, "cap": {"day": 15}}
    club(shop, earn_rules=[ONE, monday])
    sales = [
        line("a", "ann", 1000, sold_at="2026-03-01T10:00"),
        line("b", "bob", 1000, sold_at="2026-03-01T10:00"),
        line("c", "cy", 1000, sold_at="2026-03-02T10:00"),
        line("d", "cy", 1000, sold_at="2026-03-01T11:00"),
    ]
    night(shop, "2026-03-03", *sales)
    names = ("ann", "bob", "cy")
    assert [points(shop, name)[0] for name in names] == [10, 10, 30]
    sales = [{**one, "file_id": 2} for one in sales]
    sales[0]["sold_at"] = sales[3]["sold_at"] = "2026-03-02T10:00"
    sales[1]["sold_at"] = "2026-03-01T12:00"
    for day in ("2026-03-04", "2026-03-05"):  # the next export says the same, under other rules
        night(shop, day, *sales)
        assert [points(shop, name)[0] for name in names] == [20, 10, 35]
        club(shop, earn_rules=[ONE, {**monday, "points": 7, "cap": {}}])
        sales = [{**one, "file_id": 3} for one in sales]


@pytest.mark.parametrize(
    "changed",
    [
        {"basis": "item", "per": 1, "points": 3},
        {"only": {"products": ["beans"]}},
        {"basis": "order", "per": 1, "points": 9},
    ],
)
def test_a_rule_that_counts_otherwise_by_now_does_not_judge_old_receipts_again(
    shop: Workspace, changed: dict[str, Any]
) -> None:
    """Neither when something of them comes back nor when they are exported once more."""
    club(shop, earn_rules=[ONE])
    beans = line("t", "ann", 1000, product_id="beans")
    mug = line("t", "ann", 500, line_id="2", product_id="mug")
    night(shop, "2026-03-02", beans, mug)
    club(shop, earn_rules=[ONE | changed])
    again = [{**one, "file_id": 2} for one in (beans, mug)]
    assert night(shop, "2026-03-03", *again).transfers == 0
    sold = {"product_id": "mug", "sold_at": "2026-03-03", "file_id": 3}
    back = line("r", "ann", -100, original_transaction_id="t", **sold)
    night(shop, "2026-03-04", *again, back)
    assert points(shop) == (14, 0, 0)  # of 15, the share that was kept
    # what the receipt itself says otherwise is judged by the rule of today
    night(shop, "2026-03-05", {**again[0], "amount": 700, "file_id": 4}, again[1], back)
    assert points(shop) != (14, 0, 0)


@pytest.mark.parametrize("returns", ["debt", "only_pending"])
def test_what_gave_nothing_when_it_came_gives_nothing_when_part_of_it_comes_back(
    shop: Workspace, returns: str
) -> None:
    """Though by then the rules, the member's tier or the room of a cap are others."""
    few = {"rule": "few", "points": 1, "per": 1, "basis": "order", "cap": {"member": 1}}
    rare = {"rule": "rare", "points": 1, "per": 100, "only": {"tiers": ["silver"]}}
    levels = {"levels": [{"tier": "silver", "least": 1}]}
    club(shop, earn_rules=[rare, few], tiers=levels, returns=returns)
    sales = [line(f"t{n}", "ann", 900, sold_at=f"2026-03-01T1{n}:00") for n in range(3)]
    night(shop, "2026-03-02", *sales)
    assert points(shop) == (1, 0, 0)
    club(shop, earn_rules=[rare, {**few, "cap": {}}, ONE], tiers=levels, returns=returns)
    back = line("r", "ann", -100, original_transaction_id="t2", sold_at="2026-03-02", file_id=2)
    assert night(shop, "2026-03-03", *sales, back).transfers == 0
    assert points(shop) == (1, 0, 0)


def test_a_return_takes_the_points_of_its_receipt_also_where_a_correction_brought_them(
    shop: Workspace,
) -> None:
    piece = {"rule": "piece", "points": 1, "per": 1, "basis": "item"}
    rules(shop, piece, expiry={"kind": "rolling", "months": 12})
    old = line("t", "ann", 1000, sold_at="2026-01-01", quantity=0)
    sale = line("u", "ann", 50, sold_at="2026-02-01")
    night(shop, "2026-02-02", old, sale)
    sale |= {"amount": 800, "quantity": 2, "file_id": 2}
    night(shop, "2026-02-03", old, sale)
    back = line("r", "ann", -800, quantity=-2, original_transaction_id="u", sold_at="2026-02-03")
    night(shop, "2026-02-04", old, sale, back)
    assert ends(shop, "ann") == [("2027-01-01", 10)]


def test_a_receipt_corrected_with_its_return_gives_what_was_kept_whatever_the_tiers_are(
    shop: Workspace,
) -> None:
    """Levels without a multiplier of their own give alike."""
    rules(
        shop, tiers={"levels": [{"tier": "silver", "least": 300}, {"tier": "gold", "least": 900}]}
    )
    night(shop, "2026-03-02", line("t", "ann", 2000))
    sale = line("t", "ann", 1900, file_id=2)
    back = line("r", "ann", -500, original_transaction_id="t", sold_at="2026-03-02", file_id=2)
    night(shop, "2026-03-03", sale, back)
    assert points(shop) == (14, 0, 0)


def test_of_rules_that_do_not_add_up_the_best_counts(shop: Workspace) -> None:
    best = [
        {**ONE, "rule": name, "points": n, "stacking": "best"}
        for name, n in (("two", 2), ("three", 3))
    ]
    club(shop, earn_rules=[{**ONE, "cap": {"transaction": 7}}, *best])
    sales = [line("t", "ann", 1000), line("u", "ann", 2000)]
    night(shop, "2026-03-02", *sales)
    assert points(shop) == ((7 + 30) + (7 + 60), 0, 0)
    back = line("r", "ann", -1000, sold_at="2026-03-02")  # nobody knows of what
    night(shop, "2026-03-03", *sales, back)
    assert points(shop) == (7 + 60, 0, 0)


def test_the_best_is_what_gives_most_within_its_caps(shop: Workspace) -> None:
    """A rule whose cap is reached stood in the way of those that still give."""
    promo = {**ONE, "rule": "promo", "points": 3, "stacking": "best"}
    base = {**ONE, "rule": "base", "stacking": "best"}
    club(shop, earn_rules=[{**promo, "cap": {"day": 30, "budget": 70}}, base])
    sales = [
        line("a", "ann", 800, sold_at="2026-03-01 10:00"),  # 24 of 30
        line("b", "ann", 500, sold_at="2026-03-01 11:00"),  # the 6 left, or 5
        line("c", "ann", 700, sold_at="2026-03-01 12:00"),  # by the other rule
        line("d", "bob", 900, sold_at="2026-03-02 10:00"),  # 27 of the 40 left for all
        line("e", "cy", 2000, sold_at="2026-03-02 11:00"),  # 20 rather than 13
        line("f", "cy", 400, sold_at="2026-03-02 12:00"),  # 12, for they are still there
        line("g", "dan", 100, sold_at="2026-03-02 13:00"),
    ]
    names = ("ann", "bob", "cy", "dan")
    night(shop, "2026-03-03", *sales)
    assert [points(shop, name)[0] for name in names] == [24 + 6 + 7, 27, 20 + 12, 1]
    later = line("h", "bob", 1000, sold_at="2026-03-03", file_id=2)
    night(shop, "2026-03-04", *sales, later)
    assert points(shop, "bob")[0] == 27 + 10


def test_the_best_has_its_whole_cap_again_on_another_day(shop: Workspace) -> None:
    promo = {**ONE, "rule": "promo", "points": 3, "stacking": "best", "cap": {"day": 30}}
    club(shop, earn_rules=[promo, {**ONE, "rule": "base", "stacking": "best"}])
    first = line("a", "ann", 900)
    night(shop, "2026-03-02", first)
    night(shop, "2026-03-03", first, line("b", "ann", 1000, sold_at="2026-03-02", file_id=2))
    assert points(shop) == (27 + 30, 0, 0)


def test_a_return_takes_back_with_the_multiplier_that_gave(shop: Workspace) -> None:
    """Also when the member's tier is another by then."""
    rules(shop, tiers={"levels": LEVELS})
    first = line("t", "ann", 3000, sold_at="2026-03-01")
    night(shop, "2026-03-02", first)
    second = line("u", "ann", 1000, sold_at="2026-03-02")
    night(shop, "2026-03-03", first, second)
    assert points(shop) == (30 + 15, 0, 0)
    backs = [
        line(f"r{n}", "ann", -500, original_transaction_id=name, sold_at="2026-03-04")
        for n, name in enumerate("tu")
    ]
    night(shop, "2026-03-05", first, second, *backs)
    assert points(shop) == (25 + 7, 0, 0)
    with shop.store.write() as store:
        store.run(
            "insert into tier_move (programme, customer_id, business_date, position, tier, "
            "previous_tier, reason, qualifying) "
            "values ('club', 'ann', '2026-03-05', 9, '', 'gold', 'fell', 0)"
        )
    second |= {"amount": 1200, "file_id": 2}  # judged again, by what the member is now
    night(shop, "2026-03-06", first, second, *backs)
    assert points(shop) == (25 + 7, 0, 0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"expiry": {"kind": "roling", "months": 1}}, "'kind' cannot be 'roling'. Did you mean 'rolling'"),
        ({"expiry": {"kind": "rolling"}}, "'rolling' needs 'months' or 'days'"),
        ({"tiers": {"levels": [*reversed(LEVELS)]}}, "'silver' must need more than 'gold'"),
        ({"tiers": {"levels": [LEVELS[0], {**LEVELS[1], "least": LEVELS[0]["least"]}]}}, "'gold' must need more"),
        ({"tiers": {"levels": [LEVELS[0], {**LEVELS[1], "tier": "silver"}]}}, "'silver' must need more"),
        ({"earn_rules": [{**ONE, "only": {"tiers": ["gld"]}}], "tiers": {"levels": LEVELS}}, "'gld' is not a tier of `tiers`. Did you mean 'gold'"),
        ({"earn_rules": [{**ONE, "only": {"weekdays": ["sunday"]}}]}, "cannot be 'sunday'"),
        ({"earn_rules": [{**ONE, "cap": {"dya": 1}}]}, "'dya' is not a key here. Did you mean 'day'"),
        ({"timezone": "Europe/Atens"}, "'Europe/Atens' is not a time zone"),
        ({"pending_days": -1}, "'pending_days' cannot be -1"),
    ],
)  # fmt: skip
def test_a_mistake_is_pointed_at(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    ws = workspace(tmp_path / "home", project=tmp_path / "project")
    club(ws, **changes)
    with pytest.raises(BadInput) as found:
        load(ws.project)
    assert sentence in str(found.value)
    assert CLUB["returns"] == "debt"
