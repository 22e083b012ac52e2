"""Households whose members spend each other's points.

Points stay with who earned them until somebody spends more than they have: what is lacking comes over
lot by lot, what ends first before all else, and each lot keeps its end. So earning, returns, expiry and
tiers know of members only, and whoever leaves a household leaves with what is in their own account.
"""

from __future__ import annotations

from typing import Any

from tessera.reward import lots, merging
from tessera.reward.points import SQL as POINTS
from tessera.reward.points import Books
from tessera.reward.terms import Terms
from tessera.store import Connection, queries

SQL = queries("tessera.reward", "pooling.sql")


def others(store: Connection, programme: str, customer_id: str, at: str) -> int:
    """What those who live with the member could add: what they have and has not ended, less what
    any of the household owes."""
    values = {"programme": programme, "customer_id": customer_id, "at": at}
    return max(0, int(store.scalar(SQL["others"], **values)))


def draw(books: Books, customer_id: str, points: int, key: str) -> int:
    """Bring over what the member lacks to spend `points`, as far as the household has it; how much.
    In the transaction that spends: when that is refused, this must not have happened. Of a request
    that took effect, by its `key`, nothing more comes over."""
    store, values = books.store, {"programme": books.programme, "customer_id": customer_id}
    lock(books, customer_id)
    if store.one(POINTS["transfer"], programme=books.programme, key=key):
        return 0
    own = int(store.scalar(POINTS["own"], **values, at=books.stamp))
    left = drawn = min(points - own, others(store, books.programme, customer_id, books.stamp))
    for lot in store.all(SQL["lots"], **values, at=books.stamp) if drawn > 0 else ():
        part = min(left, lot["remaining"])
        if part:
            _bring(books, customer_id, dict(lot), part)
        left -= part
    return max(0, drawn)


def lock(books: Books, customer_id: str) -> None:
    """The accounts of the household, in the order that everybody keeps."""
    books.share_lock()
    books.account(customer_id)
    query = SQL["lock"] + (" for update" if books.store.dialect == "postgresql" else "")
    books.store.all(query, programme=books.programme, customer_id=customer_id)


def _bring(books: Books, customer_id: str, lot: dict[str, Any], points: int) -> None:
    key = f"pool:{lot['idem_key']}:{lot['before']}"
    done = books.post(
        key, "pool", lot["account_id"], books.account(customer_id), points,
        source=(lot["source_type"], lot["source_id"]), rule=(lot["rule"], lot["rule_version"]),
        terms=Terms(None, lot["expires_at"], lot["expires_on"]), reverses=lot["idem_key"],
    )  # fmt: skip
    number = {"first": done["transfer_id"], "last": done["transfer_id"]}
    books.store.run(merging.SQL["take_lots"], **number)
    books.store.run(merging.SQL["give_lots"], **number)
    books.store.run(lots.SQL["apply"], **number)
