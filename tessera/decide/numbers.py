"""Who goes by another number by now: somebody merged, or a prospect who became a customer. Their messages count
for who they are, under the caps, as content they have seen and in their journeys; so does what they chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tessera.store import queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "people.sql")
Tables = Mapping[str, pa.Table]


def follow(duck: DuckDBPyConnection, live: Tables) -> Tables:
    """The store's tables by the numbers of today. Not by a join: DuckDB tells the scan of an Arrow table
    what a join knows of its keys, which fails."""
    now = dict(duck.execute(SQL["known_as"]).fetchall())
    if not now:
        return live
    history, preference = live["history"], live["preference"]
    return {**live, "history": _renamed(history, now), "preference": _with_former(preference, now)}


def _renamed(history: pa.Table, now: Mapping[str, str]) -> pa.Table:
    place = history.column_names.index("customer_id")
    ids = history["customer_id"]
    found = pc.index_in(ids, value_set=pa.array(now, ids.type))
    named = pc.coalesce(pc.take(pa.array(now.values(), ids.type), found), ids)
    return history.set_column(place, history.schema.field(place), named)


def _with_former(preference: pa.Table, now: Mapping[str, str]) -> pa.Table:
    """With what was chosen under a former number, unless something was under today's."""
    ids, old, new = preference["customer_id"], pa.array(now), pa.array(set(now.values()))
    former = preference.filter(pc.is_in(ids, value_set=old)).to_pylist()
    own = preference.filter(pc.is_in(ids, value_set=new)).to_pylist()
    chosen = {(row["customer_id"], row["name"]) for row in own}
    added = {
        (now[row["customer_id"]], row["name"]): row["value"]
        for row in sorted(former, key=lambda row: row["customer_id"])
    }
    rows = [
        {"customer_id": who, "name": name, "value": value}
        for (who, name), value in added.items()
        if (who, name) not in chosen
    ]
    return pa.concat_tables([preference, pa.Table.from_pylist(rows, preference.schema)])
