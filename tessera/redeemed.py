"""When customers last redeemed, as the plan and the last look before sending ask it."""

from __future__ import annotations

from tessera.store import queries

SQL = queries("tessera", "redeemed.sql")["latest"]
CUSTOMERS = {
    "owner": "account.owner_id",
    "member": "redemption_member.customer_id",
    "reader": "outbox.customer_id",
}


def latest(keys: str | None = None) -> str:
    """The query of `customer_id` and `redeemed_at` (UTC), a row a customer: of those whose numbers are the values
    of the table `keys`, or of everybody."""
    if keys is None:
        return SQL.format(**dict.fromkeys(CUSTOMERS, "true"))
    among = f" in (select value from {keys})"
    return SQL.format(**{part: column + among for part, column in CUSTOMERS.items()})
