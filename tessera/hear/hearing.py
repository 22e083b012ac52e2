"""Takes provider events into the store: each once, in any order, and draws the consequences."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from tessera import clock
from tessera.addresses import address_hash
from tessera.clock import stamp
from tessera.consent import Guard, complaint_guard
from tessera.consent.ledger import SQL as CONSENT
from tessera.consent.suppression import ALL, Suppression, suppress
from tessera.errors import BadInput
from tessera.hear import events
from tessera.hear.consequences import REACHED, TAKEN, WITHDRAWN, blocked_since, suppressions
from tessera.hear.events import BLOCKED, Event
from tessera.hear.readers import addressed
from tessera.store import Connection, Store, queries
from tessera.workspace import Workspace

SQL = queries("tessera.hear", "events.sql")
COLUMNS = ("event_key", "send_key", "event", "occurred_at", "received_at", "reason", "address_hash")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
PART = 5_000  # events of one transaction: who else writes waits for no more
BREATH = 0.15  # seconds between parts: whoever waits for SQLite asks every 0.1
SKEW = timedelta(hours=1)  # a provider's clock may be before ours
COUNTS = ("events", "new", "unreadable", "suppressed", "withdrawn", "reconciled")


@dataclass(frozen=True)
class HearReport:
    """Counts of files and events; `refused` are sentences on files that could not be read."""

    files: int  # not heard before
    events: int  # in them
    new: int  # of those, not heard before
    unreadable: int  # entries that do not say what happened when
    suppressed: int  # addresses and causes that were not suppressed before
    withdrawn: int  # consents
    reconciled: int  # messages whose fate is known now
    refused: tuple[str, ...]
    guard: Guard  # whether so many complain that marketing has to stop


def inbox(ws: Workspace) -> list[Path]:
    """Where provider events wait to be heard: `<home>/inbox/*.json` and `*.jsonl`."""
    try:  # to `glob` a folder that may not be read is empty
        waiting = list((ws.home.root / "inbox").iterdir())
    except FileNotFoundError:
        return []
    return sorted(p for p in waiting if p.suffix in (".json", ".jsonl") and p.is_file())


def hear(ws: Workspace, paths: Iterable[Path] | None = None) -> HearReport:
    """Take in the files' events, or those of the inbox; a file heard before changes nothing.

    A file that is not JSON is refused as a whole and named in the report; the others are heard.
    """
    total: dict[str, int] = dict.fromkeys(("files", *COUNTS), 0)
    refused = []
    for path in inbox(ws) if paths is None else paths:
        try:
            counts = _hear_file(ws, path)
        except BadInput as error:
            refused.append(str(error))
            continue
        for name, number in counts.items():
            total[name] += number
    with ws.store.read() as connection:
        guard = complaint_guard(connection, ws.as_of)
    return HearReport(**total, refused=tuple(refused), guard=guard)


def _hear_file(ws: Workspace, path: Path) -> Mapping[str, int]:
    content_hash = _hash(path)
    with ws.store.read() as connection:
        if connection.one(SQL["heard"], hash=content_hash):
            return {}
    entries = addressed(ws, events.read(path))
    counts = {"files": 1, **take_in(ws.store, entries, ws.as_of)}
    with ws.store.write() as connection:
        remembered = {"hash": content_hash, "name": path.name, "events": counts["events"]}
        connection.run(SQL["remember"], **remembered, at=stamp(ws.as_of))
    return counts


def take_in(store: Store, entries: Sequence[object], at: datetime) -> Mapping[str, int]:
    """The entries of one batch: when this returns they are on disk, with all that follows from them. What
    is no event is kept too, for people to look at. A long batch is taken in part by part, each in one
    transaction; after a fault on the way it is offered again as a whole."""
    counts = Counter(dict.fromkeys(COUNTS, 0))
    for start in range(0, len(entries), PART):
        if start:
            _let_others_write(store)
        counts.update(_take_part(store, entries[start : start + PART], at))
    return counts


def _let_others_write(store: Store) -> None:
    if store.engine.dialect.name == "sqlite":  # PostgreSQL's wait for nobody
        time.sleep(BREATH)


def _take_part(store: Store, entries: Sequence[object], at: datetime) -> Mapping[str, int]:
    found, rest = [], []
    for entry in entries:
        event = events.parse(entry)
        if event is None:
            rest.append(events.unread(entry))
        else:
            found.append(event)
    # In one order, so that two batches at once do not wait for each other.
    found.sort(key=lambda event: event.key)
    with store.write() as connection:
        _keep_unread(connection, rest, at)
        counts = _draw(connection, _dated(connection, found, at), at)
    return {"events": len(found), "unreadable": len(rest), **counts}


def _dated(connection: Connection, found: Sequence[Event], at: datetime) -> Sequence[Event]:
    """Nothing happened after we heard of it: what a provider dates later happened when it was first heard,
    however often and late it is told again."""
    now = max(at, clock.now())
    latest = stamp(now + SKEW)
    known = {
        row["event_key"]: row["occurred_at"]
        for row in _in(connection, "known", {event.key for event in found})
    }

    def happened(event: Event) -> str:
        held = stamp(now) if event.occurred_at > latest else event.occurred_at
        return known.get(event.key, held)

    return [events.moved(event, happened(event)) for event in found]


def _draw(connection: Connection, found: Sequence[Event], at: datetime) -> Mapping[str, int]:
    return {
        "new": connection.insert_new("provider_event", _table(found, at)),
        "suppressed": _suppress(connection, found),
        "withdrawn": sum(_withdraw(connection, event, at) for event in found),
        "reconciled": _settle(connection, found, at),
    }


def _suppress(connection: Connection, found: Sequence[Event]) -> int:
    """What the events suppress, each on its own or together; how many are new."""
    named = set(suppressions(found))
    if not named and all(_counted(event) is None for event in found):
        return 0
    before = _size(connection, "suppression")
    suppress(connection, named)
    _suppress_blocked(connection, found)
    return max(0, _size(connection, "suppression") - before)


def _table(found: Sequence[Event], at: datetime) -> pa.Table:
    received = stamp(at)
    rows = [
        (e.key, e.send_key, e.event, e.occurred_at, received, e.told, _counted(e)) for e in found
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in COLUMNS]
    return pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=SCHEMA)


def _counted(event: Event) -> str | None:
    """The hash of the address, of events that decide whether blocks are too many."""
    if event.email and event.event in (BLOCKED, "delivered"):
        return address_hash(event.email)
    return None


def _suppress_blocked(connection: Connection, found: Iterable[Event]) -> None:
    """Judge the addresses anew that were blocked, or that were delivered to after they were thought
    blocked: what follows depends on all their events, and so not on the order they arrive in."""
    blocked = {_counted(event) for event in found if event.event == BLOCKED} - {None}
    delivered = {_counted(event) for event in found if event.event == "delivered"} - {None}
    blocked |= {row["address_hash"] for row in _in(connection, "blocked_addresses", delivered)}
    history = defaultdict(list)
    for row in _in(connection, "blocks", blocked):
        history[row["address_hash"]].append((row["event"], row["occurred_at"]))
    connection.run(_with(connection, "forget_blocks"), values=json.dumps(list(blocked)))
    since = {hashed: blocked_since(its) for hashed, its in history.items()}
    suppress(
        connection, (Suppression(h, ALL, BLOCKED, moment) for h, moment in since.items() if moment)
    )


def _withdraw(connection: Connection, event: Event, at: datetime) -> int:
    """Writes down a withdrawn consent; how many were new."""
    if event.event not in WITHDRAWN or not event.send_key:
        return 0
    row = {"send_key": event.send_key, "at": event.occurred_at, "origin": f"provider {event.event}"}
    return connection.run(CONSENT["withdraw_by_event"], **row, noted_at=stamp(at))


def _settle(connection: Connection, found: Sequence[Event], at: datetime) -> int:
    """Messages whose fate the events tell. Only theirs are looked at: a backlog of events does not
    wait for a backlog of messages."""
    settled = 0
    told = {"settle_taken": TAKEN, "settle_reached": REACHED, "settle_dropped": {"dropped"}}
    for query, names in told.items():
        keys = sorted({event.send_key for event in found if event.event in names} - {""})
        rows = [{"send_key": key, "at": stamp(at)} for key in keys]
        settled += connection.run_many(SQL[query], rows)
    if settled:
        connection.run(SQL["settle_requests"])
    return settled


def _keep_unread(connection: Connection, rest: Iterable[str], at: datetime) -> None:
    rows = [
        {"entry_hash": hashlib.sha256(text.encode()).hexdigest(), "entry": text, "at": stamp(at)}
        for text in rest
    ]
    connection.run_many(SQL["keep_unread"], rows)


def _in(
    connection: Connection, query: str, values: Iterable[str | None]
) -> Sequence[Mapping[str, str]]:
    return connection.all(_with(connection, query), values=json.dumps(list(values)))


def _with(connection: Connection, query: str) -> str:
    """The query, of the `values` it is given."""
    return SQL[query].format(values=connection.listed("values"))


def _size(connection: Connection, table: str) -> int:
    return int(connection.scalar(f"select count(*) from {table}"))


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
