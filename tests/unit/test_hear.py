"""Hear: events in any order and number, and what each means for the person."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sqlalchemy.exc import DatabaseError

from tessera import clock
from tessera.addresses import address_hash
from tessera.consent.ledger import Word, record, words
from tessera.consent.preferences import choose
from tessera.consent.suppression import lift
from tessera.errors import BadInput
from tessera.feeds import FEEDS
from tessera.hear import export, hear, hearing
from tessera.hear.answers import latest, promotion
from tessera.hear.consequences import blocked_since
from tessera.hear.events import parse, read
from tessera.hear.export import BY_DATE, BY_INSTANT
from tessera.hear.hearing import inbox, take_in
from tessera.settings import CHECKOUT
from tessera.store import Store
from tessera.testing import publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.deciding import insert
from tests.sending import customer, enqueue, outbox_row, states

NOON = 1774958400  # 2026-03-31T12:00:00Z


def event(name: str, key: str = "k", **fields: Any) -> dict[str, Any]:
    """As the provider posts it: custom arguments at the top level, its own ids beside."""
    return {
        "email": "Person@Mail.example",
        "timestamp": NOON,
        "event": name,
        "sg_event_id": f"{random.random()}",
        "send_key": key,
        **fields,
    }


def write(path: Path, events: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(events), encoding="utf-8")
    return path


def rows(ws: Workspace, query: str) -> list[dict[str, Any]]:
    with ws.store.read() as connection:
        return [dict(row) for row in connection.all(query)]


def suppressions(ws: Workspace) -> list[dict[str, Any]]:
    return rows(ws, "select address_hash, scope, cause, since from suppression order by 1, 2, 3")


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "home", store_url=store_url)


SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def test_an_event_without_an_address_is_about_the_reader_of_its_message(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    people = [customer(n) for n in range(4)]
    merged = [{"customer_id": "c9", "into_customer_id": "c3"}]
    publish(ws, customers=people, known_as=merged)
    readers = {"k0": "c0", "k1": "c1", "k3": "c9"}
    sms = outbox_row("c2", send_key="k2", channel="sms")
    enqueue(ws, *(outbox_row(who, send_key=key) for key, who in readers.items()), sms)
    told = {"k0": "bounce", "k1": "spamreport", "k2": "bounce", "k3": "spamreport", "k9": "bounce"}
    entries = [{**event(name, key), "email": ""} for key, name in told.items()]
    report = hear(ws, [write(tmp_path / "events.json", [*entries, "no event"])])
    assert (report.new, report.suppressed, report.unreadable) == (5, 3, 1)
    found = {(row["address_hash"], row["cause"]) for row in suppressions(ws)}
    assert found == {
        (address_hash(f"person{n}@mail.example"), cause)
        for n, cause in ((0, "bounce"), (1, "complaint"), (3, "complaint"))
    }


@SQLITE
@pytest.mark.parametrize(
    ("fields", "scope", "cause"),
    [
        ({"event": "bounce", "type": "bounce"}, "all", "bounce"),
        ({"event": "bounce"}, "all", "bounce"),
        ({"event": "bounce", "type": "blocked"}, None, None),
        ({"event": "deferred"}, None, None),
        ({"event": "spamreport"}, "marketing", "complaint"),
        ({"event": "unsubscribe"}, "marketing", "unsubscribe"),
        ({"event": "group_unsubscribe"}, "marketing", "unsubscribe"),
        ({"event": "bounce", "status": "5.1.1"}, "all", "invalid"),
        ({"event": "bounce", "status": "5.1.10"}, "all", "invalid"),
        ({"event": "bounce", "status": "4.2.2"}, None, None),
        ({"event": "bounce", "status": "5.2.2"}, None, None),
        ({"event": "bounce", "bounce_classification": "Reputation"}, None, None),
        ({"event": "bounce", "reason": "550 listed as a spam trap"}, "all", "spam_trap"),
        ({"event": "bounce", "type": "blocked", "reason": "Spamtrap hit"}, "all", "spam_trap"),
        ({"event": "dropped", "reason": "Bounced Address"}, "all", "bounce"),
        ({"event": "dropped", "reason": "Invalid"}, "all", "invalid"),
        ({"event": "dropped", "reason": "Invalid SMTPAPI header"}, None, None),
        ({"event": "dropped", "reason": "words nobody documents"}, None, None),
        ({"event": "group_resubscribe"}, None, None),
        ({"event": "delivered", "response": "250 vacation: I unsubscribe from work"}, None, None),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, "marketing", "complaint"),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, "marketing", "unsubscribe"),
        ({"event": "dropped", "reason": "Spam Content (if Spam Check app enabled)"}, None, None),
        ({"event": "dropped", "reason": "Recipient List over Package Quota"}, None, None),
        ({"event": "open"}, None, None),
        ({"event": "out_of_office"}, None, None),
    ],
)
def test_only_what_the_provider_states_outright_suppresses(
    ws: Workspace, tmp_path: Path, fields: dict[str, str], scope: str | None, cause: str | None
) -> None:
    """T33: an out-of-office reply, words in a free text or an unknown kind of event do not."""
    report = hear(ws, [write(tmp_path / "e.json", [event("x") | fields])])
    assert report.new == 1
    hashed = address_hash("person@mail.example")
    expected = [{"address_hash": hashed, "scope": scope, "cause": cause}] if scope else []
    found = [{k: v for k, v in row.items() if k != "since"} for row in suppressions(ws)]
    assert found == expected


@BOTH_STORES
def test_an_unsubscription_withdraws_consent_with_where_and_when(
    ws: Workspace, tmp_path: Path
) -> None:
    (key,) = enqueue(ws, outbox_row("c1", state="accepted"))
    path = write(tmp_path / "e.json", [event("unsubscribe", key), event("unsubscribe", "unknown")])
    assert hear(ws, [path]).withdrawn == 1
    assert rows(ws, "select * from consent") == [
        {
            "consent_id": 1,
            "customer_id": "c1",
            "channel": "email",
            "purpose": "marketing",
            "granted": 0,
            "recorded_at": "2026-03-31T12:00:00+00:00",
            "origin": "provider unsubscribe",
            "wording_version": None,
            "proof": None,
            "noted_at": "2026-03-31T00:00:00+00:00",
        }
    ]


@SQLITE
def test_an_unsubscription_from_a_group_withdraws_consent_too(ws: Workspace) -> None:
    (key,) = enqueue(ws, outbox_row("c1", state="accepted"))
    take_in(ws.store, [event("group_unsubscribe", key)], ws.as_of)
    assert rows(ws, "select customer_id, granted from consent") == [
        {"customer_id": "c1", "granted": 0}
    ]


STATE = (
    "select event_key, send_key, event, occurred_at, address_hash from provider_event order by 1",
    "select * from suppression order by 1, 2, 3, 4",
    "select customer_id, channel, granted, recorded_at, origin from consent order by 1, 4, 5",
    "select send_key, state, state_reason from outbox order by 1",
    "select entry_hash, entry from unread_event order by 1",
)
KINDS = ("processed", "dropped", "delivered", "bounce", "deferred", "open", "click", "spamreport",
         "unsubscribe", "group_unsubscribe")  # fmt: skip


def stream(chance: random.Random, keys: list[str]) -> list[dict[str, Any]]:
    """What a provider may tell of the messages, in the order it happened."""
    found: list[dict[str, Any]] = []
    for moment in range(400):
        key = chance.choice(keys)
        fields: dict[str, Any] = {
            "timestamp": NOON + moment * 7200,
            "email": f"p{int(key[:6], 16) % 5}@m.example",
        }
        kind = chance.choice(KINDS)
        if kind == "bounce":
            fields["type"] = chance.choice(["bounce", "blocked", "blocked", "blocked", "blocked"])
            fields["status"] = chance.choice(["5.0.0", "4.7.1", "5.1.1"])
        if kind == "dropped":
            fields["reason"] = chance.choice(["Bounced Address", "Unsubscribed Address", "Invalid"])
        found.append(event(kind, key, **fields) if chance.random() > 0.02 else {"odd": moment})
    return found


@BOTH_STORES
@pytest.mark.parametrize("seed", range(3))
def test_repeats_and_shuffles_leave_the_same_state(
    ws: Workspace, store_url: str, tmp_path: Path, seed: int
) -> None:
    """T35, complaint 31: each event came about three times, some 46 times, with other ids, late and in any order.
    T36: what happened is dated by when it happened. What was given up meanwhile is overruled."""
    chance = random.Random(seed)
    keys = enqueue(ws, *(outbox_row(f"c{n}", state="ambiguous") for n in range(20)))
    clean = stream(chance, keys)
    other = workspace(tmp_path / "other", store_url=f"sqlite:///{tmp_path}/other.sqlite")
    enqueue(other, *(outbox_row(f"c{n}", state="ambiguous") for n in range(20)))
    for one in clean:
        take_in(other.store, [one], other.as_of)

    repeated = [
        {**e, "sg_event_id": str(chance.random())} if "event" in e else e
        for e in clean
        for _ in range(chance.choice([1, 3, 3, 46]))
    ]
    chance.shuffle(repeated)
    while repeated:
        size = chance.randint(1, 400)
        take_in(ws.store, repeated[:size], ws.as_of)
        del repeated[:size]
        with ws.store.write() as connection:
            connection.run(
                "update outbox set state = 'reconciled', state_reason = 'given_up' "
                "where state = 'ambiguous'"
            )
    for query in STATE:
        assert rows(ws, query) == rows(other, query)


@SQLITE
def test_a_block_suppresses_only_when_it_is_repeated(ws: Workspace) -> None:
    """Three different days within thirty, and no delivery between them."""

    def told(name: str, day: int, number: int = 0) -> None:
        moment = NOON + day * 86_400 + number
        fields = {"type": "blocked"} if name == "bounce" else {}
        take_in(ws.store, [event(name, f"k{day}-{number}", timestamp=moment, **fields)], ws.as_of)

    for number in range(5):
        told("bounce", 0, number)
    told("bounce", 1)
    assert suppressions(ws) == []
    told("bounce", 40)
    assert suppressions(ws) == []  # too long ago
    told("bounce", 41)
    told("bounce", 42)
    (found,) = suppressions(ws)
    assert (found["scope"], found["cause"], found["since"][:10]) == ("all", "blocked", "2026-05-12")
    told("delivered", 41, 7)  # told late: between the blocks one got through after all
    assert suppressions(ws) == []


@pytest.mark.parametrize(
    ("told", "since"),
    [
        ([("blocked", "01T09"), ("blocked", "02T09"), ("blocked", "31T08")], "31T08"),
        ([("blocked", "01T09"), ("blocked", "02T09"), ("blocked", "31T09")], None),  # thirty days
        ([("blocked", "01T09"), ("blocked", "01T23"), ("blocked", "02T00")], None),
        ([("blocked", "01T09"), ("delivered", "01T09"), ("blocked", "02T09"), ("blocked", "03T09")], None),
    ],
)  # fmt: skip
def test_blocks_are_too_many_on_three_days_of_thirty_in_whatever_order_they_are_told(
    told: list[tuple[str, str]], since: str | None
) -> None:
    def at(when: str) -> str:
        return f"2026-03-{when}:00:00+00:00"

    history = [(name, at(when)) for name, when in told]
    for order in (history, history[::-1]):
        assert blocked_since(order) == (at(since) if since else None)


@SQLITE
def test_of_messages_that_are_none_of_ours_each_address_is_told_for_itself(ws: Workspace) -> None:
    told = [event("bounce", "", email=f"{name}@mail.example") for name in ("ann", "bob", "ANN")]
    assert take_in(ws.store, told, ws.as_of)["new"] == 2
    assert len(suppressions(ws)) == 2


@SQLITE
def test_a_scope_is_marketing_or_all_and_each_cause_stands_for_itself(ws: Workspace) -> None:
    """T31: a complaint must not stop a password reset; a dead address stops everything."""
    take_in(ws.store, [event("spamreport"), event("unsubscribe"), event("bounce")], ws.as_of)
    found = [(row["scope"], row["cause"]) for row in suppressions(ws)]
    assert found == [("all", "bounce"), ("marketing", "complaint"), ("marketing", "unsubscribe")]


@BOTH_STORES
def test_what_is_no_event_is_kept_without_addresses(ws: Workspace) -> None:
    """T37: nothing a provider told us is lost without a word."""
    odd = [{"event": "open", "to": "person@mail.example"}, 7]
    counts = take_in(ws.store, [*odd, *odd, event("open")], ws.as_of)
    assert (counts["events"], counts["new"], counts["unreadable"]) == (1, 1, 4)
    kept = [row["entry"] for row in rows(ws, "select entry from unread_event order by 1")]
    assert kept == ["7", '{"event": "open", "to": "…"}']


@BOTH_STORES
def test_nothing_happens_after_it_was_heard_of(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unsubscription of 2100 holds until the next yes, also when it is told again after that; a clock
    that is minutes ahead of ours is believed."""
    (key,) = enqueue(ws, outbox_row("c1", state="accepted"))
    noon, hour = clock.parse_as_of("2026-03-31T12:00", "UTC"), timedelta(hours=1)
    monkeypatch.setattr(clock, "now", lambda: noon)
    far = event("unsubscribe", key, timestamp=4102444800)
    near = event("open", key, timestamp=int((noon + hour / 2).timestamp()))
    take_in(ws.store, [far, near, far], noon - hour)  # the day is run as of an earlier time
    with ws.store.write() as connection:
        record(connection, Word("c1", "email", True, "page"), noon + hour)
        lift(connection, address_hash("person@mail.example"), noon + hour)
    for later in (noon + 2 * hour, clock.parse_as_of("2101-01-01", "UTC")):
        monkeypatch.setattr(clock, "now", lambda later=later: later)
        assert take_in(ws.store, [far], later)["withdrawn"] == 0
    with ws.store.read() as connection:
        assert words(connection, "c1")["email"] == ("2026-03-31T13:00:00+00:00", True)
    assert suppressions(ws) == []
    assert rows(ws, "select event, occurred_at, reason from provider_event order by event") == [
        {"event": "open", "occurred_at": "2026-03-31T12:30:00+00:00", "reason": None},
        {
            "event": "unsubscribe",
            "occurred_at": "2026-03-31T12:00:00+00:00",
            "reason": "(dated 2100-01-01T00:00:00+00:00)",
        },
    ]


