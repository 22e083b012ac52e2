"""What the store holds of a person is found and forgotten, on both databases, in any table."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from tessera import person
from tessera.addresses import address_hash
from tessera.land import land
from tessera.person import records
from tessera.person.erasure import shrink
from tessera.person.held import written
from tessera.person.identity import Identity, find
from tessera.store import Store
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.landing import project, put
from tests.sending import outbox_row

AT = "2026-03-31T00:00:00+00:00"
HER = Identity(
    customers=frozenset({"her"}),
    emails=frozenset({"Her@Mail.example"}),
    phones=frozenset({"+49 1"}),
    full_names=frozenset({"Ada L"}),
    send_keys=frozenset({outbox_row("her")["send_key"]}),
)
# Columns that may say who somebody is, and what covers them. A new one belongs here, with a reason.
WHO = re.compile(
    r"customer|owner|member|person|address|mail|phone|name|card|household|prospect|key"
)
COVERED = {
    *("customer_id", "into_customer_id", "send_key"),  # the row goes
    *("owner_id", "owner_type"),  # of an account, which is renamed
    *("email", "phone", "given_name"),  # the row goes
    *("address_hash", "person"),  # hashes that stay on purpose
    "household_id",  # goes with the row of its customer
    *("event_key", "idem_key"),  # of events, which go with their message, and of receipts
    *("card_id", "replaced_by_card_id"),  # the row goes, by its customer
    "key_id",  # of a till
    "name",  # of a file; addresses are taken out of any text
}


def plant(store: Store) -> None:
    with store.write() as connection:
        rows = [outbox_row("her"), outbox_row("him")]
        connection.insert_new("outbox", pa.Table.from_pylist(rows))
        for number, row in enumerate(rows):
            connection.run(
                "insert into provider_event (event_key, send_key, event, occurred_at, received_at, "
                "reason) values (:key, :send_key, 'bounce', :at, :at, 'no her@mail.example')",
                key=f"e{number}",
                send_key=row["send_key"],
                at=AT,
            )
            connection.run(
                "insert into consent (customer_id, channel, purpose, granted, recorded_at, origin) "
                "values (:id, 'email', 'marketing', 1, :at, 'web')",
                id=row["customer_id"],
                at=AT,
            )
        ids = [
            connection.scalar(
                "insert into account (programme, owner_type, owner_id, bucket) "
                "values ('club', :type, :id, 'available') returning account_id",
                type=kind,
                id=owner,
            )
            for kind, owner in (("member", "her"), ("member", "him"), ("system", "her"))
        ]
        pairs = [*itertools.pairwise(ids), (ids[0], ids[1])]
        for number, (debit, credit) in enumerate(pairs):
            lot = connection.scalar(
                "insert into transfer (programme, idem_key, kind, debit_id, credit_id, amount, "
                "source_type, source_id, rule, rule_version, effective_at, posted_at, business_date)"
                " values ('club', :key, 'gift', :debit, :credit, 1, 'x', 'x', 'x', '1', :at, :at, "
                "'2026-03-31') returning transfer_id",
                key=str(number),
                debit=debit,
                credit=credit,
                at=AT,
            )
            connection.run(
                "insert into lot (lot_id, account_id, amount, remaining, earned_at) "
                "values (:lot, :account, 1, 0, :at)",
                lot=lot,
                account=ids[min(number, 1)],
                at=AT,
            )


def everything(store: Store) -> dict[str, list[dict[str, Any]]]:
    with store.read() as connection:
        return {
            table.name: [dict(row) for row in connection.all(f"select * from {table.name}")]
            for table in records.tables(connection)
        }


@BOTH_STORES
def test_her_rows_are_held_and_nobody_else_s(store: Store) -> None:
    plant(store)
    with store.read() as connection:
        held = records.held(connection, HER)
    assert {name: len(rows) for name, rows in held.items()} == {
        "account": 1,
        "consent": 1,
        "lot": 1,
        "outbox": 1,
        "provider_event": 1,
        "transfer": 2,
    }


@BOTH_STORES
def test_what_keeps_text_messages_from_her_is_held_too(store: Store) -> None:
    with store.write() as connection:
        for phone in ("+49 1", "+49 2"):
            connection.run(
                "insert into suppression (address_hash, channel, scope, cause, since) "
                "values (:hash, 'sms', 'all', 'bounce', :at)",
                hash=address_hash(phone),
                at=AT,
            )
        (found,) = records.held(connection, HER)["suppression"]
    assert found["address_hash"] == address_hash("+49 1")


def test_what_was_written_to_her_is_found_on_every_channel(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    names = [
        f"{folder}/2026-03-31/{key}.{kind}"
        for folder, kind in (("mail", "eml"), ("sms", "txt"), ("print", "html"))
        for key in (*HER.send_keys, "another")
    ]
    for name in names:
        path = ws.home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [str(path.relative_to(ws.home.root)) for path in written(ws, HER)]
    assert found == [name for name in names if "another" not in name]


@BOTH_STORES
def test_what_tills_were_told_of_her_cards_is_found_and_forgotten(store: Store) -> None:
    """By the whole number of a card: other people's may begin with it."""
    answers = {"a": {"card": "K1", "referral": False}, "b": {"card": "K17", "replaced": "k1"}}
    waiting = {"c": {"card": "K1", "kind": "enrol"}, "d": {"card": "K17", "kind": "enrol"}}
    with store.write() as connection:
        for key, answer in answers.items():
            connection.run(
                "insert into till_request (store_id, idem_key, request_hash, status, answer, at) "
                "values ('S', :key, 'h', 200, :answer, :at)",
                key=key,
                answer=json.dumps(answer),
                at=AT,
            )
        for key, body in waiting.items():
            connection.run(
                "insert into till_waiting (store_id, idem_key, body, at) "
                "values ('S', :key, :body, :at)",
                key=key,
                body=json.dumps(body),
                at=AT,
            )
    her = Identity(customers=frozenset({"her"}), cards=frozenset({"K1"}))
    with store.write() as connection:
        held = records.held(connection, her)
        records.forget(connection, her, {}, AT)
    assert [row["idem_key"] for name in ("till_request", "till_waiting") for row in held[name]] == [
        "a",
        "c",
    ]
    left = everything(store)
    told = {row["idem_key"]: json.loads(row["answer"]) for row in left["till_request"]}
    assert told == answers | {"a": {"card": "[erased]", "referral": False}}
    assert [row["idem_key"] for row in left["till_waiting"]] == ["d"]


