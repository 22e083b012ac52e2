"""Rows for the outbox, published customers, and a local stand-in for the mail API."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa

from tessera.send.messengers.base import Message
from tessera.testing import publish
from tessera.workspace import Workspace

AS_OF = "2026-03-31T00:00:00+00:00"


def outbox_row(customer_id: str, **columns: Any) -> dict[str, Any]:
    """A decided message, due at nine on 31 March 2026 and good for two days."""
    row = {
        "customer_id": customer_id,
        "household_id": None,
        "campaign": "winback",
        "campaign_version": "1",
        "step": "reminder",
        "occurrence": "2026",
        "channel": "email",
        "purpose": "marketing",
        "template": "winback/reminder",
        "language": "en",
        "timezone": "Europe/Riga",
        "business_date": "2026-03-31",
        "decided_at": AS_OF,
        "send_at": "2026-03-31T09:00:00+00:00",
        "not_after": "2026-04-02T00:00:00+00:00",
        "state": "ready",
        "state_at": AS_OF,
        **columns,
    }
    parts = (row["customer_id"], row["campaign"], row["step"], row["occurrence"])
    key = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
    return {"send_key": key, **row}


def customer(number: int, **columns: Any) -> dict[str, Any]:
    return {
        "customer_id": f"c{number}",
        "given_name": f"Name{number}",
        "email": f"person{number}@mail.example",
        "language": "en",
        **columns,
    }


def plan(ws: Workspace, number: int, **columns: Any) -> list[str]:
    """`number` customers with a message each; the send keys."""
    publish(ws, customers=[customer(n) for n in range(number)])
    return enqueue(ws, *(outbox_row(f"c{n}", **columns) for n in range(number)))


def enqueue(ws: Workspace, *rows: dict[str, Any]) -> list[str]:
    with ws.store.write() as connection:
        connection.insert_new("outbox", pa.Table.from_pylist(list(rows)))
    return [row["send_key"] for row in rows]


def states(ws: Workspace) -> Counter[str]:
    """How many messages are in each state."""
    with ws.store.read() as connection:
        rows = connection.all("select state, count(*) as n from outbox group by state")
    return Counter({row["state"]: row["n"] for row in rows})


def reasons(ws: Workspace) -> dict[str, str]:
    """The reason of each customer's message that has one."""
    with ws.store.read() as connection:
        rows = connection.all("select customer_id, state_reason from outbox")
    return {row["customer_id"]: row["state_reason"] for row in rows if row["state_reason"]}


def letter(**fields: Any) -> Message:
    """A message for a messenger."""
    values: dict[str, Any] = {
        "send_key": "0123456789abcdef0123456789abcdef",
        "to": "person@mail.example",
        "subject": "Hello",
        "html": "<p>Hello</p>\n",
        "text": "Hello\n",
        "language": "en",
        "sender_email": "club@shop.example",
        "sender_name": "The Shop",
        "unsubscribe": "https://shop.example/u/token",
        "campaign": "winback",
        "send_at": datetime(2026, 3, 31, 9, tzinfo=UTC),
        "timezone": "Europe/Riga",
        "business_date": "2026-03-31",
    }
    return Message(**{**values, **fields})


class Provider:
    """Answers as told, one answer per request and then 202; its journal holds what it accepted."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[str] = []
        self.kill: tuple[int, str, Callable[[], int]] | None = None
        self.url = ""
        self._lock = threading.Lock()

    def will(self, *answers: str) -> None:
        """`202`, `400` …, or `hang`, `cut` (before it accepts) and `cut after` (it accepted)."""
        self.answers = list(answers)

    def kill_at(self, request: int, moment: str, pid: Callable[[], int]) -> None:
        """Kill the caller at its n-th request, `before` or `after` accepting it."""
        self.kill = (request, moment, pid)

    def receive(self, headers: dict[str, str], raw: bytes) -> tuple[str, str]:
        body = json.loads(gzip.decompress(raw) if headers.get("Content-Encoding") else raw)
        key = body["personalizations"][0]["custom_args"]["send_key"]
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            answer = self.answers.pop(0) if self.answers else "202"
            self._maybe_kill("before")
            if answer in ("202", "cut after"):
                self.journal.append(key)
            self._maybe_kill("after")
        return answer, key

    def _maybe_kill(self, moment: str) -> None:
        if self.kill and self.kill[:2] == (len(self.bodies), moment):
            os.kill(self.kill[2](), signal.SIGKILL)


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider listening on this machine."""
    found = Provider()
    server = _Server(("127.0.0.1", 0), _handler(found))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A caller that was killed is no news."""


HANG_SECONDS = 1.0


def _handler(of: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            answer, key = of.receive(dict(self.headers), raw)
            if answer.startswith("cut"):
                self.close_connection = True
                self.connection.close()
            elif answer == "hang":
                threading.Event().wait(HANG_SECONDS)
                self.close_connection = True
            else:
                self.answer(int(answer), key)

        def answer(self, status: int, key: str) -> None:
            content = b'{"errors": [{"message": "no", "field": "personalizations"}]}'
            self.send_response(status)
            self.send_header("X-Message-Id", f"id-{key}")
            self.send_header("X-RateLimit-Reset", str(int(datetime.now(UTC).timestamp())))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def within_documented_limits(body: dict[str, Any]) -> None:
    """What the provider's description of `mail/send` asks of a request."""
    people = body["personalizations"]
    assert 1 <= len(people) <= 1000
    addresses = [to["email"] for person in people for to in person["to"]]
    assert len(addresses) == len(set(addresses)) <= 1000
    assert all("@" in address for address in addresses)
    assert body["from"]["email"]
    assert body["subject"]
    kinds = [part["type"] for part in body["content"]]
    assert kinds == sorted(kinds, key=["text/plain", "text/html"].index)
    assert all(part["value"] for part in body["content"])
    assert len(body.get("categories", [])) == len(set(body.get("categories", []))) <= 10
    assert all(len(category) <= 255 for category in body.get("categories", []))
    for person in people:
        assert len(json.dumps(person.get("custom_args", {}))) <= 10_000
        assert all(isinstance(value, str) for value in person.get("custom_args", {}).values())
        assert all(isinstance(value, str) for value in person.get("headers", {}).values())
        due = person.get("send_at")
        assert due is None or due <= datetime.now(UTC).timestamp() + 72 * 3600
    assert len(json.dumps(body)) < 30_000_000


def addresses_in(value: Any) -> Sequence[str]:
    """Texts anywhere in `value` that hold an address."""
    return [text for text in _texts(value) if "@" in text]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
