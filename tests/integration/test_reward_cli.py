"""`tessera ledger` and the flow, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.reward import reward
from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.reward import post
from tessera.say.customers import Customers
from tessera.store import Store
from tessera.testing import line, publish, workspace


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose receipts were posted by the flow."""
    ws = workspace(tmp_path / "home")
    back = line("r", "ann", -1000, original_transaction_id="t", sold_at="2026-03-20")
    lines = [line("t", "ann", 1999), back]
    publish(ws, customers=[{"customer_id": "ann"}, {"customer_id": "bob"}], transactions=lines)
    done = reward.fn(as_of="2026-03-31", home=str(ws.home.root))
    assert (done["points_earned"], done["points_clawed_back"], done["transfers"]) == (19, 10, 2)
    assert reward.fn(as_of="2026-03-31", home=str(ws.home.root))["transfers"] == 0
    return ws.home.root


def told(*words: str, home: Path, code: int = 0) -> Any:
    found = CliRunner().invoke(app, ["ledger", *words, "--home", str(home), "--json"])
    if isinstance(found.exception, BadInput):
        raise found.exception
    assert found.exit_code == code, found.output
    return json.loads(found.output)


def test_balance_of_a_member_of_one_without_points_and_of_nobody(home: Path) -> None:
    found = told("balance", "ann", home=home)
    assert (found["available"], found["ending"]) == (9, [{"expires_on": "2027-03-31", "points": 9}])
    assert told("balance", "bob", home=home) == {
        "customer_id": "bob",
        "programme": "club",
        "available": 0,
        "debt": 0,
        "ending": [],
    }
    with pytest.raises(BadInput, match="No customer 'zoe' is known"):
        told("balance", "zoe", home=home)


def test_a_statement_adds_up_to_the_balance(home: Path) -> None:
    rows = told("statement", "ann", home=home)
    assert [(row["kind"], row["points"], row["basis"]) for row in rows] == [
        ("earn", 19, 1999),
        ("clawback", -10, 1000),
    ]


def test_audit_fails_when_a_balance_was_changed(home: Path) -> None:
    assert told("audit", home=home) == {
        "ok": True, "programme": "club", "accounts": 2, "transfers": 2,
        "available": 9, "debt": 0, "differences": [],
    }  # fmt: skip
    with Store.open(f"sqlite:///{home}/store.sqlite").write() as store:
        store.run("update account set balance = 99 where owner_id = 'ann'")
    found = told("audit", home=home, code=1)
    assert found["differences"] == [
        "ann available: balance 99, transfers 9",
        "ann available: balance 99, lots 9",
    ]


def test_a_transfers_history_tells_what_became_of_its_points(home: Path) -> None:
    rows = told("history", "earn:t:-:purchase", home=home)
    assert [(row["kind"], row["points"]) for row in rows] == [("earn", 19), ("clawback", -10)]
    with pytest.raises(BadInput, match="No transfer has the key 'earn:x'"):
        told("history", "earn:x", home=home)


def test_the_programme_is_checked_by_line_and_its_schema_is_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*words: str, code: int = 0) -> Any:
        found = CliRunner().invoke(app, ["programme", *words])
        assert found.exit_code == code, found.output
        return found.output

    assert "is sound" in said("check")
    assert "earn_rules" in json.loads(said("schema"))["properties"]
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments/programme.yml").write_text("programme: club\nretruns: debt\n")
    monkeypatch.setenv("TESSERA_PROJECT", str(tmp_path))
    problems = json.loads(said("check", "--json", code=BadInput.exit_code))["problems"]
    (wrong,) = (one for one in problems if one["key"] == "retruns")
    assert wrong["line"] == 2
    assert "Did you mean 'returns'" in wrong["message"]


def test_points_of_a_programme_that_the_file_names_no_more_are_told_with_the_check(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*words: str) -> Any:
        found = CliRunner().invoke(app, ["programme", "check", "--home", str(home), *words])
        assert found.exit_code == 0, found.output
        return found.output

    assert json.loads(said("--json")) == {"ok": True, "problems": [], "warnings": []}
    (tmp_path / "deployments").mkdir()
    file = tmp_path / "deployments/programme.yml"
    text = "# ours\nprogramme: klub\ncurrency: any\nreturns: debt\n"
    file.write_text(f"{text}earn_rules: [{{rule: purchase, points: 1, per: 100}}]\n")
    monkeypatch.setenv("TESSERA_PROJECT", str(tmp_path))
    (warning,) = json.loads(said("--json"))["warnings"]
    assert (warning["line"], warning["key"]) == (2, "programme")
    assert "9 points of 1 members are in the ledger of 'club'" in warning["message"]
    assert "Write 'programme: club' to go on with it, or 'beside: [club]' to" in said()
    file.with_suffix(".yaml").write_text("programme: club")
    assert "deployments/programme.yaml is not read: this file is the programme." in said()


def test_a_programme_under_another_name_gives_nothing_twice_unless_it_is_meant_to(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "deployments").mkdir()
    file, ws = tmp_path / "deployments/programme.yml", workspace(home, project=tmp_path)
    rules = "returns: debt\nearn_rules: [{rule: purchase, points: 1, per: 100}]\n"
    file.write_text(f"programme: klub\ncurrency: any\n{rules}")
    with pytest.raises(BadInput, match=r"in the ledger of 'club'.*receipts earn anew.*was posted"):
        post(ws)
    double = rules.replace("points: 1", "points: 2")
    file.write_text(f"programme: klub\nbeside: [club]\ncurrency: any\n{double}")
    assert post(ws).points_earned == 39
    for name, points in (("klub", 19), ("club", 9)):  # a letter tells what tills see
        file.write_text(f"programme: {name}\ncurrency: any\n{rules}")
        assert Customers(ws)._points(["ann"]) == {"ann": points}
    file.write_text(f"programme: klub\ncurrency: any\n{rules}")
    assert post(ws).transfers == 0  # begun


def test_changed_rules_are_tried_on_past_receipts_and_nothing_is_posted(
    home: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.yml"
    changed.write_text(
        "programme: club\ncurrency: any\nreturns: debt\n"
        "earn_rules: [{rule: purchase, points: 2, per: 100}]\n"
        "tiers: {levels: [{tier: bronze, least: 18}]}\n"
    )
    span = ["--programme", str(changed), "--from", "2026-02-01", "--to", "2026-03-30"]
    words = ["programme", "simulate", *span, "--home", str(home), "--json"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    said = json.loads(found.output)
    assert (said["before"]["issued"], said["before"]["outstanding"]) == (19, 9)
    assert (said["after"]["issued"], said["after"]["outstanding"]) == (39, 19)
    assert (said["before"]["tiers"], said["after"]["tiers"]) == ({}, {"bronze": 1})
    assert told("balance", "ann", home=home)["available"] == 9
    words[words.index("2026-02-01")] = "2026-03-10"  # of which there is only what came back
    later = json.loads(CliRunner().invoke(app, words).output)
    assert [
        later[which][what] for which in ("before", "after") for what in ("issued", "clawed_back")
    ] == [0] * 4
    words[words.index("2026-03-10")] = "February"
    with pytest.raises(BadInput, match="--from 'February' is not a date"):
        raise CliRunner().invoke(app, words).exception or AssertionError
    words[words.index("February")] = "2026-03-31"
    with pytest.raises(BadInput, match="ends on 2026-03-30, before it begins on 2026-03-31"):
        raise CliRunner().invoke(app, words).exception or AssertionError
