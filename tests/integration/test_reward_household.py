"""Who lives together may spend each other's points, and the ledger stays one of members."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.reward import merging, pooling
from tessera.reward.cards import refresh
from tessera.reward.points import Books, Posted, Refused
from tessera.reward.terms import Expiry, Terms, day_after
from tessera.testing import line, publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.integration import test_reward_night
from tests.integration.test_reward_night import club, night, points, sound

pytest_generate_tests = test_reward_night.pytest_generate_tests

DAY = date(2026, 3, 10)


@pytest.fixture
def shop(tmp_path: Path, store_url: str) -> Iterator[Workspace]:
    ws = workspace(tmp_path / "home", project=tmp_path / "project", store_url=store_url)
    club(ws)
    yield ws
    ws.store.close()


class Undone(Exception):
    pass


def live_together(ws: Workspace, *names: str, household: str | None = "h") -> None:
    club(ws, pool="household")
    publish(
        ws,
        customers=[
            {"customer_id": name, "card_id": f"card-{name}", "household_id": household}
            for name in names
        ],
    )
    refresh(ws)


def act(ws: Workspace, what: Callable[[Books], Any], on: date = DAY) -> Any:
    """One transaction, undone when it was refused, as a till's is."""
    at = datetime(on.year, on.month, on.day, 9, tzinfo=UTC)
    with ws.store.write() as store:
        books = Books(store, "club", at, on, expiry=Expiry(kind="rolling", months=12, grace_days=2))
        with suppress(Undone), store.attempt():
            return _granted(what(books))
    return Refused("no_points")


def _granted(answer: Any) -> Any:
    if isinstance(answer, Refused):
        raise Undone
    return answer


def give(
    ws: Workspace, name: str, some: int, until: str | None, key: str = "g", *, zone: str = "UTC"
) -> None:
    ends = day_after(date.fromisoformat(until), zone) if until else None
    terms = Terms(None, ends, until)
    act(ws, lambda b: b.grant(key=f"{key}:{name}", customer_id=name, points=some, terms=terms))


def spend(ws: Workspace, name: str, some: int, key: str = "s", on: date = DAY) -> Any:
    def both(books: Books) -> Any:
        pooling.draw(books, name, some, key)
        return books.spend(key=key, customer_id=name, points=some)

    return act(ws, both, on)


def left(ws: Workspace) -> dict[str, tuple[str, int, str | None]]:
    with ws.store.read() as store:
        rows = store.all(
            "select idem_key, owner_id, remaining, lot.expires_on from lot "
            "inner join transfer on lot_id = transfer_id "
            "inner join account on lot.account_id = account.account_id where remaining > 0"
        )
    return {row["idem_key"]: (row["owner_id"], row["remaining"], row["expires_on"]) for row in rows}


@BOTH_STORES
def test_what_one_lacks_comes_from_the_others_by_what_ends_first_and_keeps_its_end(
    shop: Workspace,
) -> None:
    live_together(shop, "ann", "bob", "cy")
    give(shop, "ann", 5, "2026-12-31")
    give(shop, "bob", 10, "2026-06-30")
    # Ends this very instant; no night has come by.
    give(shop, "bob", 10, "2026-03-09", key="gone", zone="Pacific/Gambier")
    give(shop, "cy", 3, None, key="ever")
    give(shop, "cy", 10, "2026-05-31")
    assert act(shop, lambda books: pooling.others(books.store, "club", "ann", books.stamp)) == 23
    assert spend(shop, "ann", 29) == Refused("no_points")
    assert len(left(shop)) == 5  # nothing came over for what was refused
    assert spend(shop, "ann", 17) == Posted("s", "ann", 17)
    assert spend(shop, "ann", 17) == Posted("s", "ann", 17)
    assert left(shop) == {
        "g:bob": ("bob", 8, "2026-06-30"),
        "gone:bob": ("bob", 10, "2026-03-09"),
        "ever:cy": ("cy", 3, None),
    }
    act(shop, lambda books: books.reverse("s", points=4))
    assert left(shop)["g:ann"] == ("ann", 4, "2026-12-31")  # as if less had been spent
    act(shop, lambda books: books.reverse("s", key="rest"))
    assert left(shop)["pool:g:cy:0"] == ("ann", 10, "2026-05-31")
    assert points(shop)[0] == 17
    sound(shop)


