"""Expiry by inactivity: whoever earned or spent has all their points prolonged."""

from __future__ import annotations

from datetime import datetime

from tessera import clock
from tessera.reward.programme import Programme
from tessera.reward.terms import day_after
from tessera.store import Connection, queries

SQL = queries("tessera.reward", "night.sql")


def prolong(
    store: Connection, programme: Programme, zone: str, since: dict[str, object], on: str
) -> None:
    """Date the lots of those who spent, or (`is_earning`) earned, `since` a transfer (`after`, `at` a
    night's instant) from their last activity, as far as they had not ended by then; nothing where points
    do not end by inactivity."""
    if programme.expiry is None or programme.expiry.kind != "inactivity":
        return
    rows = []
    for row in store.all(SQL["active"], programme=programme.programme, **since):
        day = datetime.fromisoformat(row["effective_at"]).astimezone(clock.zone(zone)).date()
        last = programme.expiry.last_day(day)
        ends = {"expires_on": last.isoformat(), "expires_at": day_after(last, zone)}
        rows.append({**row, "business_date": on, **ends})
    store.run_many(SQL["prolong"], rows)
