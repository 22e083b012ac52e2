"""The double-entry ledger: accounts, transfers, balances and their assertions.

A member's `available` is points to spend, `debt` points owed after a return that the balance could
not pay. Each transfer debits one account and credits another; it is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tessera import clock
from tessera.errors import BadInput, TesseraError
from tessera.reward import damage, lots
from tessera.reward.earning import ISSUED, KNOWN, MEMBERS, PENDING, POSTED
from tessera.reward.points import LOCK
from tessera.reward.programme import FILE, EarnRule, Programme
from tessera.reward.rules import Cap
from tessera.store import Connection, Store, bulk, queries

SQL = queries("tessera.reward", "ledger.sql")
LOTS = queries("tessera.reward", "night.sql")
Rate = dict[str, Any]


class LedgerDiffers(TesseraError):
    """Stored balances are not what the transfers make: someone or something changed them."""

    def __init__(self, *, expected: int, actual: int, as_of: datetime, on: date) -> None:
        super().__init__(
            f"The ledger does not tie out on {on}: members' balances come to {actual:,} points, "
            f"their transfers to {expected:,}. Nothing was posted; see 'tessera ledger audit'."
        )
        self.row = {
            "expected": expected,
            "actual": actual,
            "at": clock.stamp(as_of),
            "business_date": on.isoformat(),
        }


@dataclass(frozen=True)
class Cursor:
    """How far the receipts were looked through, and the transfers asserted."""

    as_of: str
    asserted_id: int
    asserted: int


def lock(store: Connection) -> None:
    """One posting at a time; on SQLite the write transaction is the lock already."""
    if store.dialect == "postgresql":
        store.scalar(f"select pg_advisory_xact_lock({LOCK})")


def cursor(store: Connection, programme: str) -> Cursor | None:
    found = store.one(SQL["cursor"], programme=programme)
    return None if found is None else Cursor(**found)


def seen_files(store: Connection, programme: str) -> pa.Table:
    schema = pa.schema([("file_id", pa.int64())])
    return store.arrow(SQL["seen_files"], schema, programme=programme)


def posted(store: Connection, programme: str, wanted: pa.Table) -> pa.Table:
    """The transfers of the receipts in `wanted`, signed as their member sees them."""
    if not store.scalar(SQL["last_transfer"]):
        return POSTED.empty_table()  # the first night has millions to look up, and nothing to find
    return _for_ids(store, wanted, SQL["posted"], POSTED, programme)


def accounts(store: Connection, programme: str, members: pa.Table) -> pa.Table:
    """The accounts that `members` have."""
    if not store.scalar(SQL["last_account"]):
        return MEMBERS.empty_table()
    return _for_ids(store, members, SQL["accounts"], MEMBERS, programme)


def issued(store: Connection, programme: str, members: pa.Table) -> pa.Table:
    """What `members` were ever given, less what was taken back or ended; spending does not count."""
    query = SQL["issued"].format(holding=SQL["holding"])
    return _for_ids(store, members, query, ISSUED, programme)


def pending(store: Connection, programme: str, members: pa.Table) -> pa.Table:
    """What `members` cannot spend yet, by the receipt that earned it."""
    return _for_ids(store, members, SQL["pending"], PENDING, programme)


def known(store: Connection, programme: Programme, customers: pa.Table) -> dict[str, pa.Table]:
    """What the rules must know of `customers`: their tiers, and what those rules gave that have caps or
    give once."""
    name = programme.programme
    found = {}
    if programme.tiers:
        tiers = store.arrow(SQL["known_tier"], KNOWN["known_tier"], programme=name)
        in_force = pc.is_in(tiers["tier"], pa.array(programme.tier_names))  # others are as none
        found["known_tier"] = tiers.filter(in_force)
    asking = [rule.rule for rule in programme.earn_rules if rule.hangs_on_others]
    if asking:
        values = {"programme": name, "rules": json.dumps(asking)}
        rules = store.listed("rules")
        budget = SQL["budget_before"].format(rules=rules)
        found["budget_before"] = store.arrow(budget, KNOWN["budget_before"], **values)
        query = SQL["given_before"].format(holding=SQL["holding"], rules=rules)
        found["given_before"] = _for_ids(store, customers, query, KNOWN["given_before"], **values)
    return found


def _for_ids(
    store: Connection, ids: pa.Table, query: str, schema: pa.Schema, programme: str, **more: str
) -> pa.Table:
    """What `query` tells of `ids`, each of which is there once."""
    store.run(SQL["want"])
    store.insert("wanted", ids.rename_columns(["id"]))
    found = store.arrow(query, schema, programme=programme, **more)
    store.run(SQL["drop_wanted"])
    return found


def open_accounts(
    store: Connection, programme: str, owners: pa.Table, *, are_new: bool = False
) -> int:
    """Make the accounts of `owners` (owner and bucket) that are missing, or all of them where they
    `are_new`; the issuance account."""
    count = owners.num_rows
    rows = {
        "programme": pa.repeat(programme, count),
        "owner_type": pa.repeat("member", count),
        "owner_id": owners["owner_id"],
        "bucket": owners["bucket"],
        "balance": pa.repeat(0, count),
    }
    if are_new and bulk.is_worth_it(count, int(store.scalar(SQL["last_account"]))):
        with bulk.anew(store, "account"):
            store.insert("account", pa.table(rows))
    else:
        store.insert_new("account", pa.table(rows))
    store.run(SQL["open_issuance"], programme=programme)
    return int(store.scalar(SQL["issuance"], programme=programme))


def insert(store: Connection, rows: pa.RecordBatchReader) -> int:
    """Post transfers and move the balances by exactly those that are new; how many were."""
    last = int(store.scalar(SQL["last_transfer"]))
    first = next(iter(rows), None)
    if first is None:
        return 0
    if new := _insert(store, chain([first], rows), bulk.is_worth_it(first.num_rows, last)):
        settle(store, last)
    return new


def _insert(store: Connection, batches: Iterable[pa.RecordBatch], in_bulk: bool) -> int:
    tables = (pa.Table.from_batches([batch]) for batch in batches)
    if not in_bulk:
        return sum(store.insert_new("transfer", table) for table in tables)
    with bulk.anew(store, "transfer"):
        return sum(store.insert("transfer", table) for table in tables)


def move_balances(store: Connection, after: int) -> None:
    """By the transfers numbered after `after`."""
    posted = "(select * from transfer where transfer_id > :after) as new"
    store.run(SQL["move_balances"].format(posted=posted), after=after)


def settle(store: Connection, after: int) -> None:
    """Move the balances and lots by the transfers numbered after `after`, which nobody else posts
    meanwhile."""
    move_balances(store, after)
    lots.settle(store, after + 1, int(store.scalar(SQL["last_transfer"])))


def advance(store: Connection, programme: str, as_of: datetime, files: pa.Table) -> None:
    """Remember that everything before `as_of` in `files` was looked at."""
    before = cursor(store, programme)
    names = pa.repeat(programme, files.num_rows)
    rows = pa.table({"programme": names, "file_id": files["file_id"]})
    store.insert_new("reward_file", rows)
    store.run(
        SQL["set_cursor"],
        programme=programme,
        as_of=clock.stamp(as_of),
        asserted_id=before.asserted_id if before else 0,
        asserted=before.asserted if before else 0,
    )


def check(store: Connection, programme: str, as_of: datetime, on: date) -> tuple[int, int]:
    """The last transfer, and what members hold less what they owe, as the transfers since the last
    assertion say; LedgerDiffers when the balances say otherwise.

    Only those transfers are summed: a night costs what the night brought.
    """
    before = cursor(store, programme)
    after, asserted = (before.asserted_id, before.asserted) if before else (0, 0)
    found = store.one(SQL["tie_out"], programme=programme, after=after) or {}
    expected, actual = asserted + int(found["moved"]), int(found["held"])
    if expected != actual:
        raise LedgerDiffers(expected=expected, actual=actual, as_of=as_of, on=on)
    return int(found["last_id"]), expected


def assert_balance(store: Connection, programme: str, as_of: datetime, on: date) -> None:
    """Record that balances equal transfers; LedgerDiffers when they do not."""
    last_id, expected = check(store, programme, as_of, on)
    before = cursor(store, programme)
    assert before is not None  # noqa: S101 - `advance` wrote it before
    said = LedgerDiffers(expected=expected, actual=expected, as_of=as_of, on=on).row
    store.run(SQL["assert_balance"], programme=programme, **said)
    store.run(
        SQL["set_cursor"],
        programme=programme,
        as_of=before.as_of,
        asserted_id=last_id,
        asserted=expected,
    )


def record_failure(store: Connection, programme: str, difference: LedgerDiffers) -> None:
    """Keep the assertion that failed."""
    store.run(SQL["assert_balance"], programme=programme, **difference.row)


def balance(store: Store, programme: str, customer_id: str) -> dict[str, int] | None:
    """The member's points by bucket; None when the member has no account."""
    with store.read() as connection:
        found = connection.all(SQL["balance"], programme=programme, customer_id=customer_id)
    return {row["bucket"]: row["balance"] for row in found} or None


