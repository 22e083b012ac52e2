"""A person's journey: every touchpoint from the first contact to the till and after, with what it cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date
from fractions import Fraction
from itertools import chain
from typing import Any

from duckdb import DuckDBPyConnection

from tessera import clock
from tessera.decide import fates, policy
from tessera.errors import BadInput
from tessera.person import identity as who
from tessera.person.identity import Identity
from tessera.quoting import constant, literal
from tessera.store import Connection, queries
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

SQL = queries("tessera.person", "journey.sql")
COLUMNS = ("at", "what", "channel", "about", "amount", "cost", "currency")
OF_STORE = ("answers", "words", "chose", "redeemed", "used")
LEFT = (fates.STATES["accepted"], fates.STATES["ambiguous"])  # and was paid for
Row = dict[str, Any]


def journey(ws: Workspace, customer_id: str, since: date | None = None) -> list[Row]:
    """The touchpoints from the day `since` of the shop on in the order of time, of all numbers the person
    has; `at` is UTC, `amount` and `cost` are minor units of `currency`. BadInput when nothing is known of
    the customer."""
    begins = clock.stamp(clock.day_starts(since, clock.zone(ws.settings.timezone))) if since else ""
    identity = who.find(ws, customer_id)
    with ws.store.read() as store:
        found = [*_seen(ws, identity), *_kept(store, identity), *_written(ws, store, identity)]
    if not found:
        raise BadInput(f"Nothing is known of a customer '{customer_id}'; check the id.")
    rows = [dict.fromkeys(COLUMNS) | row for row in found]
    return sorted(
        (row for row in rows if str(row["at"]) >= begins),
        key=lambda row: (row["at"], row["what"], row["about"] or ""),
    )


def _seen(ws: Workspace, identity: Identity) -> Iterator[Row]:
    """What the models have, and what was landed of talks."""
    with closing(ws.marts()) as duck:
        who.show(duck, identity)
        duck.execute(f"set variable zone = {literal(ws.settings.timezone)}")
        found = [named(duck.execute(SQL[name])) for name in ("bought", "moved")]
        for row in chain(*found, _talks(ws, duck)):
            yield {**row, "at": clock.stamp(row["at"].replace(tzinfo=UTC))}


def _talks(ws: Workspace, duck: DuckDBPyConnection) -> list[Row]:
    """Which talks were ever told as theirs, of all that were landed; then those, as they were told last."""
    portions = list(who.portions(who.in_order(ws.home.validated / "interactions")))
    spoke = (duck.execute(SQL["spoke"].format(files=some)).fetchall() for some in portions)
    talks = sorted({talk for rows in spoke for (talk,) in rows})
    told: dict[str, Row] = {}
    for some in portions if talks else ():
        query = SQL["told"].format(files=some, talks=constant(talks))
        told |= {row.pop("interaction_id"): row for row in named(duck.execute(query))}
    return [row for row in told.values() if row.pop("is_theirs")]


def _kept(store: Connection, identity: Identity) -> Iterator[Row]:
    """What people said on the pages, and spent at tills."""
    for name in OF_STORE:
        yield from map(dict, _of(store, name, identity))


def _written(ws: Workspace, store: Connection, identity: Identity) -> Iterator[Row]:
    """What became of each message to them, from its sending on."""
    costs = policy.load(ws.project).costs
    each = Fraction(costs.per_thousand_messages, 1000) if costs else None
    paid = {"cost": float(each), "currency": costs.currency} if costs and each else {}
    messages = {row["send_key"]: row for row in _of(store, "messages", identity)}
    for customer_id in sorted(identity.customers):
        for send_key, happened in fates.of_customer(store, customer_id).items():
            message = messages[send_key]
            for one in happened:
                what = " ".join(filter(None, ["message", one["what"]]))
                about = ": ".join(filter(None, [message["about"], one["why"]]))
                row = {"at": one["at"], "channel": message["channel"], "what": what, "about": about}
                yield row | (paid if one["what"] in LEFT else {})


def _of(store: Connection, name: str, identity: Identity) -> list[Any]:
    query = SQL[name].format(numbers=store.listed("numbers"))
    return list(store.all(query, numbers=json.dumps(sorted(identity.customers))))