def test_her_cards_from_tills_are_hers_and_a_friend_she_was_by_one_of_them(ws: Workspace) -> None:
    with ws.store.write() as connection:
        for card, whose, origin in (
            ("K1", "her", "till"),
            ("K2", "her", "till"),
            ("K3", "him", "till"),
            ("K4", "her", "models"),
        ):
            connection.run(
                "insert into card (card_id, customer_id, origin, changed_at) "
                "values (:card, :whose, :origin, :at)",
                card=card,
                whose=whose,
                origin=origin,
                at=AT,
            )
        for friend in ("her", "K2", "K3", "K4"):
            connection.run(
                "insert into referral (customer_id, referred_by, at) values (:friend, 'x', :at)",
                friend=friend,
                at=AT,
            )
    her = find(ws, "her")
    assert (her.customers, her.cards) == ({"her", "K2"}, {"K1", "K2", "K4"})


def test_what_she_earned_before_her_card_was_registered_is_hers(ws: Workspace) -> None:
    """The account bore the card's number, and went on bearing it when she was forgotten."""
    with ws.store.write() as connection:
        for owner in ("her", "K17", "K18", "she"):
            connection.run(
                "insert into account (programme, owner_type, owner_id, bucket, balance) "
                "values ('club', 'member', :owner, 'available', 0)",
                owner=owner,
            )
        connection.run(
            "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
            "values ('she', 'her', 0, :at)",
            at=AT,
        )
        for card, whose in (("K17", "her"), ("K18", "him"), ("she", "her")):
            connection.run(
                "insert into points_merge (programme, customer_id, into_customer_id, merged_at) "
                "values ('club', :card, :whose, :at)",
                card=card,
                whose=whose,
                at=AT,
            )
    her = find(ws, "her")
    assert her.customers == {"her", "K17"}
    with ws.store.write() as connection:
        records.forget(connection, her, {"her": "nobody-1", "K17": "nobody-2"}, AT)
        left = connection.all("select distinct owner_id from account order by owner_id")
    assert [row["owner_id"] for row in left] == [
        "K18", "nobody-1", "nobody-2", "she",
    ]  # fmt: skip


def test_the_ledger_is_not_read_through_for_one_person(ws: Workspace) -> None:
    for name in ("account", "lot", "transfer"):
        query = f"explain query plan {records.SQL[name]} in ('her', 'she')"
        with ws.store.read() as connection:
            steps = [row["detail"] for row in connection.all(query)]
        assert not [step for step in steps if step.startswith("SCAN")], name


