"""Tiers: upwards at once, downwards when a tier's time is over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from tessera.quoting import literal
from tessera.reward.programme import Programme, Tiers
from tessera.reward.terms import add_months, day_starts
from tessera.store import Connection, queries

SQL = queries("tessera.reward", "tiers.sql")
COUNT = ("earn", "adjust", "clawback")  # the kinds of transfers that count for a tier
WORTH = SQL["worth"].format(kinds=", ".join(map(literal, COUNT)))
TEXT, WHOLE = pa.string(), pa.int64()
MOVE = pa.schema(
    [(name, TEXT) for name in ("programme", "customer_id", "business_date")]
    + [("position", WHOLE)]
    + [(name, TEXT) for name in ("tier", "previous_tier", "reason")]
    + [("qualifying", WHOLE), ("until", TEXT)]
)


def level(tiers: Tiers, points: int) -> int:
    """Which level so many points reach; 0 is none."""
    return sum(points >= one.least for one in tiers.levels)


def reviewed(tiers: Tiers, now: int, points: int) -> int:
    """The level after a tier's time is over."""
    reached = level(tiers, points)
    if reached >= now or tiers.downgrade == "never":
        return max(reached, now)
    return now - 1 if tiers.downgrade == "one_down" else reached


def until(tiers: Tiers, on: date) -> date:
    """The last day of a tier that begins on `on`, its grace included."""
    return add_months(on, tiers.keep_months) + timedelta(days=tiers.grace_days)


def told(programme: Programme | None, on: date, zone: str) -> dict[str, Any]:
    """What the models must know to say how far it is to the next tier: the levels, lowest first, which
    transfers count, and the instant since when they do on the morning of `on`."""
    known = {"programme": programme.programme if programme else "none", "kinds": list(COUNT)}
    if programme is None or programme.tiers is None:
        return {**known, "since": "1970-01-01 00:00:00", "levels": []}
    since = datetime.fromisoformat(day_starts(add_months(on, -programme.tiers.months), zone))
    levels = [{"tier": one.tier, "least": one.least} for one in programme.tiers.levels]
    return {**known, "since": f"{since:%Y-%m-%d %H:%M:%S}", "levels": levels}


def review(
    store: Connection,
    programme: str,
    tiers: Tiers,
    *,
    on: date,
    at: str,
    zone: str,
    after: int | None,
) -> int:
    """Move members up who earned since this was last done (or transfer `after`, where no night noted it), or
    all who may where the levels are others than last time; or, without it, review the tiers that ended before
    `on`. All by what was earned before `at`; how many moved or stay for another term."""
    values = {"programme": programme}
    store.run(SQL["current"], **values)
    if after is None:
        store.run(SQL["ending"], business_date=on.isoformat())
    else:
        levels, known = _levels(tiers), store.one(SQL["known_levels"], **values)
        if known is None or known["step"] != levels:
            store.run(SQL["everybody"], **values)
        else:
            after = json.loads(known["counts"]).get("through", after)
            store.run(SQL["risen"], **values, after=after, today=day_starts(on, zone))
        store.run(SQL["know_levels"], **values, business_date=on.isoformat(), step=levels, at=at)
    since = day_starts(add_months(on, -tiers.months), zone)
    found = store.all(WORTH, **values, since=since, until=at)
    moves = [move for row in found if (move := _move(tiers, row, on, is_ending=after is None))]
    store.insert_new("tier_move", pa.Table.from_pylist([values | one for one in moves], MOVE))
    for table in ("reviewed", "tier_now"):
        store.run(f"drop table {table}")
    return len(moves)


def _levels(tiers: Tiers) -> str:
    """What makes a tier, as the nights keep it."""
    said = [f"{one.tier} {one.least}" for one in tiers.levels]
    return f"tiers: {tiers.months} months, {', '.join(said)}"


def _move(
    tiers: Tiers, row: Mapping[str, Any], on: date, *, is_ending: bool
) -> dict[str, Any] | None:
    names = ["", *(one.tier for one in tiers.levels)]
    now = names.index(row["tier"]) if row["tier"] in names else 0
    points = row["qualifying"]
    then = reviewed(tiers, now, points) if is_ending else max(level(tiers, points), now)
    if then == now and not is_ending:
        return None
    reason = "reached" if then > now else "kept" if names[then] == row["tier"] else "fell"
    last = row["business_date"] or ""
    day = max(last, on.isoformat())  # a night of a day before goes on from the last move
    return {
        "customer_id": row["customer_id"],
        "business_date": day,
        "position": row["position"] + 1 if day == last else 0,
        "tier": names[then],
        "previous_tier": row["tier"],
        "reason": reason,
        "qualifying": points,
        "until": until(tiers, date.fromisoformat(day)).isoformat() if then else None,
    }
