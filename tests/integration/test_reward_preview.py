"""What a till shows that a basket will earn is what the night posts for it, whatever the rules; where
only the night can know, nothing is shown."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tessera.reward import cards, post
from tessera.reward.preview import Preview
from tessera.reward.programme import FILE, Programme, load
from tessera.reward.till import Spend, Till
from tessera.testing import line, publish, workspace
from tessera.vouchers.spending import Basket
from tessera.vouchers.terms import Line
from tessera.workspace import Workspace

NUMBERS = itertools.count()
ZONE = "Asia/Tehran"  # half past eight in the evening, UTC, is tomorrow there
PRODUCTS = [
    {"product_id": "p0", "category": "tea", "brand": "Leaf"},
    {"product_id": "p1", "category": "tea", "brand": "Bag"},
    {"product_id": "p2", "category": "bread"},
    {"product_id": "p3"},
]
BIRTHDAYS = [None, date(1990, 3, 31), date(1980, 3, 2), date(2000, 2, 29), date(1970, 7, 1)]
MEMBERS = [
    {
        "customer_id": f"c{n}",
        "card_id": f"K{n}",
        "birth_date": BIRTHDAYS[n % 5],
        "first_purchase_at": datetime(2025, 5, 5) if n % 3 else None,  # noqa: DTZ001 - as marts write
    }
    for n in range(15)
]
BEFORE = [line(f"b{m['customer_id']}", m["customer_id"], 700, sold_at="2025-05-05")
          for m in MEMBERS if m["first_purchase_at"]]  # fmt: skip
AT = ["2026-03-31T20:29:59", "2026-03-31T20:30:00", "2026-02-28T09:00:00", "2026-03-30T23:00:00"]


def some(of: list[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.sampled_from(of), min_size=1, max_size=2, unique=True)


CAP = st.fixed_dictionaries(
    {}, optional={"transaction": st.integers(1, 90)}
) | st.sampled_from([{"day": 40}, {"member": 40}, {"budget": 40}])  # fmt: skip
ONLY = st.just({}) | st.fixed_dictionaries(
    {
        "products": some(["p0", "p1", "p3"]),
        "categories": some(["tea", "bread"]),
        "brands": some(["Leaf"]),
        "stores": some(["S1", "S2"]),
        "weekdays": some(["tue", "wed", "sat"]),
        "tiers": some(["silver", "gold"]),
        "first_purchase": st.sampled_from([None, None, None, True]),
        "birthday": st.sampled_from([None, None, "day", "month"]),
        "least_amount": st.none() | st.integers(1, 5000),
        "since": st.none() | st.just("2026-04-01"),
    }
).map(lambda said: dict(itertools.islice(((k, v) for k, v in said.items() if v), 2)))
PLAIN = st.lists(
    st.fixed_dictionaries(
        {
            "points": st.integers(1, 7),
            "per": st.sampled_from([1, 3, 100]),
            "rounding": st.sampled_from(["down", "nearest", "up"]),
        },
        optional={"cap": st.just({"transaction": 20})},
    ),
    min_size=1,
    max_size=3,
)
RULES = PLAIN | st.lists(
    st.fixed_dictionaries(
        {
            "points": st.integers(1, 7),
            "per": st.sampled_from([1, 3, 100]),
            "basis": st.sampled_from(["currency", "currency", "item", "order"]),
            "rounding": st.sampled_from(["down", "nearest", "up"]),
            "only": ONLY,
            "cap": CAP,
            "stacking": st.sampled_from(["add", "best"]),
        }
    ),
    min_size=1,
    max_size=4,
)
BASKETS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(["p0", "p1", "p2", "p3", "new"]), st.integers(0, 3000),
                      st.integers(1, 4)),
            min_size=1, max_size=4,
        ),
        st.sampled_from(["S1", "S2"]),
        st.sampled_from(AT),
        st.sampled_from(["", "silver", "gold"]),
    ),
    min_size=len(MEMBERS), max_size=len(MEMBERS),
)  # fmt: skip


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("club")
    ws = workspace(folder / "home", "2026-04-02", project=folder / "project", timezone=ZONE)
    (ws.project / FILE).parent.mkdir(parents=True)
    publish(ws, customers=MEMBERS)
    cards.refresh(ws)
    yield ws
    ws.store.close()


def begin(ws: Workspace, rules: list[Mapping[str, Any]], **more: Any) -> Programme:
    """Another programme in the same store."""
    levels = [
        {"tier": "silver", "least": 10**6},
        {"tier": "gold", "least": 10**7, "multiplier": "3/2"},
    ]
    number = next(NUMBERS)
    said = {
        "programme": f"club{number}",
        "beside": [f"club{earlier}" for earlier in range(number)],
        "currency": "EUR",
        "returns": "debt",
        "earn_rules": [{"rule": f"r{n}", **rule} for n, rule in enumerate(rules)],
        "tiers": {"levels": levels},
    }
    (ws.project / FILE).write_text(yaml.safe_dump(said | more), encoding="utf-8")
    return load(ws.project)


def shown(ws: Workspace, programme: Programme, baskets: list[Any]) -> dict[str, int | None]:
    """What the till of each basket's store says at its hour."""
    preview = Preview(programme, ws.home, ZONE)
    found = {}
    with ws.store.read() as store:
        for who, (lines, store_id, at, _tier) in zip(MEMBERS, baskets, strict=True):
            moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
            till = Till(store, programme, b"s", store_id, moment, moment.date(), preview=preview)
            goods = (Line(product=p, amount=amount, quantity=q) for p, amount, q in lines)
            wish = Spend(Basket("EUR", tuple(goods)), who["card_id"])
            found[who["customer_id"]] = till.quote(wish).points_earned
    return found