@BOTH_STORES
def test_a_long_batch_lets_others_write_and_is_finished_when_it_is_sent_again(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its parts it changes what it changed, and the second time the rest."""
    keys = enqueue(ws, *(outbox_row(f"c{n}", state="ambiguous") for n in range(5)))
    batch = [event("unsubscribe", key, email=f"{key}@mail.example") for key in keys]
    monkeypatch.setattr(hearing, "PART", 2)

    def killed(_store: Store) -> None:
        with ws.store.write() as connection:  # nobody else has the store
            connection.run("update outbox set state_reason = state_reason")
        raise KeyboardInterrupt

    monkeypatch.setattr(hearing, "_let_others_write", killed)
    with pytest.raises(KeyboardInterrupt):
        take_in(ws.store, batch, ws.as_of)
    assert [len(rows(ws, query)) for query in STATE] == [2, 2, 2, 5, 0]
    monkeypatch.undo()
    counts = take_in(ws.store, batch, ws.as_of)
    assert [counts[name] for name in ("events", "new", "withdrawn", "reconciled")] == [5, 3, 3, 3]
    assert [len(rows(ws, query)) for query in STATE] == [5, 5, 5, 5, 0]


@BOTH_STORES
def test_a_batch_is_taken_in_whole_or_not_at_all(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T37: when the store fails in the middle, the provider is told so and asks again."""
    (key,) = enqueue(ws, outbox_row("c1", state="ambiguous"))
    monkeypatch.setitem(hearing.SQL, "settle_taken", "update no_such_table set a = 1")
    with pytest.raises(DatabaseError):
        take_in(ws.store, [event("unsubscribe", key), 7], ws.as_of)
    assert [len(rows(ws, query)) for query in STATE] == [0, 0, 0, 1, 0]


@SQLITE
def test_a_backlog_of_events_does_not_look_through_the_messages(ws: Workspace) -> None:
    """T36: 15 million rows took half an hour; every statement of a batch finds its rows by key."""
    params = {"send_key": "k", "at": "2026", "values": '["x"]'}
    for name in ("settle_taken", "settle_dropped", "blocks"):
        with ws.store.read() as connection:
            query = hearing.SQL[name].format(values=connection.listed("values"))
            used = {k: v for k, v in params.items() if f":{k}" in query}
            plan = [row["detail"] for row in connection.all(f"explain query plan {query}", **used)]
        read = [detail for detail in plan if "SCAN" in detail or "SEARCH" in detail]
        assert read, plan
        assert all("USING INDEX" in one or "SCAN json_each" in one for one in read), plan


@SQLITE
def test_clicks_on_two_links_in_one_second_are_two(ws: Workspace, tmp_path: Path) -> None:
    links = [event("click", url="https://a.example"), event("click", url="https://b.example")]
    assert hear(ws, [write(tmp_path / "e.json", links)]).new == 2


@BOTH_STORES
def test_an_event_settles_what_nobody_could_know(ws: Workspace, tmp_path: Path) -> None:
    states_before = (
        "ambiguous",
        "calling",
        "ready",
        "accepted",
        "rejected",
        "ambiguous",
        "ambiguous",
    )
    keys = enqueue(ws, *(outbox_row(f"c{n}", state=state) for n, state in enumerate(states_before)))
    events = [event("processed", key) for key in keys[:5]] + [event("dropped", keys[5])]
    report = hear(ws, [write(tmp_path / "e.json", events)])
    assert report.reconciled == 4
    assert states(ws) == {"reconciled": 4, "accepted": 1, "rejected": 1, "ambiguous": 1}
    found = rows(ws, "select state_reason from outbox where state = 'reconciled' order by 1")
    assert [row["state_reason"] for row in found] == ["accepted"] * 3 + ["dropped by the provider"]


@SQLITE
def test_a_request_is_in_doubt_as_long_as_one_of_its_messages_is(ws: Workspace) -> None:
    when = dict.fromkeys(("leased_until", "created_at", "called_at"), "2026-03-31T08:00:00+00:00")
    its = {"messenger": "sendgrid", "state": "ambiguous", "leased_by": "me", "fence": 0, **when}
    insert(ws, "provider_request", request_id=1, messages=2, **its)
    doubt = {"state": "ambiguous", "request_id": 1}
    told = []
    for key in enqueue(ws, outbox_row("c1", **doubt), outbox_row("c2", **doubt)):
        take_in(ws.store, [event("delivered", key)], ws.as_of)
        told += rows(ws, "select state from provider_request")
    assert [row["state"] for row in told] == ["ambiguous", "reconciled"]


@BOTH_STORES
def test_a_late_event_overrules_what_we_had_made_of_the_silence(
    ws: Workspace, tmp_path: Path
) -> None:
    believed = {"given_up": "reconciled", "cancelled_at_provider": "cancelled",
                "campaign_cancelled": "cancelled"}  # fmt: skip
    for name in ("delivered", "bounce", "open", "dropped", "processed", "deferred"):
        enqueue(ws, *(outbox_row(f"{name} {why}", state=state, state_reason=why)
                      for why, state in believed.items()))  # fmt: skip
        found = rows(ws, f"select send_key from outbox where customer_id like '{name} %'")
        said = [event(name, row["send_key"]) for row in found]
        hear(ws, [write(tmp_path / f"{name}.json", said)])
    for row in rows(ws, "select customer_id, state, state_reason from outbox"):
        name, why = row["customer_id"].split()
        became = (row["state"], row["state_reason"])
        if why == "campaign_cancelled" or (name, why) in (
            ("dropped", "cancelled_at_provider"),
            ("processed", "cancelled_at_provider"),
            ("deferred", "cancelled_at_provider"),
        ):
            assert became == ("cancelled", why)
        elif name == "dropped":
            assert became == ("reconciled", "dropped by the provider")
        else:
            assert became == ("reconciled", "accepted")


@SQLITE
def test_json_lines_and_arrays_say_the_same(ws: Workspace, tmp_path: Path) -> None:
    events = [event("delivered", str(n)) for n in range(5)]
    array = write(tmp_path / "a.json", events)
    lines = tmp_path / "b.jsonl"
    lines.write_text("\n".join(json.dumps(e) for e in events) + "\n\n", encoding="utf-8-sig")
    assert hear(ws, [array]).new == 5
    assert (hear(ws, [lines]).events, hear(ws, [lines]).files) == (5, 0)
    assert len(rows(ws, "select * from provider_event")) == 5
    single = write(tmp_path / "c.json", event("open", "one"))
    assert hear(ws, [single]).new == 1
    odd = tmp_path / "d.jsonl"  # JSON may have what others end a line with within a text
    one = event("bounce", "two") | {"reason": "full\u2028try\x85later"}
    odd.write_text(json.dumps(one, ensure_ascii=False) + "\n", encoding="utf-8")
    assert hear(ws, [odd]).new == 1


@SQLITE
@pytest.mark.parametrize(
    "raw",
    [b"{", b"\xff\xfe\x00", b"not json", b"[1, 2", b'{"event": "open"}\n{"event"', b"[" * 9999],
)
def test_a_file_that_is_not_json_is_refused_and_the_others_heard(
    ws: Workspace, tmp_path: Path, raw: bytes
) -> None:
    bad, good = tmp_path / "bad.json", write(tmp_path / "good.json", [event("open")])
    bad.write_bytes(raw)
    report = hear(ws, [bad, good, tmp_path / "missing.json"])
    assert (report.files, report.new) == (1, 1)
    first, second = report.refused
    assert str(bad) in first
    assert "missing.json cannot be read" in second


@SQLITE
def test_an_entry_that_is_no_event_is_counted_and_stops_nothing(
    ws: Workspace, tmp_path: Path
) -> None:
    entries = [
        None, 3, "x", [], {}, {"event": "open"}, {"timestamp": NOON}, {"event": "", "timestamp": 1},
        {"event": "open", "timestamp": "soon"}, {"event": "open", "timestamp": 1e400},
        {"event": "open", "timestamp": True}, {"event": 5, "timestamp": 1},
        event("open"), event("a_new_kind_of_event", timestamp=str(NOON)),
    ]  # fmt: skip
    report = hear(ws, [write(tmp_path / "e.json", entries)])
    assert (report.unreadable, report.new) == (12, 2)


@BOTH_STORES
def test_odd_characters_and_addresses_do_not_reach_the_store(ws: Workspace, tmp_path: Path) -> None:
    odd = event("bounce", "k\0ey", reason="550 <person@mail.example> unknown \0 \ud800")
    hear(ws, [write(tmp_path / "e.json", [odd])])
    (row,) = rows(ws, "select * from provider_event")
    assert row["send_key"] == "key"
    assert row["reason"] == "550 … unknown  ?"


@SQLITE
def test_the_inbox_is_heard_once(ws: Workspace) -> None:
    folder = ws.home.root / "inbox"
    write(folder / "b.json", [event("open", "b")])
    write(folder / "a.jsonl", event("open", "a"))
    write(folder / "notes.txt", "no")
    assert (hear(ws).files, hear(ws).files) == (2, 0)
    write(folder / "copy.json", [event("open", "b")])
    assert hear(ws).new == 0
    assert len(rows(ws, "select * from provider_event")) == 2


def test_an_events_time_is_utc() -> None:
    found = parse({"event": "open", "timestamp": 0})
    assert found is not None
    assert found.occurred_at == "1970-01-01T00:00:00+00:00"


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "none.json")


