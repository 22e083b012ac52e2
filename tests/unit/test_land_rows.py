"""The rows that are made of a file's."""

from __future__ import annotations

import duckdb
import pytest

from tessera.land import rows
from tessera.land.table import Table

BASKETS = Table(
    {"no": "VARCHAR", "items": "INTEGER[]"},
    "(select i + 1 as _row_number, null::varchar as _row, 'R' || i as no, range(i % 4) as items"
    " from range(300000) as t(i))",
)


@pytest.mark.parametrize("in_order", [True, False])
def test_elements_are_numbered_in_order_and_only_where_they_must_be_by_sorting(
    in_order: bool,
) -> None:
    """Who sorts keeps the whole file in memory."""
    of, no = rows.spread(BASKETS, "items", in_order=in_order).relation, "cast(no[2:] as int)"
    with duckdb.connect() as duck:
        explained = duck.execute(f"explain from {of}").fetchall()[0][1]
        assert ("STREAMING_WINDOW" in explained) == in_order
        asked = (
            f"select count(*), count(*) filter (before > ({no}, coalesce(items, 0))) from (select *, "
            f"lag(({no}, coalesce(items, 0))) over (order by _row_number) as before from {of})"
        )
        assert duck.execute(asked).fetchall() == [(525_000, 0)]
