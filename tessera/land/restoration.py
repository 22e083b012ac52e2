"""Validated files that were lost, made again from what was landed: the models would miss their rows, and
the day would go on as if they had never come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from tessera.errors import BadInput
from tessera.home import Home
from tessera.land import manifest, quarantine
from tessera.land.verdict import READMITTED
from tessera.parquet import is_whole
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.land", "verdict.sql")


def restore(ws: Workspace) -> int:
    """Put back the good rows of accepted files that `validated/` has no more, or not to their end; how many
    files. BadInput names the first of which what was landed is lost too, or that the store knows nothing of."""
    manifest.check(ws)
    with ws.store.read() as store:
        accepted = store.all(SQL["accepted"])
    gone = [row for row in accepted if not is_whole(quarantine.good_rows(ws.home, **_place(row)))]
    for row in gone:
        _restore(ws.home, row)
    return len(gone)


def _place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"feed": row["feed"], "file_id": row["file_id"]}


def _restore(home: Home, row: Mapping[str, Any]) -> None:
    landed = manifest.path(home, **_place(row))
    bad = quarantine.bad_rows(home, **_place(row))
    has_bad = bool(row["bad_rows"])
    if not is_whole(landed) or (has_bad and (row["source"] == READMITTED or not is_whole(bad))):
        raise BadInput(
            f"{quarantine.good_rows(home, **_place(row))} is lost or was cut short, and so is what it was "
            f"made from, the file '{row['name']}': the models would miss its rows. Bring "
            f"{landed.parent} and {bad.parent} back from a backup and run the day again."
        )
    numbers = pq.read_table(bad, columns=["row_number"])["row_number"].to_numpy() if has_bad else ()
    quarantine.put_good(home, landed, numbers, **_place(row))
