"""Recommendations under the shop's rules, each on a shop where only that rule can tell."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tessera import say
from tessera.know import recommendations, sales
from tessera.say.customers import Customers
from tessera.say.fields import sample
from tessera.settings import CHECKOUT
from tessera.testing import line, publish, workspace
from tessera.warehouse import marts

TODAY = date(2026, 3, 31)
TEAS = [f"tea{number}" for number in range(10)]  # from cheap to dear
shown: dict[str, Any] = {}  # what a template may show of them
Chosen = dict[str, list[tuple[str, str]]]  # customer -> product and kind, best first


def sale(who: str, days_ago: int, product: str, basket: str = "") -> dict[str, Any]:
    at = str(TODAY - timedelta(days=days_ago))
    return line(f"{who}-{at}-{basket}{product}", who, 500, product_id=product, sold_at=at)


def product(name: str, price: int = 500, margin: int = 100, **columns: Any) -> dict[str, Any]:
    row = {"product_id": name, "name": name.title(), "price": price, "unit_margin": margin}
    return {**row, "category": "Other", "currency": "EUR", **columns}


def sold() -> list[dict[str, Any]]:
    """Ten weeks: twenty thrifty people, twenty with money, and a few of whom the rules can tell."""
    rows = []
    for week in range(10):
        ago = 10 + 7 * week
        for one in range(20):
            rows += [sale(f"thrifty{one}", ago, tea) for tea in TEAS[:3]]
            rows += [sale(f"rich{one}", ago, tea) for tea in TEAS[7:]]
            if one < 10:
                rows += [sale(f"thrifty{one}", ago, name) for name in ("pasta", "sauce")]
    rows += [sale("cook", ago, "pasta") for ago in (10, 20)]
    rows += [sale("fan", ago, name) for ago in (20, 40) for name in ("good", "better", "lossy")]
    rows += [sale("fan", ago, "lately") for ago in (6, 30)]
    rows += [sale("fan", ago, "a-week-ago") for ago in (7, 30)]
    rows += [sale("fan", ago, "gone") for ago in (170, 180)]
    rows += [sale("other", 8, f"own{place}") for place in range(12)]  # all of it is still there
    return rows + [sale("keen", 5 + 9 * place, f"own{place}") for place in range(12)]


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Chosen:
    ws = workspace(tmp_path_factory.mktemp("recommendations") / "home", str(TODAY))
    teas = [product(tea, 100 * place + 100, category="Tea") for place, tea in enumerate(TEAS)]
    others = [
        product("good", margin=50),
        product("better", margin=300),
        product("lossy", margin=-1),
    ]
    named = [product("pasta"), product("sauce")]
    products = [*teas, *others, *[{**row, "price": None, "unit_margin": None} for row in named]]
    publish(ws, transactions=sold(), products=products, customers=[{"customer_id": "cook"}])
    with marts.connect(ws.home) as connection:
        sales.load(connection, ws)
        rows, _ = recommendations.choose(connection)
    ws.home.know.mkdir()
    pq.write_table(rows, ws.home.know / "recommendations.parquet")
    shown["cook"] = Customers(ws).read(["cook"])["cook"].fields
    found: Chosen = {}
    for row in sorted(rows.to_pylist(), key=lambda row: (row["customer_id"], row["rank"])):
        found.setdefault(row["customer_id"], []).append((row["product_id"], row["kind"]))
    return found


def names(chosen: Chosen, who: str) -> list[str]:
    return [name for name, _ in chosen[who]]


def test_what_was_bought_is_replenished_and_nothing_else(chosen: Chosen) -> None:
    kinds = dict(chosen["thrifty0"])
    assert {name for name, kind in kinds.items() if kind == "replenish"} == {
        *TEAS[:3],
        "pasta",
        "sauce",
    }


def test_nothing_of_the_last_days_is_recommended(chosen: Chosen) -> None:
    assert "lately" not in names(chosen, "fan")
    assert dict(chosen["fan"])["a-week-ago"] == "replenish"
    assert "own0" not in names(chosen, "keen")


def test_what_nobody_has_sold_for_long_is_taken_for_gone(chosen: Chosen) -> None:
    assert not [who for who in chosen if "gone" in names(chosen, who)]


def test_what_loses_money_is_recommended_to_nobody(chosen: Chosen) -> None:
    assert not [who for who in chosen if "lossy" in names(chosen, who)]


def test_of_two_liked_as_much_the_one_with_more_margin_is_first(chosen: Chosen) -> None:
    liked = [name for name in names(chosen, "fan") if name in ("good", "better")]
    assert liked == ["better", "good"]


def test_what_is_new_is_of_a_price_like_the_usual_ones(chosen: Chosen) -> None:
    assert not {*TEAS[7:]} & {*names(chosen, "thrifty0")}
    assert not {*TEAS[:3]} & {*names(chosen, "rich0")}
    assert {"tea1", "tea9"} <= {*names(chosen, "cook")}  # of whom no price level is known


def test_what_goes_with_the_usual_is_told_apart_from_what_is_merely_popular(chosen: Chosen) -> None:
    assert dict(chosen["cook"])["sauce"] == "goes_with"
    assert "goes_with" not in dict(chosen["rich0"]).values()


def test_six_usual_ones_at_most_and_ten_in_all(chosen: Chosen) -> None:
    assert [kind for _, kind in chosen["keen"]].count("replenish") == 6
    assert [kind for _, kind in chosen["keen"]].count("new") >= 2
    assert max(map(len, chosen.values())) <= 10


def test_a_letter_names_what_is_usual_and_what_is_not(chosen: Chosen) -> None:
    assert list(shown["cook"]["usual_products"]) == ["Pasta"]
    others = [name.title() for name, kind in chosen["cook"] if kind != "replenish"]
    named = [name for name in others if name.startswith(("Tea", "Sauce"))]  # the rest have no name
    assert list(shown["cook"]["suggested_products"]) == named[:3]


@pytest.mark.parametrize("language", ["en", "fa"])
def test_without_recommendations_the_letter_is_as_it_was(language: str) -> None:
    known, unknown = sample(full=True), sample(full=False)
    for template in (
        "replenishment/due",
        "weekly_offers/picks",
        "weekly_offers/shelf",
        "winback/news",
    ):
        with_them = say.render(CHECKOUT, template, language, known)
        without = say.render(CHECKOUT, template, language, unknown)
        assert all(name in with_them.html for name in known["suggested_products"])
        assert all(name in with_them.text for name in known["suggested_products"])
        assert without.text
        assert not [
            name for name in known["suggested_products"] if name in without.html + without.text
        ]


def test_a_shop_that_sold_nothing_recommends_nothing(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home")
    publish(ws)
    with marts.connect(ws.home) as connection:
        sales.load(connection, ws)
        assert len(recommendations.choose(connection)[0]) == 0
    assert Customers(ws).read(["c1"]) == {}