def posted(ws: Workspace, programme: Programme) -> dict[str, int]:
    post(ws)
    with ws.store.read() as store:
        rows = store.all(
            "select source_id, sum(amount) as points from transfer where programme = :programme "
            "and source_id like 'now%' group by source_id",
            programme=programme.programme,
        )
    return {row["source_id"].removeprefix("now:"): int(row["points"]) for row in rows}


def check(ws: Workspace, rules: list[Any], baskets: list[Any]) -> None:
    programme = begin(ws, rules)
    move = (
        "insert into tier_move (programme, customer_id, business_date, position, tier, reason, "
        "qualifying) values (:programme, :who, '2026-02-01', 0, :tier, 'reached', 0)"
    )
    bought = []
    with ws.store.write() as store:
        for who, (lines, store_id, at, tier) in zip(MEMBERS, baskets, strict=True):
            name = who["customer_id"]
            store.run(move, programme=programme.programme, who=name, tier=tier)
            bought += [
                line(f"now:{name}", name, amount, kind="sale", line_id=str(number), sold_at=at,
                     store_id=store_id, product_id=product, quantity=quantity)
                for number, (product, amount, quantity) in enumerate(lines)
            ]  # fmt: skip
    publish(ws, customers=MEMBERS, products=PRODUCTS, transactions=[*BEFORE, *bought])
    told = shown(ws, programme, baskets)
    found = posted(ws, programme)
    for (lines, *_), (who, points) in zip(baskets, told.items(), strict=True):
        if points is None:
            is_new = any(product == "new" for product, *_ in lines)
            may_be = any(rule.hangs_on_others for rule in programme.earn_rules)
            assert is_new or may_be
        else:
            assert points == found.get(who, 0), who


@settings(max_examples=6, deadline=None, phases=[Phase.generate],
          suppress_health_check=[*HealthCheck])  # fmt: skip
@given(rules=RULES, baskets=BASKETS)
def test_a_quote_shows_what_the_night_posts(
    club: Workspace, rules: list[Any], baskets: list[Any]
) -> None:
    check(club, rules, baskets)


def test_a_quote_tells_no_points_while_what_it_asks_the_models_is_damaged(club: Workspace) -> None:
    publish(club, customers=MEMBERS, products=PRODUCTS)
    programme = begin(club, [{"points": 1, "per": 100, "only": {"categories": ["tea"]}}])
    baskets = [([("p0", 500, 1)], "S1", AT[0], "")] * len(MEMBERS)
    assert set(shown(club, programme, baskets).values()) == {5}
    mart = club.home.marts / "by-hand" / "products" / "rows.parquet"
    for damage in (mart.read_bytes()[:-20], b"", None):
        mart.unlink()
        if damage is not None:
            mart.write_bytes(damage)
        assert set(shown(club, programme, baskets).values()) == {None}


@pytest.mark.proof
@settings(max_examples=300, deadline=None, suppress_health_check=[*HealthCheck])
@given(rules=RULES, baskets=BASKETS)
def test_quotes_show_what_nights_post(
    club: Workspace, rules: list[Any], baskets: list[Any]
) -> None:
    check(club, rules, baskets)
