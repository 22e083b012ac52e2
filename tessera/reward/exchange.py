"""Points that become a voucher by themselves, once a member has so many."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from tessera.reward import ledger
from tessera.reward.gifts import TRANSFER
from tessera.reward.night import CHUNK, Counts, Night
from tessera.reward.programme import Reward
from tessera.store import Connection, queries
from tessera.vouchers import codes, pool

SQL = queries("tessera.reward", "exchange.sql")
Row = dict[str, Any]


def exchange(night: Night) -> Counts:
    """A voucher for each full threshold of what every member has; so many members at a time. None
    whose last day is over: nobody's points are worth nothing."""
    today = night.ws.business_date
    reward = next((one for one in night.programme.rewards if one.at_points), None)
    if reward and (reward.voucher.last_day(today) or today) < today:
        reward = None
    given = 0
    while reward:
        with night.ws.store.write() as store:
            ledger.lock(store)
            found = _give(store, night, reward)
        given += found
        if not found:
            break
    return {"vouchers_given": given}


def _give(store: Connection, night: Night, reward: Reward) -> int:
    """The points are spent, and the vouchers there, in one transaction."""
    values = {"programme": night.name, "points": reward.at_points, "reward": reward.reward}
    rich = store.all(SQL["rich"], **values, most=CHUNK)
    if not rich:
        return 0
    store.run(SQL["open_redeemed"], programme=night.name)
    redeemed = store.scalar(SQL["redeemed"], programme=night.name)
    rows = [one for row in rich for one in _transfers(night, reward, dict(row))]
    spent = [{**row, "credit_id": redeemed} for row in rows]
    ledger.insert(store, pa.Table.from_pylist(spent, TRANSFER).to_reader())
    _vouchers(store, night, reward, rows)
    return len(rows)


def _transfers(night: Night, reward: Reward, row: Row) -> list[Row]:
    points = reward.at_points or 1
    whose = hashlib.sha256(row["owner_id"].encode()).hexdigest()[:16]  # a key tells nobody's name
    return [
        {
            "programme": night.name, "kind": "redeem", "amount": points,
            "idem_key": f"reward:{reward.reward}:{whose}:{row['before'] + number}",
            "debit_id": row["account_id"], "source_type": "reward", "source_id": reward.reward,
            "rule": reward.reward, "rule_version": reward.voucher.version(reward.reward),
            "effective_at": night.at, "posted_at": night.at, "business_date": night.on,
            "customer_id": row["owner_id"],
        }
        for number in range(row["balance"] // points)
    ]  # fmt: skip


def _vouchers(store: Connection, night: Night, reward: Reward, rows: list[Row]) -> None:
    """Each belongs to the transfer that paid for it, by whose key a message finds it."""
    made = codes.make(len(rows))
    people = [row["customer_id"] for row in rows]
    pool.add(
        store, reward.reward, reward.voucher, made, batch=None, at=night.ws.as_of,
        customers=people, day=night.ws.business_date,
    )  # fmt: skip
    keys = [row["idem_key"] for row in rows]
    grants = {"send_key": keys, "reward": [reward.reward] * len(rows), "code": made}
    store.insert_new("reward_grant", pa.table(grants))
