"""Bounces that were none: what a provider's bad hour suppressed is let go of, and nothing else."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tessera import audit
from tessera.addresses import address_hash
from tessera.cli.app import app
from tessera.consent.suppression import ALL, MARKETING, Suppression, suppress
from tessera.errors import BadInput
from tessera.hear.bounces import Stretch, by_domain, clear
from tessera.hear.hearing import take_in
from tessera.send import send
from tessera.testing import publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.sending import customer, enqueue, outbox_row, states

WHY = "their outage"
EMAILS = ["Person0@Mail.example", "person1@mail.example", "person2@other.example"]


def at(hour: int, day: int = 30) -> datetime:
    return datetime.fromisoformat(f"2026-03-{day}T{hour:02}:00:00+00:00")


def stretch(domain: str | None = None) -> Stretch:
    return Stretch(at(20), at(23), domain)


def bounced(number: int, hour: int, **fields: Any) -> dict[str, Any]:
    """As the provider posts it: an address that is said not to exist."""
    key = f"{number} {hour} {fields}"
    its = {"send_key": key, "email": EMAILS[number].lower(), "status": "5.1.1"}
    return {"event": "bounce", "timestamp": int(at(hour).timestamp()), **its, **fields}


def hear(ws: Workspace, *events: dict[str, Any]) -> None:
    take_in(ws.store, events, at(12, day=31))


def suppressed(ws: Workspace) -> set[tuple[str, str]]:
    names = {address_hash(email): email.lower() for email in EMAILS}
    with ws.store.read() as connection:
        rows = connection.all("select address_hash, cause from suppression")
    return {(names[row["address_hash"]], row["cause"]) for row in rows}


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Workspace:
    found = workspace(tmp_path / "home", "2026-03-31T12:00", store_url=store_url)
    publish(found, customers=[{**customer(n), "email": EMAILS[n]} for n in range(3)])
    return found


@BOTH_STORES
def test_what_bounced_in_a_bad_hour_is_written_to_again(ws: Workspace) -> None:
    hear(ws, bounced(0, 20), bounced(1, 22, status="5.0.0"), bounced(2, 19))
    enqueue(ws, *(outbox_row(f"c{n}") for n in range(3)))
    assert clear(ws, stretch(), f" {WHY}\n") == 2
    assert suppressed(ws) == {("person2@other.example", "invalid")}  # an hour before
    send(ws)
    assert states(ws) == {"accepted": 2, "cancelled": 1}
    (row,) = audit.entries(ws, action="clear bounces")
    assert row["subject"] == "2026-03-30T20:00:00+00:00 to 2026-03-30T23:00:00+00:00"
    assert row["detail"] == {"addresses": 2, "domain": None, "reason": WHY}


@BOTH_STORES
def test_what_bounces_later_is_suppressed_again_and_what_is_told_late_is_not(ws: Workspace) -> None:
    hear(ws, bounced(0, 20), bounced(1, 20))
    clear(ws, stretch(), WHY)
    hear(ws, bounced(0, 22), bounced(1, 23))
    assert suppressed(ws) == {("person1@mail.example", "invalid")}


@BOTH_STORES
def test_only_the_addresses_of_a_domain_are_cleared(ws: Workspace) -> None:
    hear(ws, *(bounced(n, 20) for n in range(3)))
    assert clear(ws, stretch("MAIL.example"), WHY) == 2
    assert suppressed(ws) == {("person2@other.example", "invalid")}
    with pytest.raises(BadInput, match=r"No address at mail\.example is suppressed for a bounce"):
        clear(ws, stretch("mail.example"), WHY)


@BOTH_STORES
def test_complaints_unsubscriptions_traps_and_blocks_stay(ws: Workspace) -> None:
    """Blocks are no outage: they came on three different days."""
    causes = {"complaint": MARKETING, "unsubscribe": MARKETING, "spam_trap": ALL, "blocked": ALL}
    its = [
        Suppression(address_hash(EMAILS[0]), scope, cause, at(21).isoformat())
        for cause, scope in causes.items()
    ]
    with ws.store.write() as connection:
        suppress(connection, its)
    with pytest.raises(BadInput, match="No address is suppressed for a bounce"):
        clear(ws, stretch(), WHY)
    hear(ws, bounced(0, 21))
    clear(ws, stretch(), WHY)
    assert suppressed(ws) == {("person0@mail.example", cause) for cause in causes}


@BOTH_STORES
def test_bounces_are_counted_by_day_and_domain(ws: Workspace) -> None:
    """Those of nobody the models know have no domain."""
    hear(ws, bounced(0, 22), bounced(1, 20), bounced(2, 21), bounced(2, 21, email="who@no.example"))
    found = by_domain(ws, Stretch(at(0), at(0, day=31)))
    assert [(row["domain"], row["addresses"]) for row in found] == [
        ("mail.example", 2),
        ("other.example", 1),
        (None, 1),
    ]
    times = {"first": "2026-03-30T20:00:00+00:00", "last": "2026-03-30T22:00:00+00:00"}
    assert found[0].items() >= {"day": "2026-03-30", "cause": "invalid", **times}.items()


def test_the_commands_go_by_the_shop_s_clock(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home", "2026-03-31T12:00", timezone="Europe/Athens")
    publish(ws, customers=[{**customer(0), "email": EMAILS[0]}])
    hear(ws, bounced(0, 20))  # 23:00 in Athens
    env = {"TESSERA_HOME": str(tmp_path / "home"), "TESSERA_TIMEZONE": "Europe/Athens"}

    def said(*words: str) -> Any:
        return CliRunner().invoke(app, ["bounces", *words, "--reason", WHY], env=env)

    early = said("clear", "--from", "2026-03-30T20:00", "--until", "2026-03-30T23:00")
    assert "No address is suppressed for a bounce of 2026-03-30T17:00" in str(early.exception)
    wrong = said("clear", "--from", "2026-03-31", "--until", "2026-03-30")
    assert str(wrong.exception) == "--from must lie before --until."
    assert "--until 'noon' is not a date" in str(
        said("clear", "--from", "2026-03-31", "--until", "noon").exception
    )
    whole = ["--from", "2026-03-30T23:00", "--until", "2026-03-31"]
    listed = CliRunner().invoke(app, ["bounces", "list", *whole, "--json"], env=env)
    assert [row["addresses"] for row in json.loads(listed.stdout)] == [1]
    assert said("clear", *whole).stdout == "Addresses that are written to again: 1.\n"
