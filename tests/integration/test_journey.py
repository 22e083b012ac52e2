"""A person's journey: every touchpoint under every number, in order, with what it brought and cost."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tessera import person
from tessera.cli.app import app
from tessera.consent import Word, record
from tessera.consent.preferences import choose
from tessera.errors import BadInput
from tessera.hear import export
from tessera.land import land_engine
from tessera.person import identity
from tessera.reward import cards
from tessera.reward.points import Books
from tessera.settings import CHECKOUT
from tessera.testing import line, publish, workspace
from tessera.vouchers import pool
from tessera.vouchers.terms import Terms
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.deciding import insert
from tests.integration.model_home import validated
from tests.sending import enqueue, outbox_row

IN_DOUBT = "message perhaps sent, which nobody can know"
RECEIPT = {"sold_at": "2026-03-02 10:00", "store_id": "S1", "currency": "EUR"}


def lived(folder: Path, store_url: str) -> Workspace:
    """A home in which `ann` was prospect `p` once and is registered as `bea` too; `zoe` is nobody of hers."""
    (folder / "project/deployments").mkdir(parents=True)
    costs = yaml.safe_dump({"costs": {"currency": "EUR", "per_thousand_messages": 80}})
    (folder / "project/deployments/contact_policy.yml").write_text(costs)
    zone = {"timezone": "Europe/Athens"}
    ws = workspace(folder / "home", project=folder / "project", store_url=store_url, **zone)
    sold = [
        line("r1", "ann", 1000, **RECEIPT),
        line("r1", "ann", 250, **{**RECEIPT, "line_id": "2", "sold_at": "2026-03-02 10:01"}),
        line("r2", "ann", -250, **{**RECEIPT, "sold_at": "2026-03-04 10:00"}),
        line("r3", "zoe", 900, **RECEIPT),
    ]
    moves = [("ann", None, "potential", 1), ("ann", "potential", "new", 2), ("zoe", None, "new", 2)]
    levels = [
        {"customer_id": who, "previous_level": was, "level": now, "changed_on": date(2026, 3, day)}
        for who, was, now, day in moves
    ]
    became = [{"customer_id": "prospect:p", "into_customer_id": "ann"}]
    publish(ws, transactions=sold, relationship_transitions=levels, known_as=became)
    talk = {"interaction_id": "I1", "prospect_id": "p", "kind": "contact", "channel": "post"}
    told = {**talk, "occurred_at": "2026-02-20 09:00", "topic": "coupon", "currency": "EUR"}
    complaint = {"interaction_id": "I2", "customer_id": "bea", "kind": "complaint"}
    complained = {**complaint, "occurred_at": "2026-03-05 09:00", "status": "open"}
    answered = {**complained, "interaction_id": "answer:x", "kind": "survey", "score": 3}
    mistaken = {**complained, "interaction_id": "I3"}
    validated(ws.home, "interactions", 9, [{**told, "cost": 99}, complained, mistaken, answered])
    corrected = [{**told, "cost": 85}, {**mistaken, "customer_id": "zoe"}]
    validated(ws.home, "interactions", 10, corrected)
    people = ws.home.landing / "prospects/file_id=3"
    people.parent.mkdir(parents=True)
    validated(ws.home, "prospects", 3, [{"prospect_id": "p", "email": "ann@shop.example"}])
    (ws.home.validated / "prospects/file_id=3").rename(people)
    registered = ws.home.landing / "customers/file_id=4"
    registered.parent.mkdir(parents=True)
    validated(ws.home, "customers", 4, [{"customer_id": "ann", "email": "ann@shop.example"}])
    (ws.home.validated / "customers/file_id=4").rename(registered)
    return ws


def kept(ws: Workspace) -> None:
    """What the store knows: two numbers of hers, a message and what followed, words and points."""
    merge = {"customer_id": "bea", "into_customer_id": "ann", "is_in_force": 1}
    insert(ws, "person_merge", **merge, recorded_at="2026-03-20T09:00:00+00:00")
    at = "2026-03-06T09:00:00+00:00"
    left = {"state": "accepted", "state_reason": None, "state_at": at}
    stopped = {"state": "cancelled", "state_reason": "no_consent"}
    doubt = {"state": "ambiguous", "state_reason": None, "state_at": "2026-03-08T10:00:00+00:00"}
    (key, *_) = enqueue(
        ws,
        outbox_row("bea", **left),
        outbox_row("ann", step="news", state_at="2026-03-08T09:00:00+00:00", **stopped),
        outbox_row("ann", step="doubt", **doubt),
        outbox_row("zoe", **left),
    )
    at = "2026-03-06T10:00:00+00:00"
    insert(ws, "provider_event", event_key="e", send_key=key, event="click", occurred_at=at, received_at=at)  # fmt: skip
    said = {"send_key": key, "customer_id": "bea", "score": 3}
    insert(ws, "answer", answer_id=1, **said, answered_at="2026-03-06T11:00:00+00:00")
    with ws.store.write() as store:
        word = Word("ann", "email", False, "preference centre")
        record(store, word, ws.as_of.replace(day=7, hour=9))
        choose(store, "ann", {"frequency": "weekly"}, ws.as_of.replace(day=7, hour=10))
        night = ws.as_of.replace(day=9, hour=22, minute=30)  # half past twelve in Athens
        books = Books(store, "club", night, date(2026, 3, 10))
        books.grant(key="g", customer_id="ann", points=100)
        books.spend(key="s", customer_id="ann", points=60)
        books.reverse(of="s", key="v", points=20)
        redeemed = "select account_id from account where bucket = 'redeemed'"
        hers, spent = books.account("ann", "available"), store.scalar(redeemed)
        books.post("x", "redeem", hers, spent, 30, source=("reward", "cake"))
        (code,) = pool.make(store, "cake", Terms(), count=1, batch="b", at=night)
    used = {"redemption_id": "R", "store_id": "S1", "state": "used", "points": 0, "points_back": 0}
    back = {"redemption_id": "V", "state": "void"}  # taken back: nothing was used
    for its in (used, used | back):
        insert(ws, "redemption", **its, paid=0, discount=500, at="2026-03-09T08:00:00+00:00")
        insert(ws, "redemption_member", redemption_id=its["redemption_id"], customer_id="bea")
        insert(ws, "voucher_use", redemption_id=its["redemption_id"], code=code, discount=500)


@BOTH_STORES
def test_a_journey_has_every_touchpoint_of_all_her_numbers_in_order(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = lived(tmp_path, store_url)
    kept(ws)
    found = person.journey(ws, "ann")
    told = [(row["at"][5:16], row["what"], row["channel"], row["about"]) for row in found]
    assert told == [
        ("02-20T09:00", "contact", "post", "coupon"),
        ("02-28T22:00", "known", None, "potential"),  # days are the shop's
        ("03-01T22:00", "moved", None, "potential to new"),
        ("03-02T10:00", "bought", "store S1", "receipt r1"),
        ("03-04T10:00", "returned", "store S1", "receipt r2"),
        ("03-05T09:00", "complaint", None, "open"),
        ("03-06T09:00", "message handed over", "email", "winback, step reminder"),
        ("03-06T10:00", "message clicked", "email", "winback, step reminder"),
        ("03-06T11:00", "survey", "email", "score 3"),
        ("03-07T09:00", "declined", "email", "marketing, preference centre"),
        ("03-07T10:00", "chose", None, "frequency weekly"),
        ("03-08T09:00", "message cancelled", "email", "winback, step news: no_consent"),
        ("03-08T10:00", IN_DOUBT, "email", "winback, step doubt"),
        ("03-09T08:00", "used a voucher", "store S1", "cake"),
        ("03-09T22:30", "got a voucher", None, "30 points"),
        ("03-09T22:30", "got points back", None, "20 points"),
        ("03-09T22:30", "spent points", None, "60 points"),
    ]
    money = {row["what"]: (row["amount"], row["cost"]) for row in found if row["currency"]}
    assert money == {
        "contact": (None, 85),
        "bought": (1250, None),
        "returned": (-250, None),
        "message handed over": (None, 0.08),
        IN_DOUBT: (None, 0.08),
    }
    assert person.journey(ws, "ann", date(2026, 3, 2)) == found[2:]  # from its first instant on
    assert person.journey(ws, "bea") == found == person.journey(ws, "prospect:p")
    monkeypatch.setattr(identity, "AT_ONCE", 1)  # file, where there are many
    assert person.journey(ws, "ann") == found
    monkeypatch.setenv("TESSERA_PROJECT", str(ws.project))
    monkeypatch.setenv("TESSERA_STORE_URL", store_url)
    monkeypatch.setenv("TESSERA_TIMEZONE", "Europe/Athens")
    at = ["person", "journey", "ann", "--home", str(ws.home.root), "--since", "2026-03-10"]
    assert json.loads(CliRunner().invoke(app, [*at, "--json"]).stdout) == found[-3:]
    assert "got points back" in CliRunner().invoke(app, at).stdout
    with pytest.raises(BadInput, match="Nothing is known of a customer 'nobody'"):
        person.journey(ws, "nobody")
    ws.store.close()


def test_cards_that_a_till_replaced_are_a_persons_own_before_and_after_they_are_landed(
    tmp_path: Path,
) -> None:
    """Also where the engine's file of them lies beside those that the shop gave."""
    ws = lived(tmp_path, f"sqlite:///{tmp_path}/store.sqlite")
    publish(ws, customers=[{"customer_id": "ann", "card_id": "K1"}])
    cards.refresh(ws)
    listed = ws.home.landing / "cards/file_id=5"
    listed.parent.mkdir(parents=True)
    validated(ws.home, "cards", 5, [{"card_id": "K1", "customer_id": "ann"}])
    (ws.home.validated / "cards/file_id=5").rename(listed)
    with ws.store.write() as store:
        cards.replace(store, "K1", "K2", ws.as_of, ws.as_of)
    export(workspace(ws.home.root, "2026-04-02", store_url=ws.settings.store_url))
    assert list((ws.home.engine / "cards").glob("*.parquet"))
    assert identity.find(ws, "ann").cards == {"K1", "K2"}
    (ws.project / "deployments/sources").symlink_to(CHECKOUT / "deployments/sources")
    land_engine(ws)
    assert identity.find(ws, "ann").cards == {"K1", "K2"}