def statement(store: Store, programme: str, customer_id: str) -> list[dict[str, Any]]:
    """Every transfer of a member, oldest posting first; `points` as `available` sees them."""
    with store.read() as connection:
        found = connection.all(SQL["statement"], programme=programme, customer_id=customer_id)
    return [dict(row) for row in found]


def ending(store: Store, programme: str, customer_id: str) -> list[dict[str, Any]]:
    """How many of a member's points end on which day, the soonest first."""
    with store.read() as connection:
        found = connection.all(SQL["ending"], programme=programme, customer_id=customer_id)
    return [{"expires_on": row["expires_on"], "points": int(row["points"])} for row in found]


def history(store: Store, programme: str, key: str) -> list[dict[str, Any]]:
    """The transfer under `key` and whatever moved the points it gave; empty when there is none."""
    with store.read() as connection:
        found = connection.all(SQL["history"], programme=programme, key=key)
    return [dict(row) for row in found]


@dataclass(frozen=True)
class Audit:
    """The whole ledger reckoned again from its transfers."""

    programme: str
    accounts: int
    transfers: int
    available: int
    debt: int
    differences: list[str]


def audit(store: Store, programme: Programme) -> Audit:
    """Recompute every balance and every earned amount, and look for damage; each difference is a sentence."""
    name = programme.programme
    with store.read() as connection:
        totals = connection.one(SQL["audit_totals"], programme=name) or {}
        differences = [
            *_balances(connection, name),
            *_lots(connection, name),
            *_assertion(connection, name),
            *damage.found(connection, name),
            *(
                said
                for rule in programme.earn_rules
                for rate in programme.rates()
                if rate["rule"] == rule.rule
                for said in _earns(connection, name, rule, rate)
            ),
        ]
    return Audit(
        name, **{key: int(value) for key, value in totals.items()}, differences=differences
    )