# Export


def on(ws: Workspace, day: str) -> Workspace:
    """The same home on another day."""
    return type(ws)(ws.settings, clock.parse_as_of(day, ws.settings.timezone))


def account(ws: Workspace, owner: str, bucket: str, kind: str = "member") -> None:
    with ws.store.write() as connection:
        connection.run(
            "insert into account (programme, owner_type, owner_id, bucket) values ('p', :k, :o, :b)",
            k=kind, o=owner, b=bucket,
        )  # fmt: skip


def transfer(ws: Workspace, key: str, day: str, debit: int = 1, credit: int = 2) -> None:
    with ws.store.write() as connection:
        connection.run(
            "insert into transfer (programme, idem_key, kind, debit_id, credit_id, amount, source_type,"
            " source_id, rule, rule_version, effective_at, posted_at, business_date) values ('p', :k,"
            " 'earn', :d, :c, 5, 'receipt', 'r1', 'base', '1', :at, :at, :day)",
            k=key, d=debit, c=credit, at=f"{day}T00:00:00+00:00", day=day,
        )  # fmt: skip


@BOTH_STORES
def test_every_closed_day_is_exported_once_in_the_feeds_own_columns(
    ws: Workspace, tmp_path: Path
) -> None:
    enqueue(ws, outbox_row("c2", state="accepted"), outbox_row("c1", state="accepted"))
    hear(ws, [write(tmp_path / "e.json", [event("delivered"), event("bounce", "")])])
    account(ws, "issuance", "issuance", "system")
    account(ws, "c1", "available")
    transfer(ws, "t1", "2026-03-31")
    assert export(ws).files == 0  # today is not over
    report = export(on(ws, "2026-04-01"))
    assert (report.files, report.messages) == (4, 2)
    assert (report.message_events, report.point_transfers, report.point_balances) == (1, 1, 1)
    for feed in ("messages", "message_events", "point_transfers", "point_balances"):
        table = pq.read_table(ws.home.engine / feed / "2026-03-31.parquet")
        assert table.column_names == list(FEEDS[feed].columns)
    messages = pq.read_table(ws.home.engine / "messages" / "2026-03-31.parquet").to_pylist()
    assert [row["send_key"] for row in messages] == sorted(row["send_key"] for row in messages)
    assert str(messages[0]["send_at"]) == "2026-03-31 09:00:00"
    assert str(messages[0]["business_date"]) == "2026-03-31"
    points = pq.read_table(ws.home.engine / "point_transfers" / "2026-03-31.parquet").to_pylist()
    assert points[0]["debit"] == "system:issuance:issuance"
    assert points[0]["credit"] == "member:c1:available"
    assert (points[0]["customer_id"], points[0]["amount"]) == ("c1", 5)
    assert export(on(ws, "2026-04-01")).files == 0


