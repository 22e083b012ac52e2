"""The stand-in for the mail API is strict, substitutes as the provider does, and can be told to fail."""

from __future__ import annotations

import copy
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.provider import Faults, Journal, Provider, faults, limits, serve
from tessera.provider.events import (
    SIGNATURE,
    TIMESTAMP,
    Manner,
    batches,
    events,
    manner,
    new_key,
    post,
    post_all,
    public,
    sign,
)
from tessera.provider.substitute import Filler, one_by_one
from tests.sending import VALIDATOR

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC).timestamp()


def good() -> dict[str, Any]:
    return {
        "personalizations": [
            {"to": [{"email": f"p{n}@mail.example"}], "custom_args": {"send_key": f"k{n}"}}
            for n in range(3)
        ],
        "from": {"email": "club@shop.example", "name": "The Shop"},
        "subject": "Hello",
        "content": [
            {"type": "text/plain", "value": "Hello -a-"},
            {"type": "text/html", "value": "<p>Hello -a-</p>"},
        ],
        "categories": ["winback"],
    }


def people(number: int) -> list[dict[str, Any]]:
    return [{"to": [{"email": f"p{n}@mail.example"}]} for n in range(number)]


# Where each is wrong, and whether the description alone finds it.
WRONG: list[tuple[str, Any, str, bool]] = [
    ("personalizations", people(1001), "personalizations", True),
    ("personalizations", [], "personalizations", True),
    ("personalizations", [*people(1), *people(1)], "personalizations", False),
    ("personalizations", [{"to": [{"email": "nobody"}]}], "personalizations.0.to.0.email", True),
    ("personalizations.1.to", [], "personalizations.1.to", True),
    ("personalizations.1.custom_args", {"a": 1}, "personalizations.1.custom_args", True),
    ("personalizations.1.custom_args", {"a": "x" * 10_001}, "personalizations.1.custom_args", False),
    ("personalizations.2.substitutions", {"-a-": "é" * 5_001}, "personalizations.2.substitutions", False),
    ("personalizations.2.headers", {"Subject": "x"}, "personalizations.2.headers", True),
    ("personalizations.2.send_at", int(NOW) + 73 * 3600, "personalizations.2.send_at", False),
    ("personalizations.2.colour", "red", "personalizations.2.colour", True),
    ("categories", ["c"] * 2, "categories", True),
    ("categories", [str(n) for n in range(11)], "categories", True),
    ("categories", ["c" * 256], "categories", True),
    ("content", [], "content", True),
    ("content", [{"type": "text/html", "value": ""}], "content.0.value", True),
    ("from", {"email": "club"}, "from.email", True),
    ("asm", {"group_id": "7"}, "asm.group_id", True),
    ("sender", "x", "sender", True),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value", "field", "described"), WRONG)
def test_every_documented_limit_is_kept_and_named(
    where: str, value: Any, field: str, described: bool
) -> None:
    body = good()
    assert limits.problems(body, NOW) == []
    VALIDATOR.validate(body)
    target: Any = body
    *path, last = where.split(".")
    for part in path:
        target = target[int(part)] if part.isdigit() else target[part]
    target[last] = value
    assert field in [name for name, _ in limits.problems(body, NOW)]
    assert bool(list(VALIDATOR.iter_errors(body))) is described


def test_what_is_refused_is_not_in_the_journal() -> None:
    with serve(Provider()) as provider, httpx.Client(base_url=provider.url) as client:
        client.headers["Authorization"] = "Bearer key"
        bad = copy.deepcopy(good())
        bad["personalizations"][1]["to"][0]["email"] = "nobody"
        answer = client.post("/v3/mail/send", json=bad)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "personalizations.1.to.0.email"
        assert client.post("/v3/mail/send", content=b"{").status_code == 400
        assert provider.journal.send_keys() == []
        sandbox = {**good(), "mail_settings": {"sandbox_mode": {"enable": True}}}
        assert client.post("/v3/mail/send", json=sandbox).status_code == 200
        assert provider.journal.send_keys() == []
        assert client.post("/v3/mail/send", json=good()).status_code == 202
        assert provider.journal.send_keys() == ["k0", "k1", "k2"]
        assert client.post("/elsewhere", json={}).status_code == 404
        del client.headers["Authorization"]
        assert client.post("/v3/mail/send", json=good()).status_code == 401


TAGS = st.text("-ab1", min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    values=st.dictionaries(TAGS, st.text("-ab1xé", max_size=6), min_size=1, max_size=4),
    part=st.text("-ab1 z", max_size=40),
)
def test_all_tags_at_once_is_one_after_the_other_whenever_order_makes_no_difference(
    values: dict[str, str], part: str
) -> None:
    outcomes = {one_by_one(part, values, order) for order in permutations(values)}
    (found,) = Filler(tuple(values)).fill((part,), values)
    assert len(outcomes) > 1 or found in outcomes


def test_the_answers_come_as_told_and_then_by_chance() -> None:
    told = Faults(seed=3)
    told.will("429", "hang", "202")
    told.chances(faults.parse(["500=0.5", "cut-after=0.1"]))
    assert [told.next() for _ in range(3)] == ["429", "hang", "202"]
    drawn = [told.next() for _ in range(1000)]
    assert 400 < drawn.count("500") < 600
    assert 50 < drawn.count("cut-after") < 150
    for wrong in ("maybe", "500=often"):
        with pytest.raises(BadInput, match="not a fault"):
            faults.parse([wrong])


@pytest.mark.parametrize(
    ("answer", "status", "taken"),
    [("202", 202, 3), ("429", 429, 0), ("500-after", 500, 3), ("partly", 500, 2),
     ("cut-before", None, 0), ("cut-after", None, 3), ("hang", None, 0), ("hang-after", None, 3)],
)  # fmt: skip
def test_each_fault_leaves_in_the_journal_what_it_accepted(
    answer: str, status: int | None, taken: int
) -> None:
    with serve(Provider(hang_seconds=0.5)) as provider:
        provider.faults.will(answer)
        headers = {"Authorization": "Bearer key"}
        try:
            found = httpx.post(
                f"{provider.url}/v3/mail/send", json=good(), headers=headers, timeout=0.2
            )
        except httpx.HTTPError:
            assert status is None
        else:
            assert found.status_code == status
            assert "X-RateLimit-Reset" in found.headers
        assert len(provider.journal.send_keys()) == taken


@pytest.fixture
def journal() -> Iterator[Journal]:
    with serve(Provider()) as provider:
        headers = {"Authorization": "Bearer key"}
        httpx.post(f"{provider.url}/v3/mail/send", json=good(), headers=headers)
        yield provider.journal


def test_events_are_repeated_shuffled_and_renamed_as_told(journal: Journal) -> None:
    how = Manner(repeat=3, shuffle=True, change_ids=True, batch=5, seed=1)
    found = batches(events(journal, how), how)
    each = [event for batch in found for event in batch]
    assert [len(batch) for batch in found] == [5, 5, 5, 3]
    assert len({event["sg_event_id"] for event in each}) == 18
    assert len({(event["send_key"], event["event"], event["timestamp"]) for event in each}) == 6
    assert each != sorted(each, key=lambda event: (event["send_key"], event["timestamp"]))
    bounced = list(events(journal, Manner(bounces=1.0)))
    assert {event["event"] for event in bounced} == {"processed", "bounce"}


def test_the_manner_of_posting_is_told_in_words() -> None:
    told = manner(["repeat=3", "shuffle", "late_seconds=0.5"], seed=4)
    assert told == Manner(repeat=3, shuffle=True, late_seconds=0.5, seed=4)
    with pytest.raises(BadInput, match="no manner of posting"):
        manner(["twice"])


@pytest.mark.parametrize(
    "words",
    [
        ["--fault", "500=7"],
        ["--fault", "500=-1"],
        ["--fault", "500=nan"],
        ["--fault", "429=0.8", "--fault", "500=0.8"],
        ["--manner", "repeat=0"],
        ["--manner", "batch=0"],
        ["--manner", "repeat=inf"],
        ["--manner", "bounces=7"],
        ["--manner", "late_seconds=nan"],
        ["--port", "70000"],
        ["--every", "-1"],
        ["--webhook", "shop.example/events"],
        ["--journal", "no/such/folder.sqlite"],
        ["--journal", "text"],
    ],
    ids=" ".join,
)
def test_what_a_provider_cannot_be_is_a_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no database, but " * 100, encoding="utf-8")
    found = CliRunner().invoke(app, ["fake-provider", "--port", "0", *words])
    assert isinstance(found.exception, BadInput | SystemExit)
    assert found.exit_code != 0


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(BadInput, match="cannot be listened on"),
        serve(Provider(), taken.getsockname()[1]),
    ):
        pass


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("/control", b"answers"),
        ("/control", b'{"answers": ["999"]}'),
        ("/control", b"17"),
        ("/v3/user/scheduled_sends", b"{}"),
    ],
)
def test_what_it_does_not_understand_is_answered(path: str, raw: bytes) -> None:
    with serve(Provider()) as provider:
        answer = httpx.post(f"{provider.url}{path}", content=raw, headers={"Authorization": "key"})
        assert answer.status_code == 400
        assert answer.json()["errors"]


