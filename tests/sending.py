"""Rows for the outbox, published customers, and a local stand-in for the mail API."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from jsonschema import Draft202012Validator, FormatChecker

from tessera.provider import Provider, limits, serve
from tessera.say import Rendered
from tessera.say.slots import Part, Skeleton
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


def plan(ws: Workspace, number: int, *, campaigns: int = 1, **columns: Any) -> list[str]:
    """`number` customers with a message each, of so many campaigns, which share no request; the
    send keys."""
    publish(ws, customers=[customer(n) for n in range(number)])
    names = [f"winback-{n}" for n in range(campaigns)] if campaigns > 1 else ["winback"]
    rows = [{"campaign": names[n % len(names)], **columns} for n in range(number)]
    return enqueue(ws, *(outbox_row(f"c{n}", **row) for n, row in enumerate(rows)))


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
    parts = {"subject": "Hello", "html": "<p>Hello</p>\n", "text": "Hello\n", "language": "en"}
    given = {name: fields.pop(name, value) for name, value in parts.items()}
    skeleton = Skeleton(Part([given["html"]], []), Part([given["text"]], []))
    values: dict[str, Any] = {
        "send_key": "0123456789abcdef0123456789abcdef",
        "to": "person@mail.example",
        "content": Rendered(given["subject"], skeleton, (), given["language"]),
        "sender_email": "club@shop.example",
        "sender_name": "The Shop",
        "unsubscribe": "https://shop.example/u/token",
        "campaign": "winback",
        "send_at": datetime(2026, 3, 31, 9, tzinfo=UTC),
        "timezone": "Europe/Riga",
        "business_date": "2026-03-31",
    }
    return Message(**{**values, **fields})


class Api:
    """The stand-in for the mail API; every body it is sent is held against its description."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.bodies: list[dict[str, Any]] = []
        self.kill: tuple[int, str, Callable[[], int]] | None = None
        provider.watch = self._watch

    @property
    def url(self) -> str:
        return self.provider.url

    @property
    def journal(self) -> list[str]:
        """The send key of every message that was accepted, in order."""
        return self.provider.journal.send_keys()

    def will(self, *answers: str) -> None:
        """The next answers: `202`, `400` …, or what `tessera.provider.faults` knows."""
        self.provider.faults.will(*answers)

    def kill_at(self, request: int, moment: str, pid: Callable[[], int]) -> None:
        """Kill the caller at its n-th request, `before` or `after` it is accepted."""
        self.kill = (request, moment, pid)

    def _watch(self, moment: str, body: dict[str, Any]) -> None:
        if moment == "before":
            if "personalizations" in body:
                as_described(body)
            self.bodies.append(body)
        if self.kill and self.kill[:2] == (len(self.bodies), moment):
            os.kill(self.kill[2](), signal.SIGKILL)


@contextmanager
def provider() -> Iterator[Api]:
    """A provider listening on this machine."""
    with serve(Provider(hang_seconds=1.0, retry_after_seconds=0)) as found:
        yield Api(found)


DESCRIPTION = json.loads((Path(__file__).parent / "mail_send.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(DESCRIPTION, format_checker=FormatChecker())


def as_described(body: dict[str, Any]) -> None:
    """Holds a request against the provider's description of it, and against its limits."""
    VALIDATOR.validate(body)
    found = limits.problems(body, datetime.now(UTC).timestamp())
    assert found == []


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
