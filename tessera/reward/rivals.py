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
Room = tuple[Any, ...]
CHOSEN = pa.schema([("transaction_id", pa.string()), ("rule", pa.string())])


def choose(duck: DuckDBPyConnection) -> None:
    """Leave in `due`, of each receipt's rules that do not add up, the one that gives most within its caps."""
    if not duck.execute(SQL["has_capped_rivals"]).fetchone():
        return
    left: dict[Room, int] = {}
    chosen = []
    duck.execute(SQL["room"])
    found = duck.execute(SQL["rival"])
    rows = itertools.chain.from_iterable(iter(lambda: found.fetchmany(BATCH), []))
    for receipt, rivals in itertools.groupby(rows, key=itemgetter(0)):
        gives, rule, rooms = max((_offer(left, row) for row in rivals), key=itemgetter(0))
        left |= rooms  # of equals the first
        chosen.append({"transaction_id": receipt, "rule": rule if gives else None})
    if chosen:
        duck.register("chosen", pa.Table.from_pylist(chosen, CHOSEN))
        duck.execute(SQL["lose"])
        duck.execute(SQL["win"])


def _offer(left: dict[Room, int], row: tuple[Any, ...]) -> tuple[int, str, dict[Room, int]]:
    """What the rule gives, and what of its rooms is left then: the day's before the member's before everybody's."""
    _, rule, gives, customer_id, sold_on, *rooms = row
    after = {}
    names: tuple[Room, ...] = ((rule, customer_id, sold_on), (rule, customer_id), (rule,))
    for name, room in zip(names, rooms, strict=True):
        if room is not None:
            has = left.get(name, room)
            gives = min(gives, has)
            after[name] = has - gives
    return gives, rule, after