@BOTH_STORES
def test_two_exports_at_once_write_every_day_once(ws: Workspace) -> None:
    """The day's and that of every quarter of an hour begin in the same minute."""
    account(ws, "issuance", "issuance", "system")
    account(ws, "c1", "available")
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(40)]
    for day in days:
        transfer(ws, f"t{day}", f"{day}")
    gate = Barrier(3)

    def once(_number: int) -> int:
        gate.wait()
        return export(on(ws, "2026-04-01")).point_transfers

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(once, range(3))) == [0, 0, 40]
    found = sorted(path.name for path in (ws.home.engine / "point_transfers").iterdir())
    assert found == [f"{day}.parquet" for day in days]


def test_whatever_is_exported_has_a_way_back_in() -> None:
    text = (CHECKOUT / "deployments/sources/engine.yml").read_text(encoding="utf-8")
    mapped = yaml.safe_load(text)["feeds"]
    for feed in (*BY_INSTANT, *BY_DATE):
        columns = set(mapped[feed][0]["columns"])
        assert set(FEEDS[feed].required) <= columns <= set(FEEDS[feed].columns), feed


def exported(ws: Workspace, feed: str, day: str, column: str) -> list[object]:
    table = pq.read_table(ws.home.engine / feed / f"{day}.parquet")
    return list(table[column].to_pylist())