def test_a_webhook_that_does_not_take_a_batch_is_asked_again_and_that_is_told(
    journal: Journal,
) -> None:
    said: list[str] = []
    answers = [403, 200]
    with serve(Provider()) as webhook:
        webhook.control = lambda _: (answers.pop(0), {}, None)  # type: ignore[method-assign, assignment, return-value]
        url = f"{webhook.url}/control"
        assert post_all(url, new_key(), events(journal, Manner()), Manner(), said.append) == 6
    assert said == [f"{url} answered 403; asking every second."]
    assert post(url, new_key(), []) == 0  # nobody is there any more


def test_batches_are_signed_as_the_providers_own_package_verifies(journal: Journal) -> None:
    key = new_key()
    seen: list[tuple[dict[str, str], bytes]] = []
    with serve(Provider()) as webhook:
        webhook.control = lambda raw: (seen.append(({}, raw)), (200, {}, None))[1]  # type: ignore[method-assign, func-returns-value]
        assert post(f"{webhook.url}/control", key, list(events(journal, Manner()))) == 200
    ((_, raw),) = seen
    assert len(json.loads(raw)) == 6
    checker = EventWebhook(public(key))
    signature = sign(key, "1774947600", raw)
    assert checker.verify_signature(raw.decode(), signature, "1774947600")
    assert not checker.verify_signature(raw.decode() + " ", signature, "1774947600")
    assert not checker.verify_signature(raw.decode(), signature, "1774947601")
    assert {SIGNATURE, TIMESTAMP} == {
        "X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"}  # fmt: skip


def test_the_command_serves_and_takes_orders_while_it_runs(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from tessera.cli import main; main()", "fake-provider",
         "--port", "0", "--journal", str(tmp_path / "journal.sqlite"), "--answers", "500"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removeprefix("TESSERA_SENDGRID_HOST=")
        headers = {"Authorization": "Bearer key"}
        send = lambda: httpx.post(f"{url}/v3/mail/send", json=good(), headers=headers).status_code  # noqa: E731
        assert [send(), send()] == [500, 202]
        told = httpx.post(f"{url}/control", json={"answers": ["429"]}).json()
        assert (told["messages"], told["send_keys"], told["requests"]) == (3, 3, 2)
        assert send() == 429
    finally:
        process.kill()
        process.communicate()
