"""What to recommend to each customer of a home: the next basket, under the shop's rules."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from tessera.know import sales
from tessera.know.baskets import Baskets, Taste, candidates, tune
from tessera.store import queries

SQL = queries("tessera.know", "recommendations.sql")
OWN, OTHER = 14, 10  # of which the rules leave ten


def choose(connection: duckdb.DuckDBPyConnection) -> tuple[pa.Table, Taste]:
    """Up to ten products per customer with rank and kind, from the tables of `sales`; and the taste
    that they were found with."""
    found, taste = _candidates(_baskets(connection))
    connection.register("found", found)
    connection.execute(SQL["companion"])
    chosen = connection.execute(SQL["chosen"]).to_arrow_table()
    connection.unregister("found")
    return chosen, taste


def _baskets(connection: duckdb.DuckDBPyConnection) -> Baskets:
    rows = connection.execute(sales.SQL["baskets"]).fetchnumpy()
    customer, item, age = (np.asarray(rows[name], np.int64) for name in ("customer", "item", "age"))
    people, items = connection.execute(
        "select (select count(*) from person), (select count(*) from article)"
    ).fetchall()[0]
    return Baskets(customer, item, age, people, items)


def _candidates(baskets: Baskets) -> tuple[pa.Table, Taste]:
    taste = tune(baskets)
    items, scores = candidates(baskets, taste, OWN, OTHER)
    who, place = np.nonzero(items >= 0)
    found = pa.table(
        {
            "customer": who.astype(np.int32),
            "item": items[who, place].astype(np.int32),
            "score": scores[who, place],
            "place": place.astype(np.int32),
            "is_own": place < OWN,
        }
    )
    return found, taste
