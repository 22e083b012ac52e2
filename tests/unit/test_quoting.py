"""Values inside SQL come out as they went in."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import pytest

from tessera.quoting import constant

NOON = datetime(2026, 3, 31, 12, 30, 5, 7)  # noqa: DTZ001 - as the columns of the marts are


@pytest.mark.parametrize(
    "value",
    ["it's", "", "a ? {b} -- c", 5, -(2**62), 0.1, 1e300, float("inf"), True, False, None, date(2024, 2, 29),
     NOON, ["x", "y'"], [1, 2], [date(2026, 1, 1)]],
)  # fmt: skip
def test_a_constant_is_the_value_it_was(value: object) -> None:
    assert duckdb.execute(f"select {constant(value)}").fetchall() == [(value,)]


def test_an_instant_keeps_its_zone() -> None:
    query = f"select {constant(NOON.replace(tzinfo=UTC))} = '2026-03-31 14:30:05.000007+02'::timestamptz"
    assert duckdb.execute(query).fetchall() == [(True,)]