@BOTH_STORES
def test_a_return_by_who_earned_what_another_spent_is_owed_and_limits_the_household(
    shop: Workspace,
) -> None:
    sale = line("t", "ann", 1000, sold_at="2026-03-01")
    back = line("r", "ann", -600, original_transaction_id="t", sold_at="2026-03-11")
    night(shop, "2026-03-02", sale)
    live_together(shop, "ann", "bob", "cy")
    assert spend(shop, "bob", 9) == Posted("s", "bob", 9)
    night(shop, "2026-03-12", sale, back)
    assert points(shop) == (0, 0, 5)  # of six points taken back she had one
    give(shop, "bob", 4, "2026-12-31")
    with shop.store.read() as store:
        assert pooling.others(store, "club", "ann", "2026-03-12T00:00:00+00:00") == 0
    assert spend(shop, "ann", 1, key="more", on=date(2026, 3, 12)) == Refused("no_points")
    give(shop, "cy", 7, "2026-12-31")
    with shop.store.read() as store:  # of the seven, whoever asks
        at = "2026-03-12T00:00:00+00:00"
        assert [pooling.others(store, "club", who, at) for who in ("bob", "ann")] == [2, 6]
    more = line("u", "ann", 700, sold_at="2026-03-12")
    night(shop, "2026-03-13", sale, back, more)
    assert points(shop) == (2, 0, 0)
    sound(shop)


def test_who_leaves_a_household_keeps_what_is_in_their_own_account(
    shop: Workspace,
) -> None:
    live_together(shop, "ann", "bob")
    give(shop, "ann", 10, "2026-12-31")
    give(shop, "bob", 10, "2026-12-31")
    assert spend(shop, "bob", 15) == Posted("s", "bob", 15)
    act(shop, lambda books: books.reverse("s", points=7))
    live_together(shop, "bob", household=None)
    refresh(shop)
    assert (points(shop)[0], points(shop, "bob")[0]) == (5, 7)
    assert spend(shop, "ann", 6, key="t") == Refused("no_points")
    assert spend(shop, "bob", 7, key="u") == Posted("u", "bob", 7)
    sound(shop)


def test_points_that_came_over_end_on_their_day_and_go_with_a_merge(
    shop: Workspace,
) -> None:
    live_together(shop, "ann", "bob")
    give(shop, "ann", 10, "2026-03-20")
    assert spend(shop, "bob", 8) == Posted("s", "bob", 8)
    act(shop, lambda books: books.reverse("s"))
    act(shop, lambda books: merging.move(books, "bob", "zoe"))
    assert left(shop)["merge:pool:g:ann:0:0"] == ("zoe", 8, "2026-03-20")
    assert night(shop, "2026-03-21").points_expired == 10
    sound(shop)


def test_balance_and_statement_say_what_is_the_households(
    shop: Workspace,
    monkeypatch: Any,
) -> None:
    monkeypatch.setenv("TESSERA_PROJECT", str(shop.project))
    monkeypatch.setenv("TESSERA_STORE_URL", shop.settings.store_url)
    live_together(shop, "ann", "bob")
    give(shop, "ann", 10, "2999-12-31")
    give(shop, "bob", 3, "2999-12-31")

    def told(*words: str) -> Any:
        home = ["--home", str(shop.home.root), "--json"]
        return json.loads(CliRunner().invoke(app, ["ledger", *words, *home]).output)

    assert (told("balance", "bob")["available"], told("balance", "bob")["household"]) == (3, 10)
    assert spend(shop, "bob", 5) == Posted("s", "bob", 5)
    assert [(r["kind"], r["points"]) for r in told("statement", "ann")] == [
        ("grant", 10),
        ("pool", -2),
    ]
    assert [(r["kind"], r["points"]) for r in told("statement", "bob")] == [
        ("grant", 3), ("pool", 2), ("redeem", -5),
    ]  # fmt: skip
