"""Takes provider events into the store: each once, in any order, and draws the consequences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from tessera.addresses import address_hash
from tessera.errors import BadInput
from tessera.hear import events
from tessera.hear.consequences import TAKEN, WITHDRAWN, suppression
from tessera.hear.events import Event
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.hear", "events.sql")
COLUMNS = ("event_key", "send_key", "event", "occurred_at", "received_at", "reason")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
BATCH = 50_000


@dataclass(frozen=True)
class HearReport:
    """Counts of files and events; `refused` are sentences on files that could not be read."""

    files: int  # not heard before
    events: int  # in them
    new: int  # of those, not heard before
    unreadable: int  # entries that do not say what happened when
    suppressed: int  # addresses that were not suppressed before
    withdrawn: int  # consents
    reconciled: int  # messages whose fate is known now
    refused: tuple[str, ...]


def inbox(ws: Workspace) -> list[Path]:
    """Where provider events wait to be heard: `<home>/inbox/*.json` and `*.jsonl`."""
    folder = ws.home.root / "inbox"
    return sorted(p for p in folder.glob("*") if p.suffix in (".json", ".jsonl") and p.is_file())


def hear(ws: Workspace, paths: Iterable[Path] | None = None) -> HearReport:
    """Take in the files' events, or those of the inbox; a file heard before changes nothing.

    A file that is not JSON is refused as a whole and named in the report; the others are heard.
    """
    total: dict[str, int] = dict.fromkeys(("files", *_COUNTS), 0)
    refused = []
    for path in inbox(ws) if paths is None else paths:
        try:
            counts = _hear_file(ws, path)
        except BadInput as error:
            refused.append(str(error))
            continue
        for name, number in counts.items():
            total[name] += number
    return HearReport(**total, refused=tuple(refused))


_COUNTS = ("events", "new", "unreadable", "suppressed", "withdrawn", "reconciled")


def _hear_file(ws: Workspace, path: Path) -> Mapping[str, int]:
    content_hash = _hash(path)
    with ws.store.read() as connection:
        if connection.one(SQL["heard"], hash=content_hash):
            return {}
    found, unreadable = events.read(path)
    counts = dict.fromkeys(_COUNTS, 0)
    counts |= {"files": 1, "events": len(found), "unreadable": unreadable}
    for start in range(0, len(found), BATCH):
        with ws.store.write() as connection:
            for name, number in _take_in(ws, connection, found[start : start + BATCH]).items():
                counts[name] += number
    with ws.store.write() as connection:
        counts["reconciled"] = _reconcile(ws, connection)
        remembered = {"hash": content_hash, "name": path.name, "events": len(found)}
        connection.run(SQL["remember"], **remembered, at=_stamp(ws))
    return counts


def _take_in(ws: Workspace, connection: Connection, found: Sequence[Event]) -> Mapping[str, int]:
    at = _stamp(ws)
    rows = [(e.key, e.send_key, e.event, e.occurred_at, at, e.reason) for e in found]
    columns = [list(column) for column in zip(*rows, strict=True)]
    table = pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=SCHEMA)
    before = _size(connection, "suppression")
    new = connection.insert_new("provider_event", table)
    connection.run_many(SQL["suppress"], list(_suppressions(found)))
    return {
        "new": new,
        "suppressed": _size(connection, "suppression") - before,
        "withdrawn": sum(_withdraw(connection, event) for event in found),
    }


def _suppressions(found: Iterable[Event]) -> Iterable[Mapping[str, Any]]:
    for event in found:
        consequence = suppression(event)
        if consequence and event.email:
            yield {
                "address_hash": address_hash(event.email),
                "channel": "email",
                "scope": consequence.scope,
                "cause": consequence.cause,
                "since": event.occurred_at,
            }


def _withdraw(connection: Connection, event: Event) -> int:
    """Writes down a withdrawn consent; how many were new."""
    if event.event not in WITHDRAWN or not event.send_key:
        return 0
    addressee = connection.one(SQL["addressee"], send_key=event.send_key)
    if addressee is None:
        return 0
    return connection.run(
        SQL["withdraw"], **addressee, at=event.occurred_at, origin=f"provider {event.event}"
    )


def _reconcile(ws: Workspace, connection: Connection) -> int:
    reconciled = 0
    for reason, names in (("accepted", TAKEN), ("dropped by the provider", ("dropped",))):
        marks = {f"event{number}": name for number, name in enumerate(names)}
        text = SQL["reconcile"].format(events=", ".join(f":{mark}" for mark in marks))
        reconciled += connection.run(text, **marks, reason=reason, at=_stamp(ws))
    connection.run(SQL["reconcile_requests"])
    return reconciled


def _size(connection: Connection, table: str) -> int:
    return int(connection.scalar(f"select count(*) from {table}"))


def _stamp(ws: Workspace) -> str:
    return datetime.isoformat(ws.as_of.astimezone(UTC), timespec="seconds")


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