@BOTH_STORES
def test_a_day_that_was_posted_to_again_is_exported_again_with_the_balances_since(
    ws: Workspace,
) -> None:
    account(ws, "issuance", "issuance", "system")
    account(ws, "c1", "available")
    transfer(ws, "t1", "2026-03-31")
    transfer(ws, "t2", "2026-04-01")
    export(on(ws, "2026-04-02"))
    with ws.store.write() as connection:
        connection.run("update account set balance = 15 where owner_id = 'c1'")
    transfer(ws, "t3", "2026-03-31")
    assert export(on(ws, "2026-04-02")).files == 3
    assert exported(ws, "point_transfers", "2026-03-31", "idem_key") == ["t1", "t3"]
    assert exported(ws, "point_transfers", "2026-04-01", "idem_key") == ["t2"]
    assert exported(ws, "point_balances", "2026-03-31", "balance") == [10]
    assert exported(ws, "point_balances", "2026-04-01", "balance") == [15]
    assert export(on(ws, "2026-04-02")).files == 0


@SQLITE
def test_what_days_before_the_last_post_is_exported_whatever_day_is_exported_first(
    ws: Workspace,
) -> None:
    """A day that is run a second and a third time looks at its own transfers while it is not over."""
    account(ws, "issuance", "issuance", "system")
    account(ws, "c1", "available")
    transfer(ws, "t1", "2026-03-31")
    export(on(ws, "2026-04-02"))
    transfer(ws, "t2", "2026-03-31")
    for day in ("2026-03-31", "2026-03-30", "2026-04-02"):
        export(on(ws, day))
    assert exported(ws, "point_transfers", "2026-03-31", "idem_key") == ["t1", "t2"]


