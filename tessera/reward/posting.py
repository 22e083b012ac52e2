"""One night's posting: receipts and returns into transfers, balances moved, the whole asserted."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING

from tessera.reward import earning, ledger
from tessera.reward.programme import Programme, load
from tessera.store import Connection
from tessera.warehouse import marts
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class RewardReport:
    """Counts of one posting; points are signed by their name, not by their number."""

    receipts: int  # looked at: new or corrected, and originals of new returns
    members: int  # whose points moved
    transfers: int
    points_earned: int
    points_clawed_back: int
    seconds: float


def post(ws: Workspace) -> RewardReport:
    """Post what the receipts before `ws.as_of` earn and take back, all of it or nothing.

    Only receipts that no earlier run looked at are judged. The ledger must tie out afterwards:
    if stored balances are not what the transfers make, nothing is posted, the failed balance
    assertion is kept, and LedgerDiffers says by how much.
    """
    started = perf_counter()
    programme = load(ws.project)
    settings = ws.settings
    source = marts.connect(ws.home, memory=settings.duckdb_memory, threads=settings.threads)
    try:
        with closing(source) as duck, ws.store.write() as store:
            ledger.lock(store)
            counts = _post(duck, store, programme, ws)
            ledger.assert_balance(store, programme.programme, ws.as_of, ws.business_date)
    except ledger.LedgerDiffers as difference:
        with ws.store.write() as store:
            ledger.record_failure(store, programme.programme, difference)
        raise
    return RewardReport(**counts, seconds=round(perf_counter() - started, 3))


def _post(
    duck: DuckDBPyConnection, store: Connection, programme: Programme, ws: Workspace
) -> dict[str, int]:
    cursor = ledger.cursor(store, programme.programme)
    wanted = earning.find_receipts(
        duck,
        programme,
        as_of=ws.as_of,
        since=datetime.fromisoformat(cursor.as_of) if cursor else None,
        seen_files=ledger.seen_files(store, programme.programme),
    )
    posted = ledger.posted(store, programme.programme, wanted)
    earning.find_events(duck, posted)
    transfers = _write(duck, store, programme, ws)
    files = duck.execute("select distinct file_id from transactions").to_arrow_table()
    ledger.advance(store, programme.programme, ws.as_of, files)
    totals = duck.execute(earning.SQL["totals"])
    names = [column[0] for column in totals.description or ()]
    return dict(zip(names, totals.fetchall()[0], strict=True)) | {"transfers": transfers}


def _write(duck: DuckDBPyConnection, store: Connection, programme: Programme, ws: Workspace) -> int:
    name = programme.programme
    members = earning.members(duck)
    if not members.num_rows:
        return 0
    owners = earning.settle(
        duck,
        programme,
        accounts=ledger.accounts(store, name, members),
        issued=ledger.issued(store, name, earning.members(duck, losers=True)),
    )
    issuance = ledger.open_accounts(store, name, owners)
    rows = earning.transfers(
        duck,
        ledger.accounts(store, name, members),
        programme=name,
        issuance=issuance,
        posted_at=ws.as_of.isoformat(timespec="seconds"),
        business_date=ws.business_date.isoformat(),
    )
    return ledger.insert(store, rows)
