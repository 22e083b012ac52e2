"""A night: merge → release holds → activate → earn → gifts → tiers ending → expire → rewards → tiers
rising → tie out.

Every step is a transaction (those that may be long, one per chunk) under the ledger's lock, finds by
itself what is due, and marks itself done. A night that was killed goes on with the step it was in;
one that was finished may be run again, and finds what came in since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from tessera import clock
from tessera.reward import ledger, lots, merging, tiers
from tessera.reward.expiry import prolong
from tessera.reward.points import Books
from tessera.reward.programme import Programme
from tessera.reward.terms import day_after
from tessera.store import Connection, bulk, checkpoints, queries
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "night.sql")
CHUNK = 50_000  # lots of one transaction
# Transactions at once: PostgreSQL works at each with a core of its own, SQLite lets one write.
HANDS = {"sqlite": 1, "postgresql": 2}
Counts = dict[str, int]
Step = Callable[["Night"], Counts]
Chunk = Callable[["Night", Connection, str], int]
LOTS = pa.schema([("lot_id", pa.int64())])
OWNERS = pa.schema([("owner_id", pa.string())])


@dataclass(frozen=True)
class Night:
    """One programme on one business date."""

    ws: Workspace
    programme: Programme

    @property
    def name(self) -> str:
        return self.programme.programme

    @cached_property
    def zone(self) -> str:
        return self.programme.zone(self.ws.settings.timezone)

    @property
    def at(self) -> str:
        return clock.stamp(self.ws.as_of)

    @property
    def on(self) -> str:
        return self.ws.business_date.isoformat()

    @property
    def due(self) -> dict[str, object]:
        """What a step's query must know."""
        moment = {"cutoff": self.at, "at": self.at, "business_date": self.on}
        return {"programme": self.name, **moment}

    def books(self, store: Connection) -> Books:
        at, on = self.ws.as_of, self.ws.business_date
        return Books(store, self.name, at, on, self.zone, self.programme.expiry)

    def marts(self) -> DuckDBPyConnection:
        return self.ws.marts()


def run(night: Night, steps: dict[str, Step]) -> Counts:
    """All `steps` that tonight has not done; what each of them counted."""
    found = _done(night, steps)
    if set(found) >= set(steps):
        with night.ws.store.write() as store:
            store.run(SQL["start_over"], programme=night.name, business_date=night.on)
        found = {}
    for name, step in steps.items():
        if name not in found:
            found[name] = step(night)
            mark(night, name, found[name])
    return {key: count for counts in found.values() for key, count in counts.items()}


def _done(night: Night, steps: Mapping[str, Step]) -> dict[str, Counts]:
    with night.ws.store.read() as store:
        rows = store.all(SQL["done"], programme=night.name, business_date=night.on)
    return {row["step"]: json.loads(row["counts"]) for row in rows if row["step"] in steps}


def mark(night: Night, step: str, counts: Counts) -> None:
    values = {"programme": night.name, "business_date": night.on, "at": night.at}
    with night.ws.store.write() as store:
        store.run(SQL["mark"], **values, step=step, counts=json.dumps(counts))


def merge(night: Night) -> Counts:
    with closing(night.marts()) as duck, night.ws.store.write() as store:
        ledger.lock(store)
        date_active(night, store, is_earning=False)  # while it is known whose points they kept
        return {"points_merged": merging.sweep(night.books(store), duck)}


def release(night: Night) -> Counts:
    """Holds whose time is out, so many at a time."""
    released = 0
    while True:
        with night.ws.store.write() as store:
            ledger.lock(store)
            found = night.books(store).release_due()
        released += found
        if not found:
            return {"holds_released": released}


def activate(night: Night) -> Counts:
    with night.ws.store.write() as store:
        ledger.lock(store)
        store.run(SQL["open_due"], **night.due)
        due = store.arrow(SQL["to_activate"], LOTS, **night.due)
    moved = _in_chunks(night, _activate, due)
    with night.ws.store.write() as store:
        ledger.lock(store)
        store.run(SQL["forget_activation"], **night.due)
    return {"points_activated": moved}


def expire(night: Night) -> Counts:
    with night.ws.store.write() as store:
        ledger.lock(store)
        if night.programme.expiry:
            _date_endless(night, store)
        store.run(SQL["open_breakage"], programme=night.name, cutoff=night.at)
        due = store.arrow(SQL["to_expire"], LOTS, **night.due)
    return {"points_expired": _in_chunks(night, _expire_by_hands, due)}


def _in_chunks(night: Night, step: Chunk, due: pa.Table) -> int:
    """So many at a time. They are listed once: PostgreSQL keeps what was due until its housekeeping, and
    would walk through it again and again. What a till spends meanwhile is looked at again."""
    moved = 0
    with checkpoints.beside(night.ws.store) if due.num_rows > CHUNK else nullcontext():
        for start in range(0, due.num_rows, CHUNK):
            moved += _chunk(night, step, due.slice(start, CHUNK))
    return moved


def _chunk(night: Night, step: Chunk, due: pa.Table) -> int:
    with night.ws.store.write() as store:
        ledger.lock(store)
        moved = step(night, store, json.dumps(due["lot_id"].to_pylist()))
        for table in ("transfer", "lot_move"):
            store.count_anew(table, due.num_rows)
    return moved


