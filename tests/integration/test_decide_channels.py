"""A campaign says by which channel it goes: consent, address, suppression and caps are that channel's own."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tessera import say
from tessera.addresses import address_hash
from tessera.decide import campaigns, decide
from tessera.decide.decisions import Question, find
from tessera.decide.explain import explained
from tessera.send import send
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.deciding import HELLO, YES, member, people, person, reasons, write

TEXT = {**HELLO, "campaign": "texts", "channel": "sms",
        "steps": [{"name": "first", "template": "note"}]}  # fmt: skip
LETTER = {**TEXT, "campaign": "letters", "channel": "print", "priority": 90,
          "steps": [{"name": "first", "template": "page"}]}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    project = tmp_path / "project"
    for part, text in {
        "note/sms.txt": "{{ shop.name }}: {{ given_name or 'hello' }}",
        "page/letter.html": "<p>{{ given_name or 'Hello' }}</p>",
    }.items():
        (project / "templates" / part).parent.mkdir(parents=True)
        (project / "templates" / part).write_text(text, "utf-8")
    ws = workspace(tmp_path / "home", project=project)
    phones = {"ann": "+371 20 000 001", "bob": None, "cat": "+37120000003", "dan": "+371-20000004",
              "eva": "+37120000005"}  # fmt: skip
    by_text = {**YES, "channel": "sms"}
    people(
        ws,
        customers=[person(name, phone=phone, email=None) for name, phone in phones.items()],
        consents=[
            *({**by_text, "customer_id": name} for name in phones if name != "cat"),
            *({**YES, "channel": "print", "customer_id": name} for name in ("ann", "bob")),
        ],
        audience_all=[member(name) for name in phones],
    )
    with ws.store.write() as connection:
        for channel, address in (("sms", "+37120000004"), ("email", "+37120000005")):
            connection.run(
                "insert into suppression (address_hash, channel, scope, cause, since) "
                "values (:h, :c, 'all', 'asked', '2026-01-01')", h=address_hash(address), c=channel,
            )  # fmt: skip
    return ws


def of(ws: Workspace, campaign: str) -> dict[str, str]:
    found = find(ws.home, Question(on=ws.business_date, campaign=campaign))
    return {row["customer_id"]: row["reason"] for row in found}


def test_a_text_message_needs_a_number_and_a_yes_to_text_messages(shop: Workspace) -> None:
    write(shop.project, {"caps": None}, TEXT)
    assert say.check(shop.project, "note", "sms") == []
    decide(shop)
    assert reasons(shop) == {
        "ann": "planned",
        "bob": "no_address",
        "cat": "no_consent",
        "dan": "suppressed",
        "eva": "planned",
    }
    (told,) = explained(shop, "bob", Question())
    assert told["said"].endswith("there is no telephone number that works.")
    assert send(shop).accepted == 2
    assert sorted(p.read_text() for p in (shop.home.root / "sms").rglob("*.*")) != []


def test_caps_may_be_of_one_channel_or_of_all(shop: Workspace) -> None:
    caps = [{"purpose": "marketing", "channel": "sms", "max": 0, "days": 1},
            {"purpose": "marketing", "max": 1, "days": 7}]  # fmt: skip
    write(shop.project, {"caps": caps}, TEXT, LETTER)
    decide(shop)
    assert set(of(shop, "texts").values()) & {"capped", "planned"} == {"capped"}
    assert of(shop, "letters")["ann"] == "planned"
    write(shop.project, {"caps": caps[1:]})
    day = workspace(shop.home.root, "2026-04-01", project=shop.project)
    decide(day)
    found = of(day, "texts")
    assert (found["ann"], found["eva"]) == ("capped", "planned"), "a letter counts where all do"


def test_letters_go_to_customers_by_their_number(shop: Workspace) -> None:
    write(shop.project, {"caps": None}, LETTER)
    decide(shop)
    assert {name for name, why in reasons(shop).items() if why == "planned"} == {"ann", "bob"}
    assert send(shop).accepted == 2
    file = shop.home.root / "print" / "2026-03-31" / "letters.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        assert {row["customer_id"] for row in csv.DictReader(lines)} == {"ann", "bob"}


def test_a_template_that_is_missing_on_its_channel_is_pointed_at(shop: Workspace) -> None:
    write(shop.project, {"caps": None}, TEXT, LETTER)
    (shop.project / "templates" / "note" / "sms.txt").unlink()
    (shop.project / "templates" / "page" / "letter.html").write_text(" \n", "utf-8")
    said = " ".join(str(problem) for problem in campaigns.check(shop.project))
    assert "note/sms.txt is missing" in said
    assert "page says nothing" in said