@BOTH_STORES
def test_she_is_forgotten_and_everybody_else_stays(store: Store) -> None:
    plant(store)
    with store.write() as connection:
        records.forget(connection, HER, {"her": "nobody-1"}, AT)
        records.suppress(connection, HER, AT)
    shrink(store.engine)
    left = everything(store)
    assert [row["customer_id"] for row in left["outbox"] + left["consent"]] == ["him", "him"]
    assert [row["reason"] for row in left["provider_event"]] == ["no [erased]"]
    owners = {(row["owner_type"], row["owner_id"]) for row in left["account"]}
    assert owners == {("member", "nobody-1"), ("member", "him"), ("system", "her")}
    assert len(left["transfer"]) == 3, "the ledger is as it was"
    assert {row["address_hash"] for row in left["suppression"]} == {
        address_hash("Her@Mail.example"),
        address_hash("+49 1"),
    }
    with store.write() as connection:
        assert records.held(connection, HER).keys() == {"suppression"}


@BOTH_STORES
def test_her_name_goes_also_where_it_was_escaped(store: Store) -> None:
    plant(store)
    written = [json.dumps("of Zoë O'Hea."), "of Zoë O&#x27;Hea.", "of Zoë O'Hea.", "of Zoë."]
    written += ["of X!oo_ 100%.", "of X!oox 100 p."]  # marks of a pattern are letters of a name
    with store.write() as connection:
        connection.run("create table said (text text)")
        connection.run_many("insert into said values (:text)", [{"text": t} for t in written])
        her = replace(HER, full_names=frozenset({"Zoë O'Hea", "X!oo_ 100%"}))
        records.forget(connection, her, {"her": "nobody-1"}, AT)
    said = [row["text"] for row in everything(store)["said"]]
    left = ["of Zoë.", "of X!oox 100 p."]
    assert sorted(said) == sorted(['"of [erased]."', *["of [erased]."] * 3, *left])


@BOTH_STORES
def test_an_append_only_table_lets_go_of_her_and_is_append_only_again(store: Store) -> None:
    plant(store)
    with store.write() as connection:
        connection.run("create table visitor (email text, given_name text, referred_by text)")
        connection.run(
            "insert into visitor values ('her@mail.example', 'Ada', null), ('b', 'B', 'her')"
        )
        connection.run("create table vote (customer_id text, score integer)")
        connection.run("insert into vote values ('her', 1), ('him', 2)")
        if connection.dialect == "sqlite":
            connection.run(
                "create trigger vote_stays before delete on vote "
                "begin select raise(abort, 'immutable'); end"
            )
        else:
            connection.run(
                "create trigger vote_stays before delete on vote "
                "for each statement execute function transfer_refuse()"
            )
    with store.write() as connection:
        records.forget(connection, HER, {"her": "nobody-1"}, AT)
    assert everything(store)["visitor"] == [{"email": "b", "given_name": "B", "referred_by": None}]
    assert everything(store)["vote"] == [{"customer_id": "him", "score": 2}]
    with pytest.raises(sa.exc.DBAPIError, match="immutable"), store.write() as connection:
        connection.run("delete from vote")


@BOTH_STORES
def test_every_column_that_may_name_somebody_is_covered(store: Store) -> None:
    """A table that holds people under another name would be overlooked by an erasure."""
    with store.read() as connection:
        found = {
            (table.name, column)
            for table in records.tables(connection)
            for column in table.columns
            if WHO.search(column) and column not in COVERED
        }
    assert found == set()


@BOTH_STORES
def test_a_person_of_a_home_whose_store_is_elsewhere_is_erased(
    store: Store, store_url: str, tmp_path: Path
) -> None:
    plant(store)
    customers = {"files": "*", "columns": {"customer_id": "id", "email": "email"}}
    folder = project(tmp_path / "project", customers=customers)
    ws = workspace(tmp_path / "home", project=folder, store_url=store_url)
    files = put(tmp_path / "files", a__csv="id,email\nher,Her@Mail.example\nhim,b@mail.example\n")
    land(ws, "till", files)
    proof = person.erase(ws, "her")
    assert proof.rows["landed customers"] == 1
    assert proof.finished_at
    again = put(tmp_path / "more", b__csv="id,email\nhim,b@mail.example\nher,Her@Mail.example\n")
    report = land(ws, "till", again)
    assert report.rows == 1
    assert "her" not in {row["customer_id"] for row in everything(store)["outbox"]}
