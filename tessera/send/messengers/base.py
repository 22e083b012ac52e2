"""What a messenger is: something that takes messages and says what became of each."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tessera.errors import TesseraError
from tessera.say import Rendered


@dataclass(frozen=True)
class Message:
    """One message with everything a messenger needs; lives in memory only."""

    send_key: str
    to: str  # an address, a telephone number or, for letters, the customer's number
    content: Rendered
    sender_email: str
    sender_name: str
    unsubscribe: str  # URL
    campaign: str
    send_at: datetime  # UTC
    timezone: str  # the customer's
    business_date: str
    purpose: str = "marketing"
    batch_id: str | None = None  # the provider's own name for what it may be asked to hold

    @property
    def subject(self) -> str:
        return self.content.subject

    @property
    def html(self) -> str:
        return self.content.html

    @property
    def text(self) -> str:
        return self.content.text

    @property
    def language(self) -> str:
        return self.content.language


class Fate(StrEnum):
    """What became of one message."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # for good
    AMBIGUOUS = "ambiguous"  # nobody can know: never sent again blindly
    LATER = "later"  # a definite "not now" to this one message
    AGAIN = "again"  # nothing was sent because of another message: at once, without that one
    SPLIT = "split"  # nothing was sent, and nobody knows because of which: in smaller requests


@dataclass(frozen=True)
class Outcome:
    """What became of one message, and why."""

    fate: Fate
    reason: str | None = None  # never an address


@dataclass(frozen=True)
class Answer:
    """A provider's answer to one request: an outcome per message, in their order."""

    outcomes: Sequence[Outcome]
    status_code: int | None = None
    provider_id: str | None = None
    error: str | None = None
    rest_seconds: float = 0.0  # the provider's allowance is used up for as long

    @property
    def state(self) -> str:
        """The state of the request as a whole."""
        fates = {outcome.fate for outcome in self.outcomes}
        for fate in (Fate.AMBIGUOUS, Fate.ACCEPTED):
            if fate in fates:
                return fate.value
        return Fate.REJECTED.value


def alike(messages: Sequence[Message], fate: Fate, **details: str | int | None) -> Answer:
    """The same outcome for every message of a request."""
    reason = details.get("error")
    outcome = Outcome(fate, None if reason is None else str(reason))
    return Answer([outcome] * len(messages), **details)  # type: ignore[arg-type]


class Busy(Exception):
    """A definite no to a whole request, for now: ask again after `seconds`."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Unusable(TesseraError):
    """The messenger cannot be used at all; nothing left the house, and the messages wait."""


class Messenger(Protocol):
    """`deliver` may also raise Busy or Unusable, and only when nothing was sent."""

    name: str
    channel: str
    capacity: int  # messages per request
    repeatable: bool  # delivering the same message twice leaves one
    schedules: bool  # takes a message before it is due, and keeps it until then

    def together(self, message: Message) -> Hashable:
        """Messages for which this is the same may share a request."""

    def deliver(self, messages: Sequence[Message]) -> Answer: ...

    def close(self) -> None: ...
