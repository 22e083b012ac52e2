"""Who needs an offer: learned from a made-up shop's trial, judged by the truth about it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tessera.decide.filters import Filter, condition
from tessera.errors import BadInput
from tessera.know import choices, offering, sales
from tessera.know.offering import Offering
from tessera.know.scores import score
from tessera.shop import make_shop
from tessera.testing import publish, workspace
from tessera.warehouse import marts
from tessera.workspace import Workspace

MARTS = {
    "transactions": """
        select receipt_no::varchar as transaction_id, line_no::varchar as line_id,
            card_no::varchar as card_id, store_no as store_id,
            timezone('UTC', timezone(tz, till_time)) as sold_at, tz as timezone,
            article_no::varchar as product_id, qty::decimal(18, 3) as quantity,
            (paid * 100)::bigint as amount, (saved * 100)::bigint as discount,
            coupon as coupon_code, 'sale' as kind, ccy as currency, member_no as customer_id
        from '{shop}/receipts_*.parquet' inner join '{shop}/cards.parquet' using (card_no)
        where type = 'S'""",
    "products": """
        select article_no::varchar as product_id, department as category, ccy as currency,
            (shelf_price * 100)::bigint as price, (margin * 100)::bigint as unit_margin
        from '{shop}/products.parquet'""",
    "trials": """
        select member_no as customer_id, subject as trial, at_time::date as offered_on,
            state = 'offered' as is_offered
        from '{shop}/interactions.parquet' where state in ('offered', 'withheld')""",
    "customers": "select member_no as customer_id, 1::bigint as receipts from '{shop}/customers.parquet'",
}


def opened(folder: Path, customers: int, seed: int = 1) -> Workspace:
    """A home with the marts of a shop that tried a coupon a month before the end of June."""
    shop = folder / "shop"
    given = {"customers": customers, "seed": seed, "trial": True}
    make_shop(shop, days=181, start=date(2025, 1, 1), file_format="parquet", **given)  # type: ignore[arg-type]
    ws = workspace(folder / "home", "2025-07-01", timezone="Europe/Athens")
    publish(ws)
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        for mart, query in MARTS.items():
            path = ws.home.marts / "by-hand" / mart / "rows.parquet"
            columns = (
                f"select * from read_parquet('{path}') union all by name {query.format(shop=shop)}"
            )
            db.execute(f"create table {mart} as {columns}")
            db.execute(f"copy {mart} to '{path}' (format parquet)")
    return ws


def worth(ws: Workspace, folder: Path, **careful: Any) -> dict[str, float]:
    """The margin that is truly expected of the policy, of the oracle, and of offers for all: what each
    person's offer adds, at the terms of the shipped file."""
    with marts.connect(ws.home) as connection:
        sales.load(connection, ws)
        its = Offering.of(ws.project)
        assert its is not None
        its = its.model_copy(update=careful)
        trial = choices._trial(connection, its, ws.business_date)
        assert trial is not None
        people = choices._people(connection, ws.business_date)
        since = choices._since_offer(connection, ws.business_date, people)
        found = choices.Learned.from_trial(trial).choose(people, since, its)
        truth = connection.execute(
            f"from '{folder / 'shop' / 'truth' / 'trial.parquet'}'"
        ).fetchnumpy()
    here = {name: place for place, name in enumerate(people.ids)}
    known = [place for place, name in enumerate(truth["customer_id"]) if name in here]
    rows = np.array([here[name] for name in truth["customer_id"][known]])
    anyway, uplift = truth["anyway_next"][known], truth["uplift_next"][known]
    terms = its.terms(people.basket[rows])
    gain = uplift * terms.margin - (anyway + uplift) * terms.cost - terms.contact
    return {
        "policy": gain[found.offered[rows]].sum(),
        "oracle": gain[gain > 0].sum(),
        "everybody": gain.sum(),
        "nobody": 0.0,
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    folder = tmp_path_factory.mktemp("choices")
    return opened(folder, 3000), folder


def test_the_policy_earns_more_than_offers_for_all_and_for_none(
    small: tuple[Workspace, Path],
) -> None:
    found = worth(*small)  # a share that explores and the guard of the habit cost something
    assert found["policy"] > max(found["everybody"], found["nobody"])
    assert found["policy"] > 0.6 * found["oracle"]


def test_the_choice_and_its_reason_stand_in_the_customers_mart(
    small: tuple[Workspace, Path],
) -> None:
    ws, _ = small
    score(ws)
    with marts.connect(ws.home) as connection:
        rows = connection.sql(
            "select offer_reason, is_offer_advised, count(*) from customers where offer_reason is not null group by all"
        ).fetchall()
    reasons = {reason for reason, _, _ in rows}
    assert {"sure_buyer", "annoyed", "not_worth_it", "offer", "explored"} <= reasons
    advised = {(reason, offered) for reason, offered, _ in rows if reason != "explored"}
    assert advised == {(reason, reason == "offer") for reason in reasons - {"explored"}}


def test_a_campaign_can_be_for_those_with_an_offer_advised(small: tuple[Workspace, Path]) -> None:
    narrowed = condition([Filter(field="is_offer_advised", eq=True)])
    with marts.connect(small[0].home) as connection:
        found = connection.sql(f"select count(*) from customers where {narrowed}").fetchall()
        chosen = connection.sql(
            f"select count(*) from '{small[0].home.know / 'offers.parquet'}' "
            "inner join customers using (customer_id) where is_advised"
        ).fetchall()
    assert found == chosen != [(0,)]
    assert (small[0].home.know / "cards" / "offers.md").read_text().count("policy") == 1


def test_who_had_the_offer_lately_is_left_alone(small: tuple[Workspace, Path]) -> None:
    ws, folder = small
    assert worth(ws, folder, rest="60d")["policy"] < worth(ws, folder)["policy"]


@pytest.mark.parametrize("offered", [True, False])
def test_what_the_shop_calls_true_is_what_happens(
    small: tuple[Workspace, Path], offered: bool
) -> None:
    ws, folder = small
    with marts.connect(ws.home) as connection:
        happened, expected = connection.execute(
            f"""
            select
                avg(exists (
                    select 1 from transactions as sold
                    where sold.customer_id = truth.customer_id and sold.sold_at::date - trials.offered_on between 1 and 14
                )::integer),
                avg(anyway + case when truth.is_offered then uplift else 0 end)
            from '{folder / "shop" / "truth" / "trial.parquet"}' as truth
            inner join trials using (customer_id)
            where truth.is_offered = ? and trials.is_offered = truth.is_offered
            """,
            [offered],
        ).fetchall()[0]
    assert happened == pytest.approx(expected, abs=0.04)


def test_a_trial_needs_a_past(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--days 120 or more, not 60"):
        make_shop(tmp_path / "shop", customers=10, days=60, seed=1, trial=True)
    assert not (tmp_path / "shop").exists()


def test_nothing_tried_teaches_nothing(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home")
    publish(ws)
    with marts.connect(ws.home) as connection:
        sales.load(connection, ws)
        assert choices.advise(ws, connection) is None


def test_a_mistake_in_the_file_is_told_by_its_line_and_key(tmp_path: Path) -> None:
    assert offering.check(tmp_path) == [], "a project may do without"
    assert Offering.of(tmp_path) is None
    path = tmp_path / offering.FILE
    path.parent.mkdir()
    path.write_text("trial: tenth\nmargin_share: 35\ncost_share: 0.1\nexplorations: 0.1\n")
    said = {(one.line, one.key): one.message for one in offering.check(tmp_path)}
    assert said[2, "margin_share"].startswith("'margin_share' cannot be 35")
    assert said[4, "explorations"].endswith("Did you mean 'exploration'?")
    with pytest.raises(BadInput, match=r"offers.yml:2: .*35"):
        Offering.of(tmp_path)


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_policy_is_within_a_tenth_of_the_oracle(tmp_path: Path, seed: int) -> None:
    found = worth(opened(tmp_path, 20_000, seed), tmp_path, exploration=0.0)
    assert found["policy"] >= 0.9 * found["oracle"]
    assert found["policy"] > max(found["everybody"], found["nobody"])
