"""What people prefer: each choice a row, of which the latest counts (the view `current_preference`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tessera.clock import stamp
from tessera.consent.ledger import SQL
from tessera.store import Connection

LANGUAGE, FREQUENCY, PAUSED_UNTIL = "language", "frequency", "paused_until"
FREQUENCIES = ("all", "weekly", "monthly")  # at most so often; 'all': as the contact policy says
DECLINED, WANTED = "no", "yes"


def topic(tag: str) -> str:
    """The name of the preference on a topic."""
    return f"topic:{tag}"


def current(connection: Connection, customer_id: str) -> dict[str, str]:
    """This customer's choices; what they never chose is not in it."""
    rows = connection.all(SQL["preferences"], customer_id=customer_id)
    return {row["name"]: row["value"] for row in rows}


def choose(
    connection: Connection, customer_id: str, wanted: Mapping[str, str], at: datetime
) -> dict[str, str]:
    """Write down the choices that differ from the current ones; those."""
    before = current(connection, customer_id)
    changed = {name: value for name, value in wanted.items() if before.get(name) != value}
    rows = [
        {"customer_id": customer_id, "name": name, "value": value, "at": stamp(at)}
        for name, value in changed.items()
    ]
    connection.run_many(SQL["prefer"], rows)
    return changed
