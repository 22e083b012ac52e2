"""Lots: points that were given together, with the day they may be spent from and the day they end.

Every credit of a member's points makes a lot, every debit says in its moves which lots paid, and
what comes back goes to the lots it came from. So a balance is the sum of its lots at any instant.
"""

from __future__ import annotations

from tessera.store import Connection, queries

SQL = queries("tessera.reward", "lots.sql")


def settle(store: Connection, first: int, last: int) -> None:
    """Give and take the lots of the transfers numbered `first` to `last`."""
    bounds = {"first": first, "last": last}
    for step in ("give", "take_own", "take", "apply"):
        store.run(SQL[step], **bounds)
