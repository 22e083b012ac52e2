"""Whom events are about that name a message of ours and no address, as other providers than SendGrid and
scripts write them: without it a bounce or a complaint would stop nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from tessera.quoting import constant
from tessera.store import queries
from tessera.warehouse.marts import is_published
from tessera.workspace import Workspace

STORE, MARTS = queries("tessera.hear", "events.sql"), queries("tessera.hear", "readers.sql")
PART = 50_000  # entries at a time


def addressed(ws: Workspace, entries: Sequence[object]) -> Sequence[object]:
    """The entries, with the address that the reader has by the published marts where one lacks it."""
    told: list[object] = []
    for start in range(0, len(entries), PART):
        part = entries[start : start + PART]
        known = _addresses(ws, {_key(entry) for entry in part if _lacks(entry)})
        told += [_with(entry, known) if _lacks(entry) else entry for entry in part]
    return told


def _lacks(entry: Any) -> bool:
    return isinstance(entry, Mapping) and bool(entry.get("send_key")) and not entry.get("email")


def _key(entry: Any) -> str:
    return str(entry["send_key"])


def _with(entry: Any, known: Mapping[str, str]) -> object:
    address = known.get(_key(entry))
    return {**entry, "email": address} if address else entry


def _addresses(ws: Workspace, keys: Iterable[str]) -> Mapping[str, str]:
    """Send key -> address."""
    if not (asked := list(keys)) or not is_published(ws.home):
        return {}
    with ws.store.read() as store:
        query = STORE["readers"].format(values=store.listed("values"))
        readers = {
            r["send_key"]: r["customer_id"] for r in store.all(query, values=json.dumps(asked))
        }
    with closing(ws.marts()) as duck:
        query = MARTS["addresses"].format(customers=constant(sorted(set(readers.values()))))
        addresses = dict(duck.execute(query).fetchall())
    return {key: addresses[who] for key, who in readers.items() if who in addresses}
