"""Bad rows, planted on purpose and listed one by one."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

import duckdb
import pyarrow as pa

from tessera.store import queries


@dataclass(frozen=True)
class Defect:
    """One way to spoil a row of `feed`: in the export's `field`, seen in the canonical `column`."""

    feed: str
    column: str
    rule: str
    kind: str
    field: str  # for a second row with the same key: the fields of the key
    value: str  # SQL over the good row


@cache
def catalogue() -> tuple[Defect, ...]:
    """Every kind of bad row that is known."""
    text = resources.files(__package__).joinpath("defects.csv").read_text("utf-8")
    return tuple(Defect(**row) for row in csv.DictReader(text.splitlines()))


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Make the list that `plant` adds to."""
    db.register("incoming", pa.Table.from_pylist([asdict(defect) for defect in catalogue()]))
    for name in ("ways", "planted"):
        db.execute(queries("tessera.shop", "defects.sql")[name])
    db.unregister("incoming")


def plant(db: duckdb.DuckDBPyConnection, *, feed: str, file: str, rows: int, share: float) -> str:
    """Spoil `share` of the `rows` rows of table `good`, rounded down, and list them.

    Returns a query of the file's rows in order. Every column is text in it, because a bad value
    can stand in no other.
    """
    kinds = [defect for defect in catalogue() if defect.feed == feed]
    key = next(defect.field for defect in kinds if defect.rule == "duplicate_key")
    sql = queries("tessera.shop", "defects.sql")
    stem, _, _ = file.partition(".")
    variables = {"feed": feed, "file": file, "stem": stem, "bad_rows": int(rows * share)}
    for name, value in variables.items():
        db.execute(f"set variable {name} = $value", {"value": value})
    db.execute(sql["chosen"])
    db.execute(sql["spoilt"])
    values = " ".join(f"when {i} then {d.value or 'row_key'}" for i, d in enumerate(kinds))
    db.execute(
        sql["list"]
        .replace("$key", f"concat_ws('|', {', '.join(key.split())})")
        .replace("$value", f"case s.way {values} end")
    )
    columns = [name for name, *_ in db.execute("describe good").fetchall()]
    return f"select {', '.join(_shown(c, kinds) for c in columns)} from spoilt order by place"


def _shown(column: str, kinds: list[Defect]) -> str:
    cases = " ".join(
        f"when {i} then {d.value}" for i, d in enumerate(kinds) if d.field == column and d.value
    )
    text = f"{column}::varchar"
    return f"case way {cases} else {text} end as {column}" if cases else f"{text} as {column}"
