"""A suppression lifted by hand: who unsubscribed, and has said yes since on a form of the shop's own."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tessera import audit, person
from tessera.addresses import address_hash
from tessera.cli.app import app
from tessera.consent import Word, record
from tessera.consent.suppression import ALL, MARKETING, UNSUBSCRIBE, Suppression, scopes, suppress
from tessera.errors import BadInput
from tessera.land.erased import Keyring
from tessera.send import send
from tessera.testing import publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.sending import customer, enqueue, outbox_row, reasons, states

HASH = address_hash("person1@mail.example")
NO, YES = "2026-03-20T10:00:00+00:00", "2026-03-25T10:00:00+00:00"
WHY = "said so on a form in the shop"


def ends(since: str, cause: str = UNSUBSCRIBE, scope: str = MARKETING) -> Suppression:
    return Suppression(HASH, scope, cause, since)


def told(ws: Workspace, *suppressions: Suppression, yes: str | None = YES) -> None:
    """The shop's books, in which the customer said `yes` then, and suppressions of the address."""
    word = {"customer_id": "c1", "channel": "email", "purpose": "marketing", "origin": "till"}
    said = [{**word, "granted": True, "recorded_at": datetime.fromisoformat(yes)}] if yes else []
    publish(ws, customers=[customer(n) for n in range(3)], consents=said)
    with ws.store.write() as connection:
        record(connection, Word("c1", "email", False, "unsubscribe link"), at(NO))
        suppress(connection, suppressions)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def stopped(ws: Workspace) -> set[str]:
    with ws.store.read() as connection:
        return scopes(connection, HASH)


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "home", "2026-03-31T12:00", store_url=store_url)


@BOTH_STORES
def test_who_said_yes_after_unsubscribing_is_written_to_again(ws: Workspace) -> None:
    told(ws, ends(NO))
    enqueue(ws, outbox_row("c1"))
    send(ws)
    assert reasons(ws) == {"c1": "suppressed"}
    lifted = person.lift(ws, "c1", f"  {WHY}\n")
    assert (lifted.causes, lifted.left, lifted.said_yes_at) == ((UNSUBSCRIBE,), (), YES)
    assert stopped(ws) == set()
    enqueue(ws, outbox_row("c1", campaign="welcome"))
    send(ws)
    assert states(ws) == {"cancelled": 1, "accepted": 1}
    (row,) = audit.entries(ws, action="lift")
    assert row["subject"] == Keyring.of(ws).person("c1")
    assert row["detail"] == {"causes": ["unsubscribe"], "reason": WHY, "said_yes_at": YES}
    with pytest.raises(BadInput, match="the address of customer 'c1' is not suppressed"):
        person.lift(ws, "c1", WHY)


@BOTH_STORES
def test_an_unsubscription_told_late_counts_by_when_it_was(ws: Workspace) -> None:
    """Not one from before the yes; one from after it does, though it was made before the lift."""
    told(ws, ends(NO))
    person.lift(ws, "c1", WHY)
    with ws.store.write() as connection:
        suppress(connection, [ends("2026-03-21T10:00:00+00:00")])
    assert stopped(ws) == set()
    with ws.store.write() as connection:
        suppress(connection, [ends("2026-03-28T10:00:00+00:00")])
    assert stopped(ws) == {MARKETING}


@BOTH_STORES
@pytest.mark.parametrize(
    ("since", "yes", "said"),
    [
        (NO, None, "has not said yes to e-mail since 2026-03-20T10:00:00"),
        (YES, YES, "has not said yes to e-mail since 2026-03-25T10:00:00"),  # the no holds
        (NO, "2026-04-01T10:00:00+00:00", "dated 2026-04-01T10:00:00"),
    ],
)
def test_without_a_later_yes_nothing_is_lifted(
    ws: Workspace, since: str, yes: str | None, said: str
) -> None:
    told(ws, ends(since), yes=yes)
    with pytest.raises(BadInput, match=said):
        person.lift(ws, "c1", WHY)
    assert (stopped(ws), audit.entries(ws)) == ({MARKETING}, [])


@BOTH_STORES
def test_a_yes_lifts_no_complaint_and_no_bounce(ws: Workspace) -> None:
    told(ws, ends(NO, "complaint"), ends(NO, "bounce", ALL))
    with pytest.raises(BadInput, match="suppressed for bounce, complaint, which no yes lifts"):
        person.lift(ws, "c1", WHY)
    with ws.store.write() as connection:
        suppress(connection, [ends(NO)])
    assert person.lift(ws, "c1", WHY).left == ("bounce", "complaint")
    assert stopped(ws) == {ALL, MARKETING}


@BOTH_STORES
def test_who_was_erased_is_let_in_again_as_a_new_customer_only(ws: Workspace) -> None:
    told(ws, ends(NO, "erased", ALL))
    with pytest.raises(BadInput, match="No customer 'old' with an e-mail address is known"):
        person.lift(ws, "old", WHY)
    assert person.lift(ws, "c1", WHY).causes == ("erased",)
    assert stopped(ws) == set()


@BOTH_STORES
def test_a_merged_customer_s_words_count_under_each_number(ws: Workspace) -> None:
    """A no under the former number, later than the yes."""
    told(ws, ends(NO))
    person.merge(ws, "c1", "c2")
    with ws.store.write() as connection:
        record(connection, Word("c2", "email", False, "unsubscribe link"), at("2026-03-26"))
    with pytest.raises(BadInput, match="has not said yes"):
        person.lift(ws, "c1", WHY)


def test_the_command_says_what_it_did_and_what_is_left(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home", "2026-03-31T12:00")
    told(ws, ends(NO), ends(NO, "complaint"))

    def asked(reason: str, *more: str) -> Result:
        words = ["person", "lift", "c1", "--reason", reason, "--as-of", "2026-03-31", *more]
        return CliRunner().invoke(app, [*words, "--home", str(ws.home.root)])

    assert str(asked(" ").exception) == "Say why, with --reason: it stands in the audit log."
    assert asked(WHY).stdout == (
        f"Lifted: unsubscribe, by the yes of {YES}.\nThe address is still suppressed: complaint.\n"
    )
    with ws.store.write() as connection:
        suppress(connection, [ends("2026-03-25T09:00:00+00:00", "erased", ALL)])
    said = {"causes": ["erased"], "left": ["complaint"], "said_yes_at": YES}
    assert json.loads(asked(WHY, "--json").stdout) == said
