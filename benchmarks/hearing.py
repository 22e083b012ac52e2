"""The event webhook on SQLite with full durability: signed batches of a thousand events, in which every
event comes three times and all are shuffled, posted over HTTP by four at once to `tessera web` in a
process of its own. Beside it the same events, each once, through a bare insert loop into one table of one
file, a commit per batch (the limit). The state after the shuffles is compared with that of the clean,
ordered stream. Processor seconds are those of the process that writes, the web service's with its start. `python -m benchmarks.hearing EVENTS` runs another size than a million."""

from __future__ import annotations

import json
import random
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from tessera.hear.hearing import take_in
from tessera.settings import environment
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.sending import outbox_row
from tests.serving import PUBLIC_KEY, signed

EVENTS = 1_000_000
BATCH, REPEATS, CALLERS = 1000, 3, 4
KINDS = ("processed", "delivered", "open", "click")
RARE = ("bounce", "spamreport", "unsubscribe")
NOON, AS_OF = 1774958400, "2026-03-31T13:00"
STATE = (
    "select event_key, send_key, event, occurred_at, address_hash from provider_event order by 1",
    "select address_hash, scope, cause, since from suppression order by 1, 2, 3",
    "select customer_id, channel, granted, recorded_at, origin from consent order by 1, 4, 5",
    "select send_key, state, state_reason from outbox order by 1",
)


def stream(events: int) -> list[dict[str, Any]]:
    """What the provider has to tell of the messages, in order: one in fifty goes wrong."""
    chance = random.Random(1)
    found = []
    for number in range(events // len(KINDS)):
        key = outbox_row(f"c{number}")["send_key"]
        for step, kind in enumerate(KINDS):
            name = (
                chance.choice(RARE) if step == len(KINDS) - 1 and chance.random() < 0.08 else kind
            )
            one = {"event": name, "send_key": key, "timestamp": NOON + number % 3600 + step}
            found.append(
                one | {"email": f"p{number}@mail.example", "sg_event_id": f"{number}-{step}"}
            )
    return found


def batches(clean: list[dict[str, Any]]) -> list[bytes]:
    """Every event three times, under other ids, all shuffled."""
    chance = random.Random(2)
    order = [number for number in range(len(clean)) for _ in range(REPEATS)]
    chance.shuffle(order)
    return [
        json.dumps(
            [{**clean[n], "sg_event_id": f"{start}-{at}"} for at, n in enumerate(part)]
        ).encode()
        for start in range(0, len(order), BATCH)
        if (part := order[start : start + BATCH])
    ]


def home(folder: Path, messages: int) -> Workspace:
    ws = workspace(folder, AS_OF)
    for start in range(0, messages, 50_000):
        rows = [
            outbox_row(f"c{n}", state="ambiguous")
            for n in range(start, min(messages, start + 50_000))
        ]
        with ws.store.write() as connection:
            connection.insert_new("outbox", pa.Table.from_pylist(rows))
    return ws


@contextmanager
def web(ws: Workspace) -> Iterator[str]:
    """`tessera web` for this home; its address."""
    command = [sys.executable, "-c", "from tessera.cli import main; main()", "web", "--port", "0"]
    command += ["--home", str(ws.home.root), "--as-of", AS_OF]
    given = environment(without=("TESSERA_",)) | {"TESSERA_SENDGRID_WEBHOOK_KEY": PUBLIC_KEY}
    log = ws.home.root / "web.log"
    with log.open("w") as errors, subprocess.Popen(command, env=given, stderr=errors) as process:
        while not (found := re.findall(r"on (http\S+);", log.read_text())):
            time.sleep(0.05)
        try:
            yield found[0]
        finally:
            process.terminate()


def post(url: str, ws: Workspace, bodies: list[bytes]) -> list[float]:
    """Post every batch, so many at once; the seconds each took."""
    with httpx.Client(base_url=url, timeout=120) as client:

        def one(body: bytes) -> float:
            headers = signed(body, ws.as_of)
            started = time.perf_counter()
            client.post("/events/sendgrid", content=body, headers=headers).raise_for_status()
            return time.perf_counter() - started

        with ThreadPoolExecutor(CALLERS) as callers:
            return list(callers.map(one, bodies))


def bare(path: Path, clean: list[dict[str, Any]]) -> tuple[float, float]:
    """The events into one table, a commit per batch, as durable as the store's; the seconds, and those
    of the processor."""
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("create table event (id text primary key, body text)")
        started = time.perf_counter(), time.process_time()
        for start in range(0, len(clean), BATCH):
            db.execute("begin immediate")
            rows = [(e["sg_event_id"], json.dumps(e)) for e in clean[start : start + BATCH]]
            db.executemany("insert into event values (?, ?)", rows)
            db.execute("commit")
        return time.perf_counter() - started[0], time.process_time() - started[1]


def compare(ws: Workspace, other: Workspace) -> None:
    """Fails unless both homes are in the same state."""
    for query in STATE:
        with ws.store.read() as mine, other.store.read() as theirs:
            assert mine.all(query) == theirs.all(query), query


def in_order(ws: Workspace, clean: list[dict[str, Any]]) -> tuple[float, float]:
    """The clean stream, each event once, without HTTP; the seconds, and those of the processor."""
    started = time.perf_counter(), time.process_time()
    for start in range(0, len(clean), BATCH):
        take_in(ws.store, clean[start : start + BATCH], ws.as_of)
    return time.perf_counter() - started[0], time.process_time() - started[1]


def by_webhook(ws: Workspace, bodies: list[bytes]) -> tuple[tuple[float, float], list[float]]:
    """The seconds, those of the service's processor, and how long each batch took, sorted."""
    before = _children_seconds()
    with web(ws) as url:
        started = time.perf_counter()
        took = sorted(post(url, ws, bodies))
        seconds = time.perf_counter() - started
    return (seconds, _children_seconds() - before), took


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(events: int = EVENTS) -> list[dict[str, object]]:
    clean = stream(events)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limit = bare(folder / "bare.sqlite", clean)
        ws, other = (home(folder / which, events // len(KINDS)) for which in ("ws", "other"))
        ordered = in_order(other, clean)
        posted, took = by_webhook(ws, batches(clean))
        compare(ws, other)
    rate = len(clean) / limit[0]
    return [
        _row("bare insert loop, each event once", len(clean), limit, rate),
        _row("taken in in order, each once, no HTTP", len(clean), ordered, rate),
        _row("webhook, shuffled, each three times", len(clean) * REPEATS, posted, rate, took),
    ]


def _row(
    what: str,
    events: int,
    seconds: tuple[float, float],
    limit: float,
    took: list[float] | None = None,
) -> dict[str, object]:
    wall, processor = seconds
    return {
        "what": what,
        "events": f"{events:,}",
        "seconds": f"{wall:.1f}",
        "events per second": f"{events / wall:,.0f}",
        "of the bare loop": f"{events / wall / limit:.0%}",
        "events per processor second": f"{events / processor:,.0f}",
        "p99 of a batch of 1,000, ms": f"{took[len(took) * 99 // 100] * 1000:,.0f}" if took else "",
    }


if __name__ == "__main__":
    for line in main(*map(int, sys.argv[1:])):
        print(line)