@SQLITE
def test_a_tier_that_a_day_before_the_last_moved_is_exported_with_the_last_move(
    ws: Workspace,
) -> None:
    account(ws, "issuance", "issuance", "system")
    account(ws, "c1", "available")

    def move(position: int, tier: str) -> None:
        said = {"programme": "club", "customer_id": "c1", "business_date": "2026-04-01"}
        said |= {"position": position, "tier": tier, "reason": "reached", "qualifying": 1}
        with ws.store.write() as connection:
            connection.insert("tier_move", pa.Table.from_pylist([said]))

    transfer(ws, "t1", "2026-04-01")
    move(0, "silver")
    export(on(ws, "2026-04-02"))
    transfer(ws, "t2", "2026-03-31")
    move(1, "gold")
    export(on(ws, "2026-04-02"))
    table = pq.read_table(ws.home.engine / "tier_moves" / "2026-04-01.parquet")
    assert table["tier"].to_pylist() == ["silver", "gold"]


@SQLITE
def test_a_day_exported_anew_has_the_same_bytes(ws: Workspace) -> None:
    enqueue(ws, *(outbox_row(f"c{n}") for n in range(50)))
    export(on(ws, "2026-04-01"))
    path = ws.home.engine / "messages" / "2026-03-31.parquet"
    first = path.read_bytes()
    path.unlink()
    export(on(ws, "2026-04-05"))
    assert path.read_bytes() == first