def elsewhere(store: Store, programme: Programme) -> list[str]:
    """A sentence for each other programme whose members have points, which nobody sees under this name; not
    for those that it begins beside on purpose."""
    name = programme.programme
    with store.read() as connection:
        rows = connection.all(SQL["elsewhere"], programme=name)
    return [
        f"{int(row['points']):,} points of {row['members']:,} members are in the ledger of "
        f"'{row['programme']}', and no till or message sees them while this file says 'programme: "
        f"{name}': receipts earn anew. Write 'programme: {row['programme']}' to go on with it, or "
        f"'beside: [{row['programme']}]' to begin another ledger beside it."
        for row in rows
        if row["programme"] not in programme.beside
    ]


def check_begun(store: Store, programme: Programme) -> None:
    """A programme that was renamed by mistake would give for every receipt once more.

    Raises:
        BadInput: it has no ledger yet, and another has one.
    """
    with store.read() as connection:
        has_begun = cursor(connection, programme.programme) is not None
    if not has_begun and (said := elsewhere(store, programme)):
        raise BadInput(f"{FILE}: {' '.join(said)} Nothing was posted.")


def _balances(store: Connection, programme: str) -> list[str]:
    return [
        f"{row['owner_id']} {row['bucket']}: balance {row['balance']:,}, "
        f"transfers {abs(int(row['transfers'])):,}"
        for row in store.all(SQL["wrong_balances"], programme=programme)
    ]


def _lots(store: Connection, programme: str) -> list[str]:
    """Balances that are not the sum of their lots, lots that are not the sum of their moves."""
    balances = store.all(LOTS["lots_differ"], programme=programme)
    moves = store.all(LOTS["moves_differ"], programme=programme)
    return [
        *(
            f"{row['owner_id']} {row['bucket']}: balance {row['balance']:,}, lots {row['lots']:,}"
            for row in balances
        ),
        *(
            f"lot of {row['idem_key']}: {row['remaining']:,} left, by its moves {row['moves']:,}"
            for row in moves
        ),
    ]


def _assertion(store: Connection, programme: str) -> list[str]:
    """The last night's assertion, if it failed."""
    row = store.one(SQL["last_assertion"], programme=programme)
    if row is None or row["expected"] == row["actual"]:
        return []
    return [
        f"{row['business_date']}: transfers come to {row['expected']:,}, balances to {row['actual']:,}"
    ]


def _earns(store: Connection, programme: str, rule: EarnRule, rate: Rate) -> list[str]:
    factor = 2 if rule.rounding == "nearest" else 1
    add = {"down": 0, "nearest": rate["denominator"], "up": rate["denominator"] - 1}[rule.rounding]
    found = store.all(
        SQL["earns_by_rule"],
        programme=programme,
        rule=rule.rule,
        version=rate["version"],
        points=rate["numerator"] * factor,
        add=add,
        per=rate["denominator"] * factor,
        is_capped=int(rule.cap != Cap()),
    )
    return [f"{row['idem_key']}: {row['amount']:,} points on {row['basis']:,}" for row in found]
