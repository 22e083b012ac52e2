"""Two members who are one, or a card that was registered late: points go over lot by lot, each with
its own end, and what is owed goes too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from tessera.reward import ledger, lots
from tessera.reward.points import SQL as POINTS
from tessera.reward.points import Books
from tessera.store import queries
from tessera.warehouse import marts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "merging.sql")


def move(books: Books, customer_id: str, into: str) -> int:
    """All that `customer_id` has and owes becomes that of `into`, and so does what comes back to
    them later, with the next night; how many points. Again, it moves what is there since."""
    store, values = books.store, {"programme": books.programme}
    _lock(books, customer_id, into)
    at = books.stamp
    pair = {**values, "customer_id": customer_id, "into": into}
    store.run(SQL["forget_own"], programme=books.programme, into=into)
    store.run(SQL["follow"], **pair)
    store.run(SQL["remember"], **pair, at=at)
    moved = _move_lots(books, pair)
    _move_debt(books, customer_id, into)
    if books.balance(into).debt:
        books.repay(into, _last_key(books, books.account(into)))
    return moved


def part(books: Books, customer_id: str, into: str) -> int:
    """They were two after all: what came from `customer_id` and is still there goes back, with its
    own end; how many points. What was spent meanwhile is spent, what was earned stays."""
    store = books.store
    _lock(books, customer_id, into)
    store.run(SQL["forget_own"], programme=books.programme, into=customer_id)
    back = {"programme": books.programme, "customer_id": into, "into": customer_id}
    moved = _move_lots(books, back, only=customer_id)
    _return_debt(books, customer_id, into)
    if books.balance(customer_id).debt:
        books.repay(customer_id, _last_key(books, books.account(customer_id)))
    return moved


def _lock(books: Books, customer_id: str, into: str) -> None:
    """The accounts of both, which exist afterwards, in the order that everybody keeps."""
    books.share_lock()
    for owner in sorted((customer_id, into)):
        for bucket in ("available", "pending"):
            books.account(owner, bucket)
    query = SQL["lock"] + (" for update" if books.store.dialect == "postgresql" else "")
    books.store.all(query, programme=books.programme, customer_id=customer_id, into=into)


def _move_lots(books: Books, pair: dict[str, str], only: str | None = None) -> int:
    """All lots, or `only` those that a merge brought from somebody. On PostgreSQL other members'
    transfers may come between ours: each lot by itself."""
    store = books.store
    before = int(store.scalar(ledger.SQL["last_transfer"]))
    store.run(
        SQL["move"],
        **pair,
        only=only,
        at=books.stamp,
        business_date=books.on.isoformat(),
        actor=books.actor,
    )
    own, theirs = (
        {b: books.account(pair[name], b) for b in ("available", "pending")}
        for name in ("customer_id", "into")
    )
    found = store.all(SQL["moved"], before=before, **own)
    for row in found:
        bounds = {"first": row["transfer_id"], "last": row["transfer_id"]}
        sides = {"debit_id": row["debit_id"], "credit_id": row["credit_id"]}
        store.run(POINTS["move"], **sides, points=row["amount"])
        store.run(SQL["take_lots"], **bounds)
        store.run(SQL["give_lots"], **bounds)
        store.run(lots.SQL["apply"], **bounds)
    assert {row["credit_id"] for row in found} <= set(theirs.values())  # noqa: S101 - one programme
    return sum(row["amount"] for row in found)


def _move_debt(books: Books, customer_id: str, into: str) -> None:
    if points := books.balance(customer_id).debt:
        own, theirs = books.account(customer_id, "debt"), books.account(into, "debt")
        key = _last_key(books, own)
        books.post(f"merge:{key}", "merge", theirs, own, points, source=("transfer", key))


def _return_debt(books: Books, customer_id: str, into: str) -> None:
    """What the one brought along and the other still owes."""
    own, theirs = books.account(customer_id, "debt"), books.account(into, "debt")
    brought = int(books.store.scalar(SQL["brought"], own=own, theirs=theirs))
    if (points := min(brought, books.balance(into).debt)) > 0:
        key = _last_key(books, theirs)
        books.post(f"merge:{key}", "merge", own, theirs, points, source=("transfer", key))


def _last_key(books: Books, account_id: int) -> str:
    """Of the account's last transfer: what is derived from it is posted once."""
    return str(books.store.scalar(SQL["last_key"], account_id=account_id))


def sweep(books: Books, duck: DuckDBPyConnection) -> int:
    """Move what is due: of merged people, of those who are two again, and of cards that have an
    owner by now; points moved."""
    name = books.programme
    undone = books.store.all(SQL["undone"], programme=name)
    parted = sum(part(books, row["customer_id"], row["into_customer_id"]) for row in undone)
    known = books.store.arrow(
        SQL["unnamed"], pa.schema([("owner_id", pa.string())]), programme=name
    )
    pairs = {
        row["customer_id"]: row["into_id"] for row in books.store.all(SQL["due"], programme=name)
    }
    if "card_owners" in marts.views(duck):
        duck.register("unnamed", known)
        pairs = dict(duck.execute(SQL["owners_of_cards"]).fetchall()) | pairs
    return parted + sum(
        move(books, customer_id, into) for customer_id, into in sorted(pairs.items())
    )
