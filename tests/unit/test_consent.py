"""Consent: a ledger that keeps every word, suppressions that can be lifted, and the complaint guard."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError

from tessera.addresses import address_hash
from tessera.consent import Guard, Word, Wordings, complaint_guard, record
from tessera.consent.ledger import withdraw, words
from tessera.consent.preferences import choose, current
from tessera.consent.suppression import MARKETING, UNSUBSCRIBE, Suppression, lift, scopes, suppress
from tessera.consent.wordings import choices
from tessera.errors import BadInput
from tessera.hear.hearing import take_in
from tessera.settings import CHECKOUT
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.sending import enqueue, outbox_row

LANGUAGES = {"en", "de", "el", "ru", "lv", "fa"}
HASH = address_hash("person@mail.example")


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "home", "2026-03-31T12:00", store_url=store_url)


def rows(ws: Workspace, query: str) -> list[dict[str, Any]]:
    with ws.store.read() as connection:
        return [dict(row) for row in connection.all(query)]


@BOTH_STORES
def test_the_ledger_keeps_who_what_when_where_and_the_words(ws: Workspace) -> None:
    """T34: consent without evidence is none."""
    yes = Word("c1", "email", True, "sign-up", "email-2026-01/fa", {"asked_at": "2026-03-30"})
    with ws.store.write() as connection:
        assert record(connection, yes, ws.as_of) == 1
        assert record(connection, yes, ws.as_of) == 0
        assert words(connection, "c1") == {"email": ("2026-03-31T12:00:00+00:00", True)}
    (row,) = rows(ws, "select * from consent")
    assert row | {"consent_id": 1} == {
        "consent_id": 1,
        "customer_id": "c1",
        "channel": "email",
        "purpose": "marketing",
        "granted": 1,
        "recorded_at": "2026-03-31T12:00:00+00:00",
        "origin": "sign-up",
        "wording_version": "email-2026-01/fa",
        "proof": '{"asked_at": "2026-03-30"}',
        "noted_at": None,
    }


@BOTH_STORES
@pytest.mark.parametrize("statement", ["update consent set granted = 1", "delete from consent"])
def test_nobody_can_rewrite_the_ledger(ws: Workspace, statement: str) -> None:
    with ws.store.write() as connection:
        withdraw(connection, "c1", "email", "unsubscribe link", ws.as_of)
    with pytest.raises(DatabaseError, match="immutable"), ws.store.write() as connection:
        connection.run(statement)
    assert len(rows(ws, "select * from consent")) == 1


@BOTH_STORES
def test_of_a_yes_and_a_no_in_one_second_the_no_holds(ws: Workspace) -> None:
    with ws.store.write() as connection:
        record(connection, Word("c1", "email", True, "sign-up", "email-2026-01/en"), ws.as_of)
        assert withdraw(connection, "c1", "email", "unsubscribe link", ws.as_of) == 1
        assert withdraw(connection, "c1", "email", "unsubscribe link", ws.as_of) == 0
        record(connection, Word("c1", "sms", True, "sign-up", "sms-2026-01/en"), ws.as_of)
        said = {channel: yes for channel, (_, yes) in words(connection, "c1").items()}
    assert said == {"email": False, "sms": True}


@BOTH_STORES
def test_asking_anew_lifts_having_unsubscribed_and_nothing_else(ws: Workspace) -> None:
    before, after = "2026-03-30T00:00:00+00:00", "2026-04-02T00:00:00+00:00"
    with ws.store.write() as connection:
        suppress(
            connection,
            [Suppression(HASH, MARKETING, cause, before) for cause in (UNSUBSCRIBE, "complaint")],
        )
        lift(connection, HASH, ws.as_of)
        lift(connection, HASH, ws.as_of - timedelta(days=3))  # told later still
        for since in (before, "2026-03-31T12:00:00+00:00"):  # told late
            suppress(connection, [Suppression(HASH, MARKETING, UNSUBSCRIBE, since)])
    assert [row["cause"] for row in rows(ws, "select cause from suppression")] == ["complaint"]
    with ws.store.write() as connection:
        suppress(connection, [Suppression(HASH, MARKETING, UNSUBSCRIBE, after)])
        assert scopes(connection, HASH) == {MARKETING}
    assert len(rows(ws, "select * from suppression")) == 2


@BOTH_STORES
def test_the_latest_choice_counts_and_the_same_choice_is_none(ws: Workspace) -> None:
    with ws.store.write() as connection:
        wanted = {"language": "fa", "topic:offers": "no"}
        assert choose(connection, "c1", wanted, ws.as_of) == wanted
        assert choose(connection, "c1", {"language": "de", "topic:offers": "no"}, ws.as_of) == {
            "language": "de"
        }
        assert current(connection, "c1") == {"language": "de", "topic:offers": "no"}
        assert current(connection, "c2") == {}


@BOTH_STORES
def test_what_was_chosen_last_under_any_number_of_a_person_counts(ws: Workspace) -> None:
    """The pause and the topics of who was merged held no more, and what they chose by a link in an old letter
    was written down for nobody."""
    said: list[tuple[str, dict[str, str]]] = [
        ("c1", {"frequency": "weekly", "topic:offers": "yes"}),
        ("c2", {"paused_until": "2026-05-01", "topic:offers": "no"}),
        ("c3", {"frequency": "monthly"}),
    ]
    with ws.store.write() as connection:
        for customer_id, wanted in said:
            choose(connection, customer_id, wanted, ws.as_of)
        for other in ("c2", "c3"):
            connection.run(
                "insert into person_merge values (:other, 'c1', 1, '2026-03-31')", other=other
            )
        one = {"frequency": "monthly", "paused_until": "2026-05-01", "topic:offers": "no"}
        assert [current(connection, name) for name in ("c1", "c2", "c3")] == [one] * 3
        assert choose(connection, "c2", {"topic:offers": "yes"}, ws.as_of)
        assert current(connection, "c1") == one | {"topic:offers": "yes"}
        connection.run("update person_merge set is_in_force = 0")
        assert current(connection, "c1") == said[0][1]
        assert current(connection, "c3") == said[2][1]


def told(
    ws: Workspace, delivered: int, complaints: int, days_ago: float = 1, **columns: Any
) -> None:
    """So many messages with their events."""
    name = f"{days_ago}-{columns.get('purpose', '')}"
    keys = enqueue(ws, *(outbox_row(f"{name}-{n}", **columns) for n in range(delivered)))
    moment = int((ws.as_of - timedelta(days=days_ago)).timestamp())
    happened = [("delivered", key) for key in keys] + [("spamreport", k) for k in keys[:complaints]]
    entries = [{"event": e, "send_key": k, "timestamp": moment} for e, k in happened]
    twice = [one | {"timestamp": moment + 1} for one in entries if one["event"] == "spamreport"]
    take_in(ws.store, [*entries * 2, *twice], ws.as_of)


@pytest.mark.parametrize(
    ("delivered", "complaints", "state"),
    [
        (5000, 3, "open"),
        (5000, 4, "alert"),
        (5000, 9, "alert"),
        (5000, 10, "stopped"),
        (999, 100, "open"),  # too few to judge by
        (1000, 2, "stopped"),
        (0, 0, "open"),
    ],
)
def test_marketing_stops_when_too_many_complain(
    delivered: int, complaints: int, state: str
) -> None:
    """An alert at 0.08 %, a stop at 0.2 %, of at least 1,000 delivered within seven days."""
    guard = Guard(delivered, complaints, "", "")
    assert (guard.state, guard.stopped) == (state, state == "stopped")


@BOTH_STORES
def test_the_guard_looks_at_marketing_of_seven_days_only(ws: Workspace) -> None:
    told(ws, 1000, 2)
    told(ws, 10, 10, purpose="service")
    told(ws, 20, 20, days_ago=8)
    told(ws, 5, 0, days_ago=7)
    told(ws, 30, 30, days_ago=-1)
    with ws.store.read() as connection:
        guard = complaint_guard(connection, ws.as_of)
    assert str(guard) == (
        "2 complaints of 1,000 marketing messages delivered in 7 days (0.200%): stopped"
    )


def test_the_wordings_and_topics_that_ship_speak_every_language() -> None:
    found = Wordings.load(CHECKOUT).by_channel
    assert set(found) == {"email", "sms", "print"}
    assert all(set(wording.text) == LANGUAGES for wording in found.values())
    assert found["email"].spoken("de-AT") == (found["email"].text["de"], "email-2026-01/de")
    assert found["email"].spoken("ja")[1] == "email-2026-01/en"
    assert len(choices(CHECKOUT).topics) > 3


def test_a_wording_that_cannot_be_used_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "deployments" / "consent_wordings.yml"
    file.parent.mkdir()
    one = "  - {version: a, channel: email, purpose: marketing, text: {en: Yes}}\n"
    file.write_text("wordings:\n" + one + one)
    with pytest.raises(BadInput, match="two wordings have the same version"):
        Wordings.load(tmp_path)
    file.write_text("wordings:\n" + one.replace("en", "de"))
    with pytest.raises(BadInput, match=r"consent_wordings\.yml:2: .*'en'"):
        Wordings.load(tmp_path)
