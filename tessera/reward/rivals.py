"""Rules that do not add up and have caps: which gives most hangs on what is left, receipt by receipt."""

from __future__ import annotations

import itertools
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tessera.store import queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "earning.sql")
BATCH = 10_000  # rows at once, of which a first night may have millions
CHOSEN = pa.schema([("transaction_id", pa.string()), ("rule", pa.string())])


def choose(duck: DuckDBPyConnection) -> None:
    """Leave in `due`, of each receipt's rules that do not add up, the one that gives most within its caps."""
    if not duck.execute(SQL["has_capped_rivals"]).fetchone():
        return
    left: dict[tuple[Any, ...], int] = {}
    chosen = []
    found = duck.execute(SQL["rival"])
    rows = itertools.chain.from_iterable(iter(lambda: found.fetchmany(BATCH), []))
    for receipt, rivals in itertools.groupby(rows, key=itemgetter(0)):
        offers = [_offer(left, row) for row in rivals]
        rule, takes, rooms = max(offers, key=lambda offer: offer[1][-1])  # the first of equals
        left |= {room: left[room] - taken for room, taken in zip(rooms, takes, strict=True)}
        chosen.append({"transaction_id": receipt, "rule": rule if takes[-1] else None})
    if chosen:
        duck.register("chosen", pa.Table.from_pylist(chosen, CHOSEN))
        duck.execute(SQL["lose"])
        duck.execute(SQL["win"])


def _offer(
    left: dict[tuple[Any, ...], int], row: tuple[Any, ...]
) -> tuple[str, list[int], list[tuple[Any, ...]]]:
    """What the rule takes of each room, the day's before the member's before everybody's, and at last gives."""
    _, rule, points, customer_id, sold_on, caps, given = row
    rooms, takes = [(rule, customer_id, sold_on), (rule, customer_id), (rule,)], [points]
    for room, cap, before in zip(rooms, caps, given, strict=True):
        if room not in left:
            left[room] = 10**15 if cap is None else max(cap - int(before or 0), 0)
        takes.append(min(takes[-1], left[room]))
    return rule, takes[1:], rooms
