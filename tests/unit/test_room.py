"""What is read of a lease's people and households before it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from tessera.send import room
from tessera.store import Store
from tests.sending import outbox_row

MANY = 2_000


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_first_lease_is_looked_up_message_by_message(store: Store) -> None:
    """PostgreSQL last counted when all were ready: it took those that are leased for one or two, and
    compared each with every message of the lease."""
    rows = [outbox_row(f"c{number}", tags="") for number in range(MANY)]
    with store.write() as connection:
        connection.insert_new("outbox", pa.Table.from_pylist(rows))
        connection.run("update outbox set state = 'leased'")
        people = json.dumps([row["customer_id"] for row in rows])
        query = room.SQL["near"].format(
            people=connection.listed("people"), households=connection.listed("households")
        )
        given = {
            "since": "2026-01-01",
            "within": "2026-01-01",
            "people": people,
            "households": "[]",
        }
        (plan,) = connection.one(f"explain (analyze, format json) {query}", **given).values()
    assert sum(map(compared, nodes(plan[0]["Plan"]))) < 2 * MANY


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def compared(node: dict[str, Any]) -> float:
    """Pairs that were no match."""
    return float(node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"])
