"""What the models say of points is what the ledger says: exported, landed and built by a real dbt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from flows import model
from flows.scratch import admit_engine
from tessera import clock
from tessera.cli.app import app
from tessera.hear import export
from tessera.report.liability import section
from tessera.reward import merging, post, tiers
from tessera.reward.points import Books, balance
from tessera.reward.programme import FILE, load
from tessera.settings import CHECKOUT
from tessera.testing import line as receipt
from tessera.testing import publish, workspace
from tessera.warehouse import marts
from tessera.workspace import Workspace
from tests.integration.model_home import line, validated

CLUB: dict[str, Any] = {
    "programme": "club",
    "currency": "any",
    "earn_rules": [{"rule": "purchase", "points": 1, "per": 100}],
    "pending_days": 3,
    "returns": "debt",
    "expiry": {"kind": "rolling", "months": 1, "to_end_of": "month"},
    "tiers": {"levels": [{"tier": "silver", "least": 10}, {"tier": "gold", "least": 30}]},
    "worth": {"points": 1, "pays": 10, "expected": "85/100"},
}
LAST = "2026-03-12"
LINES: list[tuple[str, str, dict[str, Any]]] = [
    ("t", "ann", {"amount": 2000, "sold_at": "2026-01-10 12:00:00"}),
    ("u", "ann", {"amount": 500, "sold_at": "2026-02-20 12:00:00"}),
    (
        "r",
        "ann",
        {"amount": -200, "original_transaction_id": "u", "sold_at": "2026-02-21 12:00:00"},
    ),
    # When its points had ended.
    (
        "p",
        "ann",
        {"amount": -300, "original_transaction_id": "t", "sold_at": "2026-03-02 12:00:00"},
    ),
    ("v", "bob", {"amount": 3500, "sold_at": "2026-03-02 12:00:00"}),
    ("w", "cy", {"amount": 950, "sold_at": "2026-03-10 12:00:00"}),
    # Too little of it comes back for a point.
    ("q", "cy", {"amount": -50, "original_transaction_id": "w", "sold_at": "2026-03-10 13:00:00"}),
]


def on(ws: Workspace, day: str) -> Workspace:
    later = replace(ws, as_of=clock.parse_as_of(day, ws.settings.timezone))
    object.__setattr__(later, "store", ws.store)
    return later


def night(ws: Workspace, day: str, **first: Any) -> None:
    """`first`: what the first receipt said before it was corrected."""
    today = on(ws, day)
    (name, whose, said), *others = LINES
    lines = [receipt(name, whose, **said | {"file_id": 2} | first)]
    publish(today, transactions=lines + [receipt(*one[:2], **one[2]) for one in others])
    post(today)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Two months of a club: earned, activated, held, spent, given back, returned, merged and ended."""
    folder = tmp_path_factory.mktemp("club")
    project = folder / "project"
    (project / FILE).parent.mkdir(parents=True)
    (project / FILE).write_text(yaml.safe_dump(CLUB), encoding="utf-8")
    (project / "dbt").symlink_to(CHECKOUT / "dbt")
    ws = workspace(folder / "home", project=project)
    validated(ws.home, "transactions", 1, [line(*said, **more) for *said, more in LINES])
    validated(
        ws.home, "cards", 2, [{"card_id": "dee", "customer_id": "K1", "issued_at": "2026-03-01"}]
    )
    validated(ws.home, "customers", 3, [{"customer_id": "K1"}, {"customer_id": "K2"}])
    night(ws, "2026-01-20", amount=1900, file_id=1)
    with ws.store.write() as store:
        at = datetime(2026, 1, 20, 9, tzinfo=UTC)
        books = Books(store, "club", at, at.date())
        books.spend(key="s", customer_id="ann", points=6)
        books.reverse("s", points=2)
        books.hold(
            key="h", customer_id="ann", points=1, expires_at=datetime(2027, 1, 1, tzinfo=UTC)
        )
        books.grant(key="g", customer_id="dee", points=5)
        merging.move(books, "dee", "K1")
    for day in ("2026-02-22", "2026-03-02", "2026-03-11"):
        night(ws, day)
    export(on(ws, LAST))
    admit_engine(ws)
    model.build(on(ws, LAST))
    yield ws
    ws.store.close()


def ask(ws: Workspace, query: str) -> list[tuple[Any, ...]]:
    with marts.connect(ws.home) as duck:
        return duck.execute(query).fetchall()


