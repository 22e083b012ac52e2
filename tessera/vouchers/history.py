"""Redemptions that another system wrote down: taken in as they were, each once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from tessera import clock, quoting
from tessera.errors import BadInput
from tessera.store import queries
from tessera.vouchers import codes, pool
from tessera.vouchers.terms import Terms
from tessera.workspace import Workspace

SQL = queries("tessera.vouchers", "history.sql")
ELSEWHERE = "elsewhere"  # no till of ours


@dataclass(frozen=True)
class Taken:
    """Rows of the file, and what of them was new."""

    rows: int
    unusable: int  # without a code or a day
    codes: int
    redemptions: int
    customers: int


def take_in(
    ws: Workspace, path: Path, reward: str, terms: Terms, *, code: str, customer: str, on: str
) -> Taken:
    """Every row of `path` is one redemption; its code becomes one of `reward` if it is none yet.

    A row's name follows from its code, customer, day and how many alike came before it, so that
    the file again, or a longer one, adds only what is new.
    """
    with duckdb.connect() as duck:
        _read(duck, path, {"code": code, "customer": customer, "on": on}, ws.settings.timezone)
        rows, unusable, people = duck.execute(SQL["counts"]).fetchall()[0]
        uses = duck.execute(SQL["codes"]).to_arrow_table()
        redemptions = duck.execute(SQL["redemptions"], {"store": ELSEWHERE}).to_arrow_table()
        members = duck.execute(SQL["members"]).to_arrow_table()
        used = duck.execute(SQL["uses"]).to_arrow_table()
    with ws.store.write() as store:
        kept = pool.keep_terms(store, reward, terms)
        columns = {
            "reward": pa.repeat(reward, uses.num_rows),
            "terms": pa.repeat(kept, uses.num_rows),
            "batch": pa.repeat(ELSEWHERE, uses.num_rows),
            "made_at": pa.repeat(clock.stamp(clock.now()), uses.num_rows),
        }
        for name, column in columns.items():
            uses = uses.append_column(name, column)
        made = store.insert_new("voucher", uses)
        new = store.insert_new("redemption", redemptions)
        store.insert_new("redemption_member", members)
        store.insert_new("voucher_use", used)
        store.run_many(SQL["more_uses"], uses.select(["code"]).to_pylist())
    return Taken(rows, unusable, made, new, people)


def _read(
    duck: duckdb.DuckDBPyConnection, path: Path, columns: dict[str, str], timezone: str
) -> None:
    """The file's three columns as text, into the temporary table `told`."""
    kind = "parquet" if path.suffix == ".parquet" else "csv"
    source = {"parquet": "read_parquet($path)", "csv": "read_csv($path, all_varchar = true)"}[kind]
    names = {name: quoting.name(column) for name, column in columns.items()}
    try:
        query = SQL["told"].format(source=source, **names)
        read = {"seen": codes.SEEN, "meant": codes.MEANT, "ignored": codes.IGNORED}
        duck.execute(query, {"path": str(path), "zone": timezone, **read})
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{path} cannot be taken in: {reason}") from None