@SQLITE
def test_a_message_that_changes_later_is_exported_with_the_later_day(ws: Workspace) -> None:
    (key,) = enqueue(ws, outbox_row("c1", state="ambiguous"))
    export(on(ws, "2026-04-01"))
    with ws.store.write() as connection:
        connection.run(
            "update outbox set state = 'reconciled', state_at = '2026-04-02T00:00:00+00:00'"
        )
    assert export(on(ws, "2026-04-03")).messages == 1
    table = pq.read_table(ws.home.engine / "messages" / "2026-04-02.parquet").to_pylist()
    assert [(row["send_key"], row["state"]) for row in table] == [(key, "reconciled")]


@SQLITE
def test_days_are_the_shops(store_url: str, tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-04-02", store_url=store_url, timezone="Europe/Athens")
    enqueue(
        ws,
        outbox_row("c1", state_at="2026-03-30T20:59:59+00:00"),
        outbox_row("c2", state_at="2026-03-30T21:00:00+00:00"),
    )
    export(ws)
    names = sorted(path.name for path in (ws.home.engine / "messages").iterdir())
    assert names == ["2026-03-30.parquet", "2026-03-31.parquet"]


@SQLITE
def test_the_command_says_which_file_it_refused_and_fails(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tessera.cli.hear import hear as command

    bad = tmp_path / "bad.json"
    bad.write_text("no")
    with pytest.raises(BadInput, match=r"bad\.json:1 is not JSON"):
        command([bad], home=ws.home.root, as_of="2026-03-31", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["guard"]["state"]) == (0, "open")
    good = write(tmp_path / "good.json", [event("open")])
    command([good], home=ws.home.root, as_of="2026-03-31", as_json=False)
    out = capsys.readouterr().out
    assert "reconciled" in out
    assert "0 complaints of 0 marketing messages" in out


@BOTH_STORES
def test_answers_choices_and_sign_ups_come_back_by_the_front_door(ws: Workspace) -> None:
    answers = [("k1", 3, None), ("k1", 3, "More tea"), ("k2", 10, None), ("k1", 8, None)]
    moments = [
        "2026-03-30T09:00:00",
        "2026-03-30T10:00:00",
        "2026-03-30T11:00:00",
        "2026-03-31T09:00:00",
    ]
    with ws.store.write() as connection:
        for (key, score, comment), moment in zip(answers, moments, strict=True):
            connection.run(
                "insert into answer (send_key, customer_id, score, comment, answered_at) "
                "values (:k, 'c1', :s, :c, :a)", k=key, s=score, c=comment, a=f"{moment}+00:00",
            )  # fmt: skip
        choose(connection, "c1", {"language": "fa"}, clock.parse_as_of("2026-03-30T08:00", "UTC"))
        for number, confirmed in enumerate(["2026-03-30T12:00:00+00:00", None]):
            connection.run(
                "insert into signup (signup_id, email, address_hash, language, wording_version, "
                "referred_by, asked_at, confirmed_at) values (:i, :e, 'h', 'fa', 'w', 'c1', :a, :c)",
                i=f"s{number}", e=f"p{number}@m.example", a="2026-02-01T00:00:00+00:00", c=confirmed,
            )  # fmt: skip
    report = export(on(ws, "2026-04-01"))
    assert (report.interactions, report.preferences, report.prospects) == (3, 1, 1)

    def file(feed: str, day: str) -> list[dict[str, Any]]:
        return pq.read_table(ws.home.engine / feed / f"2026-03-{day}.parquet").to_pylist()

    found = [(r["interaction_id"], r["score"], r["body"]) for r in file("interactions", "30")]
    assert found == [("answer:k1", 3, "More tea"), ("answer:k2", 10, None)]
    found = [(r["interaction_id"], r["score"], r["body"]) for r in file("interactions", "31")]
    assert found == [("answer:k1", 8, "More tea")]
    (choice,) = file("preferences", "30")
    assert (choice["customer_id"], choice["name"], choice["value"]) == ("c1", "language", "fa")
    (prospect,) = file("prospects", "30")
    assert (prospect["prospect_id"], prospect["email"]) == ("web-s0", "p0@m.example")
    assert prospect["acquisition_source"] == "referral"
    for feed in ("interactions", "preferences", "prospects"):
        schema = pq.read_schema(ws.home.engine / feed / "2026-03-30.parquet")
        assert schema.names == list(FEEDS[feed].columns)
    left = [row["signup_id"] for row in rows(ws, "select signup_id from signup")]
    assert left == ["s0"]  # who never confirmed is forgotten


@BOTH_STORES
def test_consents_are_exported_by_when_we_learnt_of_them(ws: Workspace) -> None:
    """What a provider tells late is not lost, and of two words of one second the no is told."""
    (key,) = enqueue(ws, outbox_row("c1", state="accepted"))
    said_at = clock.parse_as_of("2026-03-30T09:00", "UTC")
    with ws.store.write() as connection:
        for granted in (True, False):
            record(connection, Word("c2", "email", granted, "page"), said_at)
    assert export(ws).consents == 1  # the file of the 30th is written
    late = event("unsubscribe", key, timestamp=int(said_at.timestamp()))
    take_in(ws.store, [late, late], ws.as_of)
    assert export(on(ws, "2026-04-01")).consents == 1
    found = [
        row
        for path in sorted((ws.home.engine / "consents").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    assert [(r["customer_id"], r["granted"], str(r["recorded_at"])) for r in found] == [
        (name, False, "2026-03-30 09:00:00") for name in ("c2", "c1")
    ]
    assert export(on(ws, "2026-04-01")).files == 0


@SQLITE
def test_answers_below_seven_are_listed_with_what_could_be_better(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    from tessera.cli.answers import answers as command

    with ws.store.write() as connection:
        for key, score, comment in (
            ("k1", 9, None),
            ("k2", 3, "Late"),
            ("k2", 2, "Cold"),
            ("k2", 2, None),
            ("k3", 1, None),
            ("k3", 7, None),
        ):
            connection.run(
                "insert into answer (send_key, customer_id, score, comment, answered_at) "
                "values (:k, 'c1', :s, :c, '2026-03-30T09:00:00+00:00')", k=key, s=score, c=comment,
            )  # fmt: skip
        connection.run(
            "insert into answer (send_key, customer_id, score, comment, answered_at) "
            "values ('k2', 'c1', 9, 'Better', '2026-03-31T09:00:00+00:00')"
        )
    found = latest(ws, below=7, days=30)  # the first instant of the 31st: of the last nobody knows
    assert [(row["score"], row["comment"]) for row in found] == [(2, "Cold")]
    assert latest(on(ws, "2026-04-01"), below=7, days=30) == []
    command(below=11, days=30, home=ws.home.root, as_of="2026-03-31", as_json=True)
    assert json.loads(capsys.readouterr().out) == []  # the home's own store, where nobody answered


def test_a_visitor_s_words_do_not_command_the_terminal_they_are_shown_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tessera.cli.answers import answers as command

    ws = workspace(tmp_path)
    comment = "cold\x1b]0;owned\x07\x1b[2J\x9b1A\r\nKALT\u202e, سرد و بی\u200cمزه"
    with ws.store.write() as connection:
        connection.run(
            "insert into answer (send_key, customer_id, score, comment, answered_at) "
            "values ('k', 'c1', 2, :comment, '2026-03-30T09:00:00+00:00')", comment=comment,
        )  # fmt: skip
    command(below=11, days=30, nps=False, home=ws.home.root, as_of="2026-03-31")
    _, _, line, *rest = capsys.readouterr().out.split("\n")
    assert rest == [""]
    shown = comment.replace("\r\n", r"\r\n").replace("\u202e", r"\u202e")
    for byte in ("\x1b", "\x07", "\x9b"):
        shown = shown.replace(byte, ascii(byte)[1:-1])
    assert shown in line


@SQLITE
def test_the_net_promoter_score_says_how_far_it_is_to_be_trusted(ws: Workspace) -> None:
    counts = {9: 60, 8: 10, 7: 10, 6: 20}
    given = [("02", score) for score, count in counts.items() for _ in range(count)]
    given.append(("03", 10))
    with ws.store.write() as connection:
        for number, (month, score) in enumerate([*given, ("03", 10), ("03", 2)]):
            connection.run(
                "insert into answer (send_key, customer_id, score, answered_at) "
                "values (:k, 'c', :s, :at)",
                k=f"k{min(number, 101)}", s=score, at=f"2026-{month}-01T00:00:00+00:00",
            )  # fmt: skip
    february, march = promotion(ws, days=90)
    assert (february.month, february.answers, february.score) == ("2026-02", 100, 40.0)
    # The textbook says 24 to 56; three imagined answers draw it towards the middle
    assert 20 < february.low < 26
    assert 53 < february.high < 56
    assert (march.answers, march.score) == (2, 0.0)  # who changes their mind counts once
    assert (march.low, march.high) == (-march.high, march.high)
    assert march.high > 60, "two answers say next to nothing"
    assert promotion(ws, days=1) == []


def test_an_inbox_that_cannot_be_looked_into_is_not_an_empty_one(tmp_path: Path) -> None:
    """Who unsubscribed may wait in it."""
    ws = workspace(tmp_path / "home")
    assert inbox(ws) == []
    ws.home.root.mkdir(exist_ok=True)
    (ws.home.root / "inbox").write_text("no folder")
    with pytest.raises(NotADirectoryError):
        inbox(ws)


def test_the_flow_hears_and_exports_all_it_can_before_it_names_a_bad_file(tmp_path: Path) -> None:
    from flows.hear import hear as flow

    ws = workspace(tmp_path / "home")
    bad, good = tmp_path / "bad.json", write(tmp_path / "good.json", [event("delivered")])
    bad.write_text("no JSON", encoding="utf-8")
    for as_of in ("2026-03-31", "2026-04-01"):  # a day is exported once it is over
        with pytest.raises(BadInput, match=r"bad\.json:1 is not JSON"):
            flow.fn([str(bad), str(good)], as_of=as_of, home=str(ws.home.root))
    assert rows(ws, "select event from provider_event") == [{"event": "delivered"}]
    assert (ws.home.engine / "message_events/2026-03-31.parquet").exists()
