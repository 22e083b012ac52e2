"""Addresses that are not written to: by hash, with scope and cause, never the address itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from tessera.clock import stamp
from tessera.consent.ledger import SQL
from tessera.store import Connection

ALL, MARKETING = "all", "marketing"
EMAIL = "email"
UNSUBSCRIBE, ERASED = "unsubscribe", "erased"


@dataclass(frozen=True, order=True)
class Suppression:
    """From `since` on nothing, or no marketing, goes to the address."""

    address_hash: str
    scope: str  # 'all' or 'marketing'
    cause: str
    since: str
    channel: str = EMAIL


def suppress(connection: Connection, found: Iterable[Suppression]) -> None:
    """In one order, so that two writers at once do not wait for each other."""
    connection.run_many(SQL["suppress"], [asdict(one) for one in sorted(set(found))])


def lift(connection: Connection, address_hash: str, at: datetime, cause: str = UNSUBSCRIBE) -> None:
    """Who asked for mail anew at that time is no longer held to having unsubscribed before; to complaints and
    bounces, yes."""
    lift_all(connection, [(address_hash, cause)], at)


def lift_all(connection: Connection, found: Iterable[tuple[str, str]], at: datetime) -> None:
    """Of each address and cause, what happened until then does not count any more, however late it is told."""
    rows = [
        {"address_hash": its, "channel": EMAIL, "cause": cause, "at": stamp(at)}
        for its, cause in found
    ]
    connection.run_many(SQL["lift"], rows)
    connection.run_many(SQL["unsuppress"], rows)


def standing(connection: Connection, address_hash: str) -> list[Suppression]:
    """What keeps mail from the address."""
    rows = connection.all(SQL["suppressed"], address_hash=address_hash, channel=EMAIL)
    return [Suppression(address_hash, **row) for row in rows]


def scopes(connection: Connection, address_hash: str) -> set[str]:
    """The scopes the address is suppressed for."""
    return {one.scope for one in standing(connection, address_hash)}
