"""How customers answer the messages of a simulation: as they once did, or as it is assumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from flows.scratch import WORDS, add, words
from tessera.clock import stamp
from tessera.hear import hear
from tessera.send.messengers.base import Message
from tessera.store import Store, queries
from tessera.workspace import Workspace

SQL = queries("flows", "responses.sql")
LATEST = timedelta(hours=48)  # after a message was due, assumed responses have all come


class Responses(Protocol):
    """What is heard of messages: `sent` is told of each, `arrive` takes in what came since."""

    def sent(self, messages: Sequence[Message], channel: str) -> None: ...

    def arrive(self, ws: Workspace) -> int: ...

    def __str__(self) -> str: ...


@dataclass
class Recorded:
    """The responses in the home's own store: a message of the same customer, campaign, step and
    occurrence has the same send key, and is answered as it was."""

    store: Store
    since: datetime
    keys: set[str]  # of the messages that went out

    @classmethod
    def after(cls, ws: Workspace, scratch: Workspace) -> Recorded:
        """What came later than the morning of `scratch`, also of messages that are out by then."""
        with scratch.store.read() as store:
            return cls(ws.store, scratch.as_of, {row["send_key"] for row in store.all(SQL["sent"])})

    def __str__(self) -> str:
        return "as recorded: who was not sent a message then does not answer it now"

    def sent(self, messages: Sequence[Message], channel: str) -> None:  # noqa: ARG002 - any
        self.keys.update(message.send_key for message in messages)

    def arrive(self, ws: Workspace) -> int:
        span = {"after": stamp(self.since), "until": stamp(ws.as_of)}
        with self.store.read() as store:
            found = {table: words(store, table, **span) for table in WORDS}
            found["provider_event"] = store.all(SQL["events"], **span)
        with ws.store.write() as scratch:
            for table, rows in found.items():
                add(scratch, table, [row for row in rows if self._is_of_us(row)])
        self.since = ws.as_of
        return sum(self._is_of_us(row) for row in found["provider_event"])

    def _is_of_us(self, row: Mapping[str, Any]) -> bool:
        """Whether it is about a message that went out here too, or about none."""
        return not row.get("send_key") or row["send_key"] in self.keys


@dataclass(frozen=True)
class Rates:
    """Shares of the messages that were taken."""

    opened: float = 0.30
    clicked: float = 0.05  # who clicks has opened
    unsubscribed: float = 0.002

    def __str__(self) -> str:
        said = ", ".join(f"{share:.1%} {name}" for name, share in asdict(self).items())
        return f"assumed: {said}, by a hash of the message"


@dataclass
class Assumed:
    """Every message is answered at the same rates; by a hash, so that the same one always is."""

    rates: Rates
    folder: Path
    waiting: list[tuple[datetime, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return str(self.rates)

    def sent(self, messages: Sequence[Message], channel: str) -> None:
        """Only of mail is it ever told that it was opened or clicked."""
        if channel != "email":
            return
        self.waiting += [found for message in messages for found in self._answers(message)]

    def arrive(self, ws: Workspace) -> int:
        due = [line for at, line in self.waiting if at < ws.as_of]
        self.waiting = [found for found in self.waiting if found[0] >= ws.as_of]
        if not due:
            return 0
        path = self.folder / f"{ws.business_date}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(due), encoding="utf-8")
        return hear(ws, [path]).new

    def _answers(self, message: Message) -> Iterator[tuple[datetime, str]]:
        luck = _share(message.send_key, "answer")
        shares = {
            "open": self.rates.opened,
            "click": self.rates.clicked,
            "unsubscribe": self.rates.unsubscribed,
        }
        for number, (event, share) in enumerate(shares.items()):
            if luck < share:
                wait = LATEST * _share(message.send_key, "when") + timedelta(minutes=number)
                yield message.send_at + wait, _event(message, event, message.send_at + wait)


def _event(message: Message, event: str, at: datetime) -> str:
    """As a provider writes it."""
    found = {
        "event": event,
        "timestamp": int(at.timestamp()),
        "send_key": message.send_key,
        "email": message.to,
    }
    return json.dumps(found)


def _share(send_key: str, draw: str) -> float:
    """From 0 to below 1, always the same for the same message and draw."""
    digest = hashlib.sha256(f"{draw}\x1f{send_key}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
