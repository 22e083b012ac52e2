"""Scores of a home: everybody who bought has one, and is recommended nothing just bought."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.know.scores import score
from tessera.know.weeks import learned
from tessera.person.held import held
from tessera.person.identity import find
from tessera.testing import line, publish, workspace
from tessera.warehouse import marts
from tessera.workspace import Workspace

FIRST = date(2025, 10, 1)


def bought(number: int = 120, days: int = 180) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    rows = []
    for who in range(number):
        own, day = rng.integers(0, 30, 2), float(rng.integers(0, 60))
        gap = rng.gamma(2, 10)
        while day < days:
            product = f"p{rng.choice(own)}" if rng.random() < 0.8 else "p99"
            at = str(FIRST + timedelta(days=int(day)))
            rows.append(line(f"t{len(rows)}", f"c{who}", 900, product_id=product, sold_at=at))
            day += rng.gamma(2, gap / 2) + 1
    return rows


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = workspace(tmp_path_factory.mktemp("scores") / "home")
    people = [{"customer_id": f"c{who}", "given_name": "Ana"} for who in range(120)]
    publish(ws, transactions=bought(), customers=[*people, {"customer_id": "nobody"}])
    score(ws)
    return ws


def test_everybody_who_bought_has_a_score(scored: Workspace) -> None:
    path = scored.home.know / "scores.parquet"
    number, least, most, money = duckdb.sql(
        f"select count(distinct customer_id), min(alive), max(alive), sum(expected_revenue) from '{path}'"
    ).fetchall()[0]
    assert number == 120
    assert 0 <= least <= most <= 1
    assert money == pytest.approx(
        900 * duckdb.sql(f"select sum(expected_purchases) from '{path}'").fetchall()[0][0], rel=0.02
    )


def test_the_weeks_foretold_are_told_by_the_command(scored: Workspace, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["know", "weeks", "--json", "--home", str(scored.home.root)])
    weeks = json.loads(told.stdout)
    assert [week["kind"] for week in weeks] == ["back_test"] * 8 + ["forecast"] * 13
    assert all(week["low"] < week["expected_purchases"] < week["high"] for week in weeks)
    coming = [week["begins_on"] for week in weeks if week["actual_purchases"] is None]
    assert (len(coming), min(coming)) == (13, "2026-03-31")
    young = workspace(tmp_path / "home")
    publish(young)
    with pytest.raises(BadInput, match="No week is foretold"):
        learned(young)


def test_nothing_just_bought_is_recommended(scored: Workspace) -> None:
    owned, lately = defaultdict(set), defaultdict(set)
    for row in bought():
        owned[row["customer_id"]].add(row["product_id"])
        if row["sold_at"] > "2026-03-24":
            lately[row["customer_id"]].add(row["product_id"])
    path = scored.home.know / "recommendations.parquet"
    rows = duckdb.sql(f"select customer_id, rank, product_id, kind from '{path}'").fetchall()
    assert any(lately.values())
    assert not [who for who, _, product, _ in rows if product in lately[who]]
    assert all((kind == "replenish") == (product in owned[who]) for who, _, product, kind in rows)
    assert {rank for _, rank, _, _ in rows} <= set(range(1, 11))


def test_again_writes_the_same_bytes(scored: Workspace) -> None:
    folders = (scored.home.know, scored.home.marts)
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    before = [path.read_bytes() for path in paths]
    score(scored)
    assert [path.read_bytes() for path in paths] == before


def test_what_is_learned_stands_in_the_customers_mart(scored: Workspace) -> None:
    with marts.connect(scored.home) as connection:
        (bought,) = (
            connection.execute(
                "select * exclude (customer_id) from customers where customer_id = 'c0'"
            )
            .to_arrow_table()
            .to_pylist()
        )
        (unknown,) = connection.execute(
            "select predicted_purchases, predicted_revenue, churn_risk, favourite_product_id, price_level "
            "from customers where customer_id = 'nobody'"
        ).fetchall()
        (alive,) = connection.execute(
            f"select alive from '{scored.home.know / 'scores.parquet'}' where customer_id = 'c0'"
        ).fetchall()
    assert bought["given_name"] == "Ana"  # what the build wrote is left alone
    own = [row for row in bought_by("c0") if row["sold_at"] < "2026-03-31"]
    days = Counter(date.fromisoformat(row["sold_at"]).isoweekday() for row in own)
    assert bought["favourite_weekday"] == min(days, key=lambda day: (-days[day], day))
    products = Counter(row["product_id"] for row in own)
    assert bought["favourite_product_id"] == min(products, key=lambda name: (-products[name], name))
    assert bought["favourite_hour"] == 0
    assert float(bought["chance_alive"]) == pytest.approx(alive[0], abs=1e-4)
    risk = "low" if alive[0] >= 2 / 3 else "medium" if alive[0] >= 1 / 3 else "high"
    assert bought["churn_risk"] == risk
    assert bought["predicted_revenue"] > 0
    assert unknown == (None,) * 5


def test_money_of_two_currencies_is_not_added_up(tmp_path: Path, scored: Workspace) -> None:
    ws = workspace(tmp_path / "home")
    dear = {f"c{who}" for who in range(0, 120, 3)}  # a third pays in roubles, a hundred for a euro
    paid = {"currency": "RUB", "amount": 90_000}
    lines = [{**row, **paid} if row["customer_id"] in dear else row for row in bought()]
    who = [{"customer_id": f"c{who}", "currency": "EUR"} for who in range(120)]
    people = [{**one, "currency": "RUB"} if one["customer_id"] in dear else one for one in who]
    publish(ws, transactions=lines, customers=people)
    score(ws)

    def learned(home: Workspace) -> list[tuple[Any, ...]]:
        with marts.connect(home.home) as connection:
            return connection.execute(
                "select customer_id, predicted_revenue from customers "
                "where predicted_revenue is not null order by customer_id"
            ).fetchall()

    in_one = learned(scored)
    assert learned(ws) == [
        (one, pytest.approx(money * (100 if one in dear else 1), rel=0.01, abs=50))
        for one, money in in_one
    ]
    weeks = [duckdb.sql(f"from '{home.home.know / 'weeks.parquet'}'") for home in (scored, ws)]
    assert weeks[0].fetchall() == weeks[1].fetchall()


def test_money_is_in_the_currency_of_today_where_the_shop_changed_it(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home")
    lines = [
        {**row, "currency": kuna, "amount": amount, "line_id": str(number)}
        for row in bought()
        for kuna, amount, count in [
            ("HRK", 6_780, 2) if row["sold_at"] < "2026" else ("EUR", 900, 1)
        ]
        for number in range(count)
    ]
    publish(ws, transactions=lines)
    score(ws)
    (expected, money) = duckdb.sql(
        "select sum(expected_purchases), sum(expected_revenue) "
        f"from '{ws.home.know / 'weeks.parquet'}' where kind = 'forecast'"
    ).fetchall()[0]
    assert 900 <= money / expected <= 1_900, "cents of a euro, most lines being in kuna or not"


def bought_by(who: str) -> list[dict[str, Any]]:
    return [row for row in bought() if row["customer_id"] == who]


def test_weeks_are_foretold_and_tried_on_the_past(scored: Workspace) -> None:
    with marts.connect(scored.home) as connection:
        rows = connection.sql("from weeks").to_arrow_table().to_pylist()
        (expected,) = connection.sql("select sum(predicted_purchases) from customers").fetchall()
    forecast = [row for row in rows if row["kind"] == "forecast"]
    assert [row["begins_on"] for row in forecast[:2]] == [date(2026, 3, 31), date(2026, 4, 7)]
    assert sum(row["expected_purchases"] for row in forecast) == pytest.approx(
        float(expected[0]), rel=0.02
    )
    tried = [row for row in rows if row["kind"] == "back_test"]
    actual = [date(2026, 2, 3) <= date.fromisoformat(row["sold_at"]) for row in bought()]
    assert sum(row["actual_purchases"] for row in tried) <= sum(actual)
    assert sum(row["actual_purchases"] for row in tried) > 0.8 * sum(
        actual
    )  # newcomers are left out
    assert all(row["low"] <= row["expected_purchases"] <= row["high"] for row in rows)
    assert all(row["revenue_low"] < row["expected_revenue"] < row["revenue_high"] for row in rows)


def test_each_model_has_a_card_that_says_how_good_it_is_and_where_it_ends(
    scored: Workspace,
) -> None:
    texts = {path.stem: path.read_text() for path in (scored.home.know / "cards").glob("*.md")}
    assert set(texts) == {"value", "recommendations"}  # nothing was tried, so no card for offers
    for text in texts.values():
        assert "2026-03-31" in text
        assert "**How good.**" in text
        assert "**Limits.**" in text
    assert "were off by" in texts["value"]


def test_who_asks_is_told_what_was_learned_of_them(scored: Workspace) -> None:
    found = held(scored, find(scored, "c1"))
    assert {"learned habits", "learned scores", "learned recommendations"} <= set(found)
    assert "learned weeks" not in found  # they name nobody
    assert {row["customer_id"] for row in found["learned scores"]} == {"c1"}


def test_too_few_purchases_are_one_sentence(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home")
    publish(ws, transactions=[line("t", "c", 900)], customers=[{"customer_id": "c"}])
    with pytest.raises(BadInput, match="too few to learn from"):
        score(ws)
    with marts.connect(ws.home) as connection:
        habits = connection.sql("select favourite_product_id from customers").fetchall()
    assert habits == [("p",)]  # they need no model
