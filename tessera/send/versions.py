"""Campaigns as they were when their messages were decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tessera import clock
from tessera.clock import stamp
from tessera.send.outbox import SQL
from tessera.store import Connection, Store

Row = Mapping[str, Any]


def versions(connection: Connection, rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """The campaign of each of `rows`, by its name and version, as it was written."""
    names = json.dumps(sorted({row["campaign"] for row in rows}))
    found = connection.all(SQL["versions"].format(names=connection.listed("names")), names=names)
    return {(row["campaign"], row["version"]): json.loads(row["body"]) for row in found}


def priorities(store: Store) -> dict[str, int]:
    """The priority of every campaign that was ever decided, by its name and version."""
    with store.read() as connection:
        found = connection.all(SQL["all_versions"])
    bodies = {f"{row['campaign']} {row['version']}": json.loads(row["body"]) for row in found}
    return {name: int(body.get("priority", 0)) for name, body in bodies.items()}


def can_wait_until(connection: Connection, rows: Sequence[Row], shop: ZoneInfo) -> list[str]:
    """The instants after which each of `rows` is not put off to, as its campaign says: its own hours move
    along. Where a row has the `last_day` of its code, no later than that."""
    known = versions(connection, rows) if rows else {}
    bodies = (known.get((row["campaign"], row["campaign_version"]), {}) for row in rows)
    return [min(map(stamp, _ends(body, row, shop))) for body, row in zip(bodies, rows, strict=True)]


def _ends(body: Row, row: Row, shop: ZoneInfo) -> Iterator[datetime]:
    yield datetime.max.replace(tzinfo=UTC)
    due = datetime.fromisoformat(row["send_at"]).astimezone(clock.zone_or(row["timezone"], shop))
    if body.get("on_cap") == "drop":
        yield due
    first = date.fromisoformat(row["business_date"])
    if days := body.get("valid"):  # since the step was due; it was planned then or later
        yield clock.day_ends(first + timedelta(days=int(days[:-1])), shop)
    if hours := body.get("valid_hours"):  # since it was due first
        yield datetime.combine(first, due.time(), due.tzinfo) + timedelta(hours=hours)
    if last := row.get("last_day"):  # of its code
        yield clock.day_ends(last, shop)
    if said := body.get("not_after"):
        end = datetime.fromisoformat(said)
        if "T" not in said:
            end = clock.day_ends(end.date(), shop)
        yield end if end.tzinfo else end.replace(tzinfo=shop)