def test_a_customers_points_and_tier_are_those_of_the_ledger(shop: Workspace) -> None:
    found = ask(
        shop,
        "select customer_id, tier, next_tier, points_to_next_tier, points_expiring, "
        "points_expire_on::varchar from customers order by 1",
    )
    assert found == [
        ("K1", "basic", "silver", 10, 5, "2026-03-31"),  # what their card was given
        ("K2", "basic", "silver", 10, 0, None),
        # 20 - 3 + 5 - 2 earned within a year, of which the first have ended
        ("ann", "silver", "gold", 10, 3, "2026-03-31"),
        ("bob", "gold", None, None, 0, None),
        ("cy", "basic", "silver", 1, 0, None),
    ]
    events = ask(
        shop, "select customer_id, event, occurrence from customer_events "
        "where event in ('tier_raised', 'points_expiring') order by all",
    )  # fmt: skip
    assert events == [("bob", "tier_raised", "gold 2026-03-11")]  # two weeks before is later


def test_what_counts_for_a_tier_is_the_nights_own_reckoning(shop: Workspace) -> None:
    told = tiers.told(load(shop.project), on(shop, LAST).business_date, "UTC")
    with shop.store.write() as store:
        store.run("create temporary table reviewed as select 'ann' as customer_id")
        store.run(tiers.SQL["current"], programme="club")
        (row,) = store.all(
            tiers.WORTH, programme="club",
            since=f"{told['since'].replace(' ', 'T')}+00:00", until=f"{LAST}T00:00:00+00:00",
        )  # fmt: skip
    assert row["qualifying"] == 20
    with duckdb.connect(str(shop.home.warehouse), read_only=True) as db:
        query = "select qualifying from int_customer_tiers where customer_id = 'ann'"
        assert db.execute(query).fetchall() == [(20,)]


def test_what_the_programme_owes_ties_to_the_ledger_to_the_point(shop: Workspace) -> None:
    months = ask(
        shop, "select * exclude (programme, currency) from liability_by_month order by month"
    )
    assert [(str(month), *figures) for month, *figures in months] == [
        # issued, activated, redeemed, expired, clawed back, outstanding, worth 0.085 each
        ("2026-01-01", 24, 0, 4, 0, 0, 20, 170),
        ("2026-02-01", 6, 0, 0, 0, 2, 24, 204),
        ("2026-03-01", 44, 3, 0, 15 - 3, 3, 53, 451),
    ]
    with shop.store.read() as store:
        held = [balance(store, "club", who) for who in ("ann", "bob", "cy", "K1")]
    assert sum(b.available + b.pending + b.held - b.debt for b in held) == 53
    assert ask(shop, "select expires_in::varchar, points from liability_by_expiry order by 1") == [
        ("2026-02-01", 1),  # held, of a lot that has ended meanwhile
        ("2026-03-01", 8),
        ("2026-04-01", 44),
    ]
    cohorts = ask(shop, "select * exclude programme from liability_by_cohort order by earned_in")
    assert [(str(month)[:7], *figures) for month, *figures in cohorts] == [
        ("2026-01", 25, 5, 12, 3, 5, Decimal("0.7059")),
        ("2026-02", 5, 0, 0, 2, 3, None),
        ("2026-03", 44, 0, 0, 0, 44, None),
    ]


def test_a_sale_is_shared_with_its_points(shop: Workspace) -> None:
    """17.00 with 17 points: 1.44 beside 17.00 makes 1.33. What is corrected, or comes back, later is the
    sale's, whether it took points or not."""
    months = ask(
        shop,
        "select month::varchar, receipts, sales, points, deferred from deferral_by_month order by 1",
    )
    assert months == [
        ("2026-01-01", 1, 1700, 17, 133),
        ("2026-02-01", 1, 300, 3, 24),
        ("2026-03-01", 2, 4400, 44, 345),
    ]


def test_the_command_and_the_report_say_what_the_marts_say(shop: Workspace) -> None:
    home = ["--home", str(shop.home.root), "--json"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TESSERA_PROJECT", str(shop.project))
        answer = CliRunner().invoke(app, ["ledger", "liability", *home])
        shown = CliRunner().invoke(app, ["ledger", "liability", *home[:2]]).output
    assert "€44.00" in shown  # as people read money, of any currency
    assert "4,400" not in shown
    said = json.loads(answer.output)
    assert (said["points"], said["as_of"]) == (53, f"{LAST} 00:00 UTC")
    assert [row["points"] for row in said["outstanding"]] == [1, 8, 44]
    with marts.connect(shop.home) as duck:
        page = re.sub(r"\s+", " ", section(duck, "EUR"))
    assert "53 points are outstanding, worth €4.51" in page
    assert (
        '<th scope="row">2026-01</th><td>25</td><td>5</td><td>12</td><td>3</td><td>5</td><td>71 %</td>'
        in page
    )
    assert "Members owe" not in page
    with duckdb.connect() as empty:
        assert section(empty, "EUR") == ""
