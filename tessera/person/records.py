"""The store's rows about a person, whichever tables there are: found, and forgotten.

Tables are told by their columns, so that a new one is covered the day it is made: rows with the
person's `customer_id`, rows with a message's `send_key`, and the accounts of the ledger, whose
transfers cannot be changed and name accounts only.
"""

from __future__ import annotations

import html
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tessera.addresses import address_hash
from tessera.person.identity import Identity
from tessera.store import Connection, queries

SQL = queries("tessera.person", "records.sql")
BY_CUSTOMER = ("customer_id", "into_customer_id")
BY_MESSAGE = ("send_key",)
BY_ADDRESS = {"email": "emails", "phone": "phones"}
BY_CARD = {"till_request": "answer", "till_waiting": "body"}  # JSON with a card as a whole text
BY_FRIEND = ("referred_by",)  # somebody else's row, which forgets who it was
GONE = "[erased]"
Rows = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """One table of the store, by the columns that concern us."""

    name: str
    columns: tuple[str, ...]
    texts: tuple[str, ...]  # of them, those of text

    def by(self, identity: Identity) -> Iterator[tuple[str, Sequence[str]]]:
        """Each column that may name the person, with the values that do."""
        for column in self.columns:
            if column in BY_CUSTOMER:
                yield column, sorted(identity.customers)
            elif column in BY_MESSAGE:
                yield column, sorted(identity.send_keys)
            elif column in BY_ADDRESS:
                known = getattr(identity, BY_ADDRESS[column])
                yield column, sorted({*known, *map(str.lower, known)})


def tables(connection: Connection) -> list[Table]:
    """The store's tables, those that others refer to last."""
    inspector = sa.inspect(connection.sql)
    names = [name for name, _ in inspector.get_sorted_table_and_fkc_names() if name]
    return [_table(inspector, name) for name in reversed(names)]


def _table(inspector: sa.Inspector, name: str) -> Table:
    columns = inspector.get_columns(name)
    return Table(
        name,
        tuple(column["name"] for column in columns),
        tuple(c["name"] for c in columns if isinstance(c["type"], sa.String)),
    )


def held(connection: Connection, identity: Identity) -> dict[str, Rows]:
    """Every row about the person, by table; only tables with any."""
    found: dict[str, Rows] = {}
    for table in tables(connection):
        rows = [
            row
            for column, values in table.by(identity)
            for row in _select(connection, f"select * from {table.name} where {column}", values)
        ]
        for where, card in _by_card(table.name, identity):
            rows += connection.all(f"select * from {table.name} where {where}", card=card)
        found[table.name] = list({str(row): row for row in rows}.values())
    customers = sorted(identity.customers)
    for name in ("account", "lot", "transfer"):
        found[name] = _select(connection, SQL[name], customers)
    hashes = [address_hash(address) for address in sorted(identity.emails | identity.phones)]
    found["suppression"] = _select(connection, SQL["suppression"], hashes)
    return {name: rows for name, rows in sorted(found.items()) if rows}


def forget(connection: Connection, identity: Identity, names: Mapping[str, str], at: str) -> None:
    """Take every row about the person away, and call the owner of their accounts as `names` says."""
    _part_from_codes(connection, identity, at)
    texts = identity.unmistakable()
    for table in tables(connection):
        spoiled = _spoiled(connection, table, _as_written(texts))
        with _unlocked(connection, table.name, bool(spoiled or any(table.by(identity)))):
            for column, values in table.by(identity):
                _run(connection, f"delete from {table.name} where {column}", values)
            for column in set(BY_FRIEND) & set(table.columns):
                query = f"update {table.name} set {column} = null where {column}"
                _run(connection, query, sorted(identity.customers))
            for query, params in spoiled:
                connection.run(query, **params)
    for where, card in _by_card("till_waiting", identity):
        connection.run(f"delete from till_waiting where {where}", card=card)
    for _, card in _by_card("till_request", identity):
        connection.run(SQL["forget_answer"], card=card, gone=json.dumps(GONE))
    for customer_id, nobody in names.items():
        connection.run(SQL["rename_accounts"], customer_id=customer_id, nobody=nobody)


def _part_from_codes(connection: Connection, identity: Identity, at: str) -> None:
    """Codes outlive whom they were given to: their batch is counted, and nobody is given them again."""
    messages = sorted(identity.send_keys)
    _run(connection, SQL["keep_given"], messages)
    _run(connection, SQL["withdraw_unsent"], messages, at=at)
    _run(connection, SQL["disown"], sorted(identity.customers), at=at)


def _by_card(table: str, identity: Identity) -> Iterator[tuple[str, str]]:
    """What tells the table's rows that name each of the person's cards, and how they write it."""
    if column := BY_CARD.get(table):
        for card in sorted(identity.cards):
            yield f"replace({column}, :card, '') <> {column}", json.dumps(card)


def _as_written(texts: Iterable[str]) -> set[str]:
    """The texts and how JSON and HTML escape them."""
    known = {*texts, *map(str.lower, texts)}
    return known | {json.dumps(text)[1:-1] for text in known} | {html.escape(t) for t in known}


def suppress(connection: Connection, identity: Identity, at: str) -> None:
    """Have the person's addresses never written to again: their hashes stay."""
    addresses = [("email", email) for email in identity.emails]
    addresses += [("sms", phone) for phone in identity.phones]
    rows = [{"channel": c, "address_hash": address_hash(a), "at": at} for c, a in addresses]
    connection.run_many(SQL["suppress"], rows)


def on_its_way(connection: Connection, identity: Identity) -> bool:
    """Whether a provider is being called with a message to the person."""
    return bool(_select(connection, SQL["on_its_way"], sorted(identity.customers)))


def _select(connection: Connection, query: str, values: Sequence[str]) -> Rows:
    return connection.all(_in(connection, query), values=json.dumps(values))


def _run(connection: Connection, query: str, values: Sequence[str], **params: object) -> None:
    connection.run(_in(connection, query), values=json.dumps(values), **params)


def _in(connection: Connection, query: str) -> str:
    return f"{query} in (select value from {connection.listed('values')})"


def _spoiled(
    connection: Connection, table: Table, texts: Iterable[str]
) -> list[tuple[str, dict[str, str]]]:
    """What takes the person out of other texts: a provider's answer may quote an address."""
    found = []
    for column, text in itertools.product(table.texts, texts):
        where = f"{table.name} where {column} like :pattern escape '!'"
        pattern = f"%{_escaped(text)}%"
        if connection.one(f"select 1 from {where} limit 1", pattern=pattern):
            query = f"update {table.name} set {column} = replace({column}, :text, :gone) "
            params = {"text": text, "gone": GONE, "pattern": pattern}
            found.append((query + where.removeprefix(f"{table.name} "), params))
    return found


def _escaped(text: str) -> str:
    for mark in "!%_":
        text = text.replace(mark, f"!{mark}")
    return text


@contextmanager
def _unlocked(connection: Connection, table: str, is_needed: bool) -> Iterator[None]:
    """Without the triggers that refuse changes to an append-only table, in this transaction."""
    if not is_needed:
        yield
    elif connection.dialect == "sqlite":
        triggers = connection.all(SQL["triggers"], name=table)
        for trigger in triggers:
            connection.run(f"drop trigger {trigger['name']}")
        yield
        for trigger in triggers:
            connection.sql.exec_driver_sql(trigger["sql"])
    else:
        connection.run(f"alter table {table} disable trigger user")
        yield
        connection.run(f"alter table {table} enable trigger user")
