"""The night's main step: receipts and returns into transfers, and the whole asserted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING

import pyarrow as pa

from tessera.reward import cards, earning, exchange, gifts, ledger, night
from tessera.reward.night import Night, Step
from tessera.reward.programme import load
from tessera.reward.revival import revive
from tessera.store import Connection
from tessera.warehouse.rows import named
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
    points_given: int  # for birthdays and joining
    points_merged: int
    holds_released: int
    points_activated: int
    points_expired: int
    vouchers_given: int  # that points became by themselves
    tiers_reviewed: int
    tiers_reached: int
    seconds: float


def post(ws: Workspace) -> RewardReport:
    """One night: all that is due before `ws.as_of`, in the order of `STEPS`.

    Only receipts that no earlier run looked at are judged. The ledger must tie out: if stored
    balances are not what the transfers make, no receipt is posted, the failed balance assertion is
    kept, and LedgerDiffers says by how much. BadInput: see `ledger.check_begun`.
    """
    started = perf_counter()
    programme = load(ws.project)
    ledger.check_begun(ws.store, programme)
    counts = night.run(Night(ws, programme), STEPS)
    return RewardReport(**counts, seconds=round(perf_counter() - started, 3))


def earn(tonight: Night) -> dict[str, int]:
    """Post what the receipts earn and take back, all of it or nothing."""
    ws = tonight.ws
    with closing(tonight.marts()) as duck, _ledger(tonight) as store:
        counts = _post(duck, store, tonight)
        ledger.check(store, tonight.name, ws.as_of, ws.business_date)
    return counts


def tie_out(tonight: Night) -> dict[str, int]:
    """Write down that the balances are what the transfers make. Who spent at a till since the step that
    ends points was active too: the next night looks at later transfers only."""
    ws = tonight.ws
    with _ledger(tonight) as store:
        night.date_active(tonight, store, is_earning=False)
        ledger.assert_balance(store, tonight.name, ws.as_of, ws.business_date)
    return {}


@contextmanager
def _ledger(tonight: Night) -> Iterator[Connection]:
    """One transaction that has the ledger to itself; where it does not tie out nothing is written but that."""
    store = tonight.ws.store
    try:
        with store.write() as connection:
            ledger.lock(connection)
            yield connection
    except ledger.LedgerDiffers as difference:
        with store.write() as connection:
            ledger.record_failure(connection, tonight.name, difference)
        raise


STEPS: dict[str, Step] = {
    "merge": night.merge,
    "release holds": night.release,
    "activate": night.activate,
    "earn": earn,
    "gifts": gifts.give,
    "tiers ending": night.end_tiers,
    "expire": night.expire,
    "rewards": exchange.exchange,
    "tiers rising": night.raise_tiers,
    "tie out": tie_out,
}


def _post(duck: DuckDBPyConnection, store: Connection, tonight: Night) -> dict[str, int]:
    programme, ws = tonight.programme, tonight.ws
    cursor = ledger.cursor(store, programme.programme)
    wanted = earning.find_receipts(
        duck,
        programme,
        as_of=ws.as_of,
        since=datetime.fromisoformat(cursor.as_of) if cursor else None,
        seen_files=ledger.seen_files(store, programme.programme),
        handed_on=cards.handed_on(duck, store, programme.programme),
        zone=tonight.zone,
    )
    posted = ledger.posted(store, programme.programme, wanted)
    left = ledger.posted(store, programme.programme, earning.find_left(duck, posted))
    posted = pa.concat_tables([posted, left])
    known = ledger.known(store, programme, earning.customers(duck, posted))
    earning.find_events(duck, known)
    transfers = _write(duck, store, tonight)
    ledger.advance(store, programme.programme, ws.as_of, earning.files(duck))
    (totals,) = named(duck.execute(earning.SQL["totals"]))
    return totals | {"transfers": transfers}


def _write(duck: DuckDBPyConnection, store: Connection, tonight: Night) -> int:
    programme, name = tonight.programme, tonight.name
    members = earning.members(duck)
    if not members.num_rows:
        return 0
    losers = earning.members(duck, losers=True)
    asked = earning.split(duck, programme, pending=ledger.pending(store, name, losers))
    revived = revive(tonight, store, asked)
    owners = earning.settle(
        duck,
        accounts=ledger.accounts(store, name, members),
        issued=ledger.issued(store, name, losers),
    )
    earning.set_terms(duck, programme, tonight.zone)
    issuance = ledger.open_accounts(store, name, owners, are_new=True)
    rows = earning.transfers(
        duck,
        ledger.accounts(store, name, members),
        programme=name,
        issuance=issuance,
        posted_at=tonight.at,
        business_date=tonight.on,
    )
    return ledger.insert(store, rows) + revived
