"""Lots: points that were given together, with the day they may be spent from and the day they end.

Every credit of a member's points makes a lot, every debit says in its moves which lots paid, and
what comes back goes to the lots it came from. So a balance is the sum of its lots at any instant.
"""

from __future__ import annotations

from contextlib import nullcontext

from tessera.store import Connection, bulk, queries

SQL = queries("tessera.reward", "lots.sql")
# Of a single transfer: a planner who is not told the bounds believes them far apart.
GIVE_ONE = SQL["give"].replace("between :first and :last", "= :first")
STEPS = {"give": "lot", "take_own": "lot_move", "take": "lot_move", "apply": "lot"}


def settle(store: Connection, first: int, last: int) -> None:
    """Give and take the lots of the transfers numbered `first` to `last`."""
    new = last - first + 1
    for step, table in STEPS.items():
        many = step == "give" and bulk.is_worth_it(new, first - 1)  # no more lots than transfers
        with bulk.anew(store, table) if many else nullcontext():
            moved = store.run(SQL[step], first=first, last=last)
        store.count_anew(table, moved)
