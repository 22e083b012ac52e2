"""A campaign that would write to many waits for somebody's word, and every such word is on record."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from tessera import approval, audit
from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.land import verdict
from tessera.report import runs
from tessera.send import holds, send
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.landed import good, land
from tests.sending import enqueue, outbox_row, plan, states

DAY = date(2026, 3, 31)


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "home", store_url=store_url, operator="Ada")


def ask(ws: Workspace, over: int | None) -> None:
    with ws.store.write() as connection:
        approval.ask(connection, DAY, over)


@BOTH_STORES
def test_messages_of_a_large_campaign_wait_and_say_why(ws: Workspace) -> None:
    plan(ws, 5)
    small = {"campaign": "birthday", "template": "birthday/greeting", "purpose": "service"}
    enqueue(ws, outbox_row("c1", **small))
    ask(ws, over=4)
    report = send(ws)
    assert report.by_messenger == {"file": 1}, "the small campaign goes out"
    assert report.waiting == 5
    (sentence,) = report.unapproved
    assert sentence.startswith("5 messages of winback of 2026-03-31 wait for approval")
    assert "tessera campaign approve winback --as-of 2026-03-31" in sentence
    approval.approve(ws, "winback")
    assert send(ws).unapproved == ()
    assert states(ws) == {"accepted": 6}


@BOTH_STORES
def test_no_more_go_out_than_were_approved(ws: Workspace) -> None:
    plan(ws, 3)
    ask(ws, over=2)
    approval.approve(ws, "winback")
    enqueue(ws, outbox_row("c9"))
    ask(ws, over=2)
    assert send(ws).by_messenger == {"file": 0}
    (record,) = approval.approve(ws, "winback")
    assert record["recipients"] == 4
    assert send(ws).accepted == 3, "c9 has no address"


@BOTH_STORES
def test_another_version_or_day_needs_a_word_of_its_own(ws: Workspace) -> None:
    plan(ws, 3)
    ask(ws, over=2)
    approval.approve(ws, "winback")
    plan(ws, 3, campaign_version="2", step="offer")
    ask(ws, over=2)
    report = send(ws)
    assert report.accepted == 3
    assert len(report.unapproved) == 1


@BOTH_STORES
def test_journeys_of_an_earlier_version_count_with_the_others(ws: Workspace) -> None:
    """Whoever changed the file between two days sent twice as many as were to go without a word."""
    plan(ws, 6)
    with ws.store.write() as connection:
        connection.run(
            "update outbox set campaign_version = '2', step = 'offer' "
            "where customer_id not in ('c0', 'c1')"
        )
    small = {"campaign": "birthday", "purpose": "service"}
    enqueue(ws, *(outbox_row(f"c{n}", **small) for n in range(5)))
    ask(ws, over=5)
    report = send(ws)
    assert report.accepted == 5, "those of the small one"
    (said,) = report.unapproved
    assert said.startswith("6 messages of winback of 2026-03-31 wait")
    assert "there are 6 recipients" in said
    assert len(approval.approve(ws, "winback")) == 2
    assert send(ws).accepted == 6


@BOTH_STORES
def test_what_was_cancelled_is_not_approved(ws: Workspace) -> None:
    """The sentence and the record said as many as there had been."""
    plan(ws, 5)
    ask(ws, over=2)
    holds.cancel(ws, "winback")
    with pytest.raises(BadInput, match="Nothing of campaign 'winback' waits"):
        approval.approve(ws, "winback")
    with pytest.raises(BadInput, match="Did you mean 'winback'"):
        approval.approve(ws, "winbck")
    for number in range(5, 8):
        enqueue(ws, outbox_row(f"c{number}"))
        ask(ws, over=2)
    (sentence,) = send(ws).unapproved
    assert sentence.startswith("3 messages of winback")
    assert "there are 3 recipients" in sentence
    (record,) = approval.approve(ws, "winback")
    assert record["recipients"] == 3


@BOTH_STORES
def test_what_is_no_longer_too_many_does_not_wait(ws: Workspace) -> None:
    """The rest was cancelled, or the policy allows more than it did."""
    plan(ws, 5, purpose="service")
    ask(ws, over=2)
    holds.cancel(ws, "winback")
    plan(ws, 2, step="offer", purpose="service")
    ask(ws, over=2)
    report = send(ws)
    assert (report.unapproved, report.accepted) == ((), 2)
    plan(ws, 3, step="third", purpose="service")
    ask(ws, over=2)
    assert len(send(ws).unapproved) == 1
    ask(ws, over=9)
    assert send(ws).accepted == 3


@BOTH_STORES
def test_without_a_limit_or_below_it_nothing_waits(ws: Workspace) -> None:
    plan(ws, 3)
    ask(ws, None)
    ask(ws, over=3)
    assert send(ws).accepted == 3
    with pytest.raises(BadInput, match="Nothing of campaign 'winback' waits"):
        approval.approve(ws, "winback")


@BOTH_STORES
def test_an_approval_is_a_record_in_the_store_and_a_file(ws: Workspace) -> None:
    plan(ws, 3)
    ask(ws, over=1)
    for _ in "again changes nothing":
        (record,) = approval.approve(ws, "winback")
    written = json.loads(Path(record["file"]).read_text(encoding="utf-8"))
    assert written == {key: value for key, value in record.items() if key != "file"}
    assert (written["approved_by"], written["recipients"]) == ("Ada", 3)
    (entry,) = audit.entries(ws)
    assert (entry["operator"], entry["action"], entry["subject"]) == (
        "Ada",
        "approve",
        "campaign winback",
    )
    assert entry["detail"]["recipients"] == 3


@BOTH_STORES
def test_the_audit_log_only_grows(ws: Workspace) -> None:
    with ws.store.write() as connection:
        audit.record(ws, connection, "pause", "campaign winback", until="2026-04-02")
        audit.record(ws, connection, "resume", "campaign winback")
    for change in ("update audit set operator = 'Bob'", "delete from audit"):
        with pytest.raises(DBAPIError, match="immutable"), ws.store.write() as connection:
            connection.run(change)
    assert [entry["action"] for entry in audit.entries(ws)] == ["resume", "pause"]
    assert audit.entries(ws, action="pause")[0]["detail"] == {"until": "2026-04-02"}
    assert audit.entries(ws, since=date(2999, 1, 1)) == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_letting_a_refused_file_in_is_on_record(ws: Workspace) -> None:
    file_id = land(ws, "products", [good("products")])
    with ws.store.write() as connection:
        connection.run("update landed_file set verdict = 'refused'")
    verdict.allow(ws, file_id)
    (entry,) = audit.entries(ws)
    assert (entry["action"], entry["subject"]) == ("allow", f"file {file_id}")


def test_the_commands_approve_and_list(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home")
    plan(ws, 3)
    ask(ws, over=1)
    given = {"TESSERA_HOME": str(tmp_path / "home"), "TESSERA_OPERATOR": "Grace"}
    words = ["campaign", "approve", "winback", "--as-of", "2026-03-31", "--json"]
    done = CliRunner().invoke(app, words, env=given)
    assert json.loads(done.stdout)[0]["recipients"] == 3
    listed = CliRunner().invoke(app, ["audit", "--json"], env=given)
    assert json.loads(listed.stdout)[0]["operator"] == "Grace"
    assert CliRunner().invoke(app, ["audit"], env=given).stdout.count("approve") == 1


def test_whatever_an_operator_does_is_on_record(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home")
    plan(ws, 3)
    given = {"TESSERA_HOME": str(tmp_path / "home"), "TESSERA_OPERATOR": "Grace"}
    (tmp_path / "events.json").write_text("[]")
    said = ["send pause winback", "send resume winback", "send --as-of 2026-03-30",
            "send cancel winback", f"hear {tmp_path}/events.json"]  # fmt: skip
    for words in said:
        assert CliRunner().invoke(app, words.split(), env=given).exit_code == 0, words
    with runs.recorded(ws, say=print):
        pass
    found = [(one["action"], one["subject"]) for one in reversed(audit.entries(ws))]
    assert found == [
        ("pause", "campaign winback"),
        ("resume", "campaign winback"),
        ("send", "day 2026-03-30"),
        ("cancel", "campaign winback"),
        ("hear", "1 files"),
        ("run", "day 2026-03-31"),
    ]
    assert audit.entries(ws, action="cancel")[0]["detail"] == {"messages": 3}
    assert {one["operator"] for one in audit.entries(ws)} == {"Grace", audit.operator(ws)}