def _activate(night: Night, store: Connection, due: str) -> int:
    posted = _post(night, store, "activate", SQL["activating"], lots=due)
    if not posted:
        return 0
    store.run(SQL["move_lots"])
    store.run(SQL["moved_on"])
    if store.run(SQL["repay"], **posted, **night.due):
        ledger.settle(store, posted["last"])
    return posted["points"]


def _expire_by_hands(night: Night, store: Connection, due: str) -> int:
    """Each of the hands takes other accounts, the first in this transaction, which has the ledger locked, the
    others in their own: what they have ended stays, whatever becomes of this one."""
    hands = HANDS[store.dialect]

    def help_out(hand: int) -> int:
        with night.ws.store.write() as own:
            return _expire(night, own, due, hand=hand, hands=hands)

    with ThreadPoolExecutor(max_workers=hands) as pool:
        others = [pool.submit(help_out, hand) for hand in range(1, hands)]
        ended = _expire(night, store, due, hand=0, hands=hands)
        return ended + sum(other.result() for other in others)


def _expire(night: Night, store: Connection, due: str, **hands: int) -> int:
    breakage = store.scalar(SQL["breakage"], programme=night.name)
    posted = _post(night, store, "expire", SQL["expiring"], lots=due, breakage=breakage, **hands)
    if not posted:
        return 0
    store.run(SQL["end_lots"])
    store.run(SQL["empty_lots"])
    store.run(SQL["moved_on"])
    return posted["points"]


def _post(night: Night, store: Connection, kind: str, due: str, **values: object) -> dict[str, int]:
    """Post what is `due`; the numbers of the first and the last transfer, their points, and the table of
    what is `moving`, if anything is."""
    bulk.make_room(store)
    query = due.format(lots=store.listed("lots"), end_key=lots.SQL["end_key"])
    store.run(SQL[f"move_{store.dialect}"].format(due=query), cutoff=night.at, **values)
    if not store.run(SQL["post_moving"], kind=kind, **night.due):
        store.run(SQL["moved_on"])
        return {}
    store.run(ledger.SQL["move_balances"].format(posted="moving"))
    return dict(store.one(SQL["posted"]) or {})


def _date_endless(night: Night, store: Connection) -> None:
    """Lots without an end get one, and for `inactivity` those of active members a later one."""
    expiry, values = night.programme.expiry, {"programme": night.name, "business_date": night.on}
    assert expiry is not None  # noqa: S101 - the caller asked
    named = f"account.owner_id in (select value from {store.listed('owners')})"
    for joined, owners in _by_joining(night, store) if expiry.kind == "anniversary" else ():
        ends = _ends(night, expiry.last_day(night.ws.business_date, joined))
        query = SQL["begin_expiry"].format(whose=named)
        store.run(query, **values, **ends, owners=json.dumps(owners))
    ends = _ends(night, expiry.last_day(night.ws.business_date))
    store.run(SQL["begin_expiry"].format(whose="true"), **values, **ends)
    date_active(night, store, is_earning=True)


def _ends(night: Night, last: date) -> dict[str, str]:
    return {"expires_on": last.isoformat(), "expires_at": day_after(last, night.zone)}


def _by_joining(night: Night, store: Connection) -> list[tuple[date, list[str]]]:
    """Who has points without an end, by the day of joining, as far as it is known."""
    owners = store.arrow(SQL["endless"], OWNERS, programme=night.name)
    if not owners.num_rows:
        return []
    with closing(night.marts()) as duck:
        duck.register("endless", owners)
        return duck.execute(SQL["joined"], {"zone": night.zone}).fetchall()


def date_active(night: Night, store: Connection, *, is_earning: bool) -> None:
    """Whoever was active since the last tie-out keeps their points, where they end by inactivity."""
    cursor = ledger.cursor(store, night.name)
    after = cursor.asserted_id if cursor else 0
    since = {"after": after, "at": night.at, "is_earning": int(is_earning)}
    prolong(store, night.programme, night.zone, since, night.on)


def end_tiers(night: Night) -> Counts:
    return {"tiers_reviewed": _review(night, is_ending=True)}


def raise_tiers(night: Night) -> Counts:
    return {"tiers_reached": _review(night, is_ending=False)}


def _review(night: Night, *, is_ending: bool) -> int:
    if night.programme.tiers is None:
        return 0
    with night.ws.store.write() as store:
        ledger.lock(store)
        cursor = ledger.cursor(store, night.name)
        after = cursor.asserted_id if cursor else 0
        on, at = _last_night(night, store)
        return tiers.review(
            store,
            night.name,
            night.programme.tiers,
            on=on,
            at=at,
            zone=night.zone,
            after=None if is_ending else after,
        )


def _last_night(night: Night, store: Connection) -> tuple[date, str]:
    """Tonight and its instant, or the last night there was and its end where tonight is a day before: who
    earned by then has all of it."""
    last = store.scalar(SQL["last_night"], programme=night.name) or night.on
    if last <= night.on:
        return night.ws.business_date, night.at
    on = date.fromisoformat(last)
    return on, day_after(on, night.zone)
