"""Referrals: whose friend somebody is, and what both get once the friend's first purchase is kept.

A friend is claimed once, by the first who brought them. Whether that is a friend, and not the same
person with a second card, is asked when the reward is due, of what the models know by then.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tessera import clock
from tessera.reward import cards
from tessera.reward.gifts import lasting
from tessera.reward.night import Night
from tessera.reward.points import Books, Posted
from tessera.reward.programme import Programme, load
from tessera.reward.terms import Terms
from tessera.store import Connection, queries
from tessera.vouchers import codes
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "referrals.sql")
CLAIM = SQL["claim"].format(is_first=SQL["is_first"])
TEXT = pa.string()
MERGED = pa.schema([(name, TEXT) for name in ("customer_id", "into_customer_id")])
OPEN = pa.schema([(name, TEXT) for name in ("customer_id", "referred_by", "device", "at")])
Row = Mapping[str, Any]


@dataclass(frozen=True)
class ReferralReport:
    """Counts of one night: friends whose first purchase was kept, and those who are none."""

    claimed: int
    rewarded: int
    refused: int
    waiting: int


def code_of(store: Connection, customer_id: str) -> str | None:
    """The member's own code, to be passed on."""
    found = store.scalar(SQL["code_of"], customer_id=customer_id)
    return codes.spoken(found) if found else None


def claim(
    store: Connection, customer_id: str, code: str | None, at: datetime, device: str | None = None
) -> bool:
    """Note who brought this customer, and by which device; whether the code is anybody's. The
    earliest claim counts."""
    referrer = store.scalar(SQL["whose_code"], code=codes.tidy(code)) if code else None
    if referrer is None and device is None:
        return False
    stamp = clock.stamp(at)
    store.run(CLAIM, customer_id=customer_id, referred_by=referrer, device=device, at=stamp)
    return referrer is not None


def device_hash(secret: bytes, said: str | None) -> str | None:
    """What a till's app said of the device, so that two may be compared and none be read."""
    return hmac.digest(secret, f"device:{said}".encode(), hashlib.sha256).hex() if said else None


def settle(ws: Workspace) -> ReferralReport:
    """Judge the friends whose first purchase was kept long enough, and reward both sides: a transfer
    each, under keys that follow from the friend and name nobody. Running it again rewards nobody twice."""
    programme = load(ws.project)
    rules = programme.referral
    with ws.store.write() as store:
        claimed = store.run(SQL["claim_signups"])
    if rules is None:
        return ReferralReport(claimed, 0, 0, 0)
    judged, tonight = _judged(ws, programme), Night(ws, programme)
    counts = {"rewarded": 0, "refused": 0, "waiting": 0}
    for row in judged:
        counts[_close(tonight, row)] += 1
    return ReferralReport(claimed, **counts)


def _judged(ws: Workspace, programme: Programme) -> list[Row]:
    """Every open referral with what stands against it (`why`), or the purchase that was kept."""
    with ws.store.read() as store:
        claims = {name: store.arrow(SQL[name], OPEN) for name in ("open", "settled", "devices")}
        merged = store.arrow(SQL["merged"], MERGED)
    if not claims["open"].num_rows:
        return []  # and no receipt is looked at
    with closing(ws.marts()) as duck:
        for name, rows in claims.items():
            duck.register(f"referral_{name}", rows)
        duck.register("referral_merged", merged)
        cards.of_models(duck)
        return _ask(duck, ws, programme)


def _ask(duck: DuckDBPyConnection, ws: Workspace, programme: Programme) -> list[Row]:
    rules = programme.referral
    assert rules is not None  # noqa: S101 -- asked by `settle`
    asked = {
        "as_of": clock.naive(ws.as_of),
        "kept_until": clock.naive(ws.as_of - timedelta(days=rules.kept_days)),
        "least": rules.min_purchase,
        "currency": programme.currency,
        "zone": programme.zone(ws.settings.timezone),
    }
    rows: list[Row] = duck.execute(SQL["judge"], asked).to_arrow_table().to_pylist()
    return rows


def _close(tonight: Night, row: Row) -> str:
    """Write the verdict and, in the same transaction, what follows from it."""
    if row["why"] == "waiting":
        return "waiting"
    rules = tonight.programme.referral
    assert rules is not None  # noqa: S101 -- asked by `settle`
    with tonight.ws.store.write() as store:
        referrer = row["referred_by"]
        why = row["why"] or _too_many(store, row["referrer_names"], rules.most)
        values = {"verdict": why or "rewarded", "receipt_id": row["receipt_id"], "at": tonight.at}
        if not store.run(SQL["close"], claimed_as=row["claimed_as"], **values) or why:
            return "refused"
        for side, customer_id, points in (
            ("friend", row["customer_id"], rules.friend_points),
            ("referrer", referrer, rules.points),
        ):
            if points:
                key = f"referral:{_nobody(row['claimed_as'])}:{side}"
                its = lasting(tonight, row[f"{side}_joined_on"])
                _give(tonight.books(store), key, customer_id, points, its)
    return "rewarded"


def _nobody(customer_id: str) -> str:
    """The friend in a key, which stays when they are erased."""
    return hashlib.sha256(customer_id.encode()).hexdigest()[:16]


def _give(books: Books, key: str, customer_id: str, points: int, its: Terms) -> None:
    done = books.grant(key=key, customer_id=customer_id, points=points, rule="referral", terms=its)
    assert isinstance(done, Posted)  # noqa: S101 -- a grant of points is never refused


def _too_many(store: Connection, names: Sequence[str], most: int | None) -> str | None:
    """A limit for who makes a business of it."""
    query = SQL["brought"].format(names=store.listed("names"))
    if most is None or store.scalar(query, names=json.dumps(names)) < most:
        return None
    return "limit"
