"""The consent ledger: who said yes or no to what, when, where and in which words. Rows are never
changed; the latest word counts, and of two of the same second the no."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tessera.clock import stamp
from tessera.store import Connection, queries

SQL = queries("tessera.consent", "consent.sql")
MARKETING = "marketing"
Words = dict[str, tuple[str, bool]]  # channel -> when, and whether it was a yes


@dataclass(frozen=True)
class Word:
    """One yes or no of one person."""

    customer_id: str
    channel: str
    granted: bool
    origin: str  # such as 'preference centre'
    wording_version: str | None = None  # of a yes
    proof: Mapping[str, Any] | None = None
    purpose: str = MARKETING


def record(connection: Connection, word: Word, at: datetime) -> int:
    """Write the word down; 0 when the same was said in the same second already."""
    row = asdict(word) | {
        "granted": int(word.granted),
        "recorded_at": stamp(at),
        "proof": json.dumps(word.proof, sort_keys=True) if word.proof else None,
    }
    return connection.run(SQL["record"], **row)


def withdraw(
    connection: Connection,
    customer_id: str,
    channel: str,
    origin: str,
    at: datetime,
    *,
    said: Words | None = None,
) -> int:
    """Write down a no, unless that is this customer's latest word already, here or in what they `said`
    elsewhere."""
    if latest(words(connection, customer_id), said or {}).get(channel, True):
        return record(connection, Word(customer_id, channel, granted=False, origin=origin), at)
    return 0


def later(*found: Words) -> Words:
    """The later word by channel; of two of the same second the no."""
    every = sorted(
        (at, not granted, channel) for said in found for channel, (at, granted) in said.items()
    )
    return {channel: (at, not refused) for at, refused, channel in every}


def latest(*found: Words) -> dict[str, bool]:
    """Whether the later word is a yes, by channel."""
    return {channel: granted for channel, (_, granted) in later(*found).items()}


def words(connection: Connection, customer_id: str) -> Words:
    """When this customer last spoke on marketing and what they said, by channel."""
    found = connection.all(SQL["words"], customer_id=customer_id)
    names = ("channel", "purpose", "granted", "recorded_at")
    return on_marketing(tuple(row[name] for name in names) for row in found)


def on_marketing(rows: Iterable[tuple[Any, ...]]) -> Words:
    """The words on marketing among rows of channel, purpose, granted and recorded_at, as `mart_words` gives them."""
    return {
        channel: (at, bool(granted))
        for channel, purpose, granted, at in rows
        if purpose == MARKETING
    }
