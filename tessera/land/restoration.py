"""Validated files that were lost, made again from what was landed: the models would miss their rows, and
the day would go on as if they had never come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from tessera.errors import BadInput
from tessera.land import manifest, quarantine
from tessera.land.land import ENGINE
from tessera.land.verdict import READMITTED
from tessera.parquet import is_whole
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.land", "verdict.sql")


def restore(ws: Workspace) -> None:
    """Put back the good rows of accepted files that `validated/` has no more, or not to their end. Where
    nobody can tell any more which rows were bad, all are judged again. BadInput names the first file of which
    what was landed is lost too, or that the store knows nothing of."""
    manifest.check(ws)
    with ws.store.read() as store:
        accepted, pending = store.all(SQL["accepted"]), store.all(SQL["pending"])
    gone = [row for row in accepted if not is_whole(quarantine.good_rows(ws.home, **_place(row)))]
    for row in (*gone, *pending):
        if not _is_there(ws, row):
            _give_up(ws, row)
    for row in gone:
        if _is_there(ws, row):  # or it was forgotten
            _restore(ws, row)


def _is_there(ws: Workspace, row: Mapping[str, Any]) -> bool:
    return is_whole(manifest.path(ws.home, **_place(row)))


def _place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"feed": row["feed"], "file_id": row["file_id"]}


def _give_up(ws: Workspace, row: Mapping[str, Any]) -> None:
    """What was landed is lost. Of the engine's own files what their days have now was exported anew."""
    if row["source"] == ENGINE:
        manifest.forget(ws, row["file_id"])
        return
    name, path = row["name"], manifest.path(ws.home, **_place(row))
    again = "" if row["source"] == READMITTED else f"land '{name}' again, or "
    raise BadInput(
        f"{path} is lost or was cut short: the models would miss the rows of '{name}'. To go on, {again}bring "
        f"{path.parent} back from a backup, and run the day again."
    )


def _restore(ws: Workspace, row: Mapping[str, Any]) -> None:
    landed, bad = (where(ws.home, **_place(row)) for where in (manifest.path, quarantine.bad_rows))
    if not row["bad_rows"]:
        quarantine.put_good(ws.home, landed, (), **_place(row))
    elif row["source"] != READMITTED and is_whole(bad):
        numbers = pq.read_table(bad, columns=["row_number"])["row_number"].to_numpy()
        quarantine.put_good(ws.home, landed, numbers, **_place(row))
    else:
        manifest.judge_rows_again(ws, row["file_id"])
