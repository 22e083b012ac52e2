"""The cards that tills know, and what they may say to whom a card belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tessera import clock
from tessera.reward.refusal import Refusal
from tessera.store import Connection, queries
from tessera.vouchers import codes
from tessera.warehouse import marts
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "cards.sql")
KNOWN_CARD = pa.schema(
    [(name, pa.string()) for name in ("card_id", "customer_id", "origin")]
    + [("is_blocked", pa.int64())]
)
KNOWN_MEMBER = pa.schema(
    [(name, pa.string()) for name in ("customer_id", "given_name", "tier", "household_id")]
)
FOLLOWED = pa.schema([(name, pa.string()) for name in ("customer_id", "into_customer_id")])
# What tills wrote down under a card's own name is its customer's, once it is registered.
RENAMES = (
    *("rename_spent", "rename_friend", "rename_referrer", "rename_voucher", "rename_code"),
    "forget_member",
)
Row = Mapping[str, Any]


def day(at: datetime, timezone: str) -> date:
    """The shop's calendar date at an instant."""
    try:
        return clock.business_date(at, timezone)
    except OverflowError:  # the first and last hours that can be written
        return at.date()


def owner(store: Connection, card: str, *, replaced: bool = False, blocked: bool = False) -> str:
    """The customer whose card this is; Refusal for a card nobody has, or has no more. `replaced` and
    `blocked`: a card that is no longer good, or is so by the shop's books, will do."""
    row = store.one(SQL["card"], card_id=card)
    if row is None:
        raise Refusal("unknown-card")
    if row["replaced_by_card_id"] is not None and not replaced:
        raise Refusal("card-replaced")
    if row["is_blocked"] and not (replaced or blocked):
        raise Refusal("card-blocked")
    return str(row["customer_id"])


def member(store: Connection, customer_id: str) -> Row:
    """`given_name` and `tier`; None for who is too new to have them."""
    found = store.one(SQL["member"], customer_id=customer_id)
    return found or {"given_name": None, "tier": None}


def enrol(
    store: Connection, card: str, at: datetime, noted_at: datetime, *, again: bool = False
) -> str:
    """Hand out a card: its holder is a member from now on, by the name that the models give to a
    card nobody registered yet. `again`: it was done without a line, maybe by two tills."""
    when = {"at": clock.stamp(at), "noted_at": clock.stamp(noted_at)}
    new = store.run(SQL["add"], card_id=card, customer_id=card, **when)
    new = new or store.run(SQL["adopt"], card_id=card, customer_id=card, **when)
    if not new and not again:
        raise Refusal("card-in-use")
    store.run(SQL["add_member"], customer_id=owner(store, card, replaced=True))
    return owner(store, card, replaced=True)


def replace(
    store: Connection,
    card: str,
    new_card: str,
    at: datetime,
    noted_at: datetime,
    *,
    offline: bool = False,
) -> str:
    """The member's next card. Of two that replaced one card without a line, the later counts; both
    are the member's."""
    if card == new_card:
        raise Refusal("same-card")
    customer_id = owner(store, card, replaced=offline, blocked=True)
    when = {"at": clock.stamp(at), "noted_at": clock.stamp(noted_at)}
    if not store.run(SQL["add"], card_id=new_card, customer_id=customer_id, **when):
        if store.run(SQL["adopt"], card_id=new_card, customer_id=customer_id, **when):
            _rename(store, [{"was": new_card, "customer_id": customer_id}])
        elif not (offline and owner(store, new_card, replaced=True) == customer_id):
            raise Refusal("card-in-use")
    swap = {"card_id": card, "new_card": new_card, "is_offline": int(offline), **when}
    moved = store.run(SQL["replace"], **swap)
    if not moved and not offline:  # another till was quicker
        raise Refusal("card-replaced")
    return customer_id


def refresh(ws: Workspace) -> int:
    """Bring the tills' cards and members up to the models'; how many rows were new or changed."""
    with closing(ws.marts()) as duck:
        with ws.store.read() as store:
            duck.register("known_card", store.scan(SQL["known_cards"], KNOWN_CARD))
            duck.register("known_member", store.scan(SQL["known_members"], KNOWN_MEMBER))
        of_models(duck)
        as_of = clock.naive(ws.as_of)
        cards = duck.execute(SQL["new_cards"], {"as_of": as_of}).to_arrow_table()
        members = duck.execute(SQL["new_members"]).to_arrow_table()
        registered = duck.execute(SQL["registered"]).to_arrow_table().to_pylist()
        became = dict(duck.execute(SQL["became"]).fetchall())
    at = pa.repeat(clock.stamp(ws.as_of), cards.num_rows)
    cards = cards.append_column("changed_at", at).append_column("noted_at", at)
    with ws.store.write() as store:
        _bring(store, "card", cards)
        _bring(store, "member", members)
        _rename(store, registered)
        if became:
            query = SQL["rename_prospects"].format(people=store.paired("people"))
            store.run(query, people=json.dumps(became))
        _referral_codes(store)
    return int(cards.num_rows + members.num_rows)


def handed_on(duck: DuckDBPyConnection, store: Connection, programme: str) -> pa.Table:
    """The cards that belong to another member of `programme` than at the last `refresh`."""
    duck.register("known_card", store.scan(SQL["known_cards"], KNOWN_CARD))
    duck.register("followed", store.arrow(SQL["followed"], FOLLOWED, programme=programme))
    of_models(duck)
    return duck.execute(SQL["handed_on"]).to_arrow_table()


def of_models(duck: DuckDBPyConnection) -> None:
    """Every card that the models know an owner of, as the view `model_card`."""
    duck.execute(SQL["models" if "card_owners" in marts.views(duck) else "live_cards"])


def _bring(store: Connection, table: str, rows: pa.Table) -> None:
    """Insert rows; those that are there already take their new values."""
    for start in range(0, rows.num_rows, 100_000):
        part = rows.slice(start, 100_000)
        if store.insert_new(table, part) < part.num_rows:
            store.run_many(SQL[f"change_{table}"], part.to_pylist())


def _rename(store: Connection, registered: Sequence[Row]) -> None:
    """What is known under each card's own name (`was`) is its customer's."""
    for query in RENAMES:
        store.run_many(SQL[query], registered)


def _referral_codes(store: Connection) -> None:
    """A code of their own for every member who has none."""
    people = [row["customer_id"] for row in store.all(SQL["without_code"])]
    made = pa.table(
        {
            "code": pa.array(codes.make(len(people)), pa.string()),
            "customer_id": pa.array(people, pa.string()),
        }
    )
    store.insert_new("referral_code", made)
