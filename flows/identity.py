"""Identity: customers who are on the register twice, where the project wants that every day."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow

from flows.runtime import in_words
from flows.validate import judge
from tessera.errors import BadInput
from tessera.land import land_engine
from tessera.person.duplicates import DuplicatesReport, look
from tessera.workspace import open_workspace


@flow(name="identity")
@in_words
def identity(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """Merge whoever is one person beyond doubt, by the front door, so that the day's models know of
    it; the rest is for somebody to look at. A day goes on without, and `skipped` says why."""
    ws = open_workspace(as_of, home=home)
    try:
        report = look(ws, with_merges=True)
    except BadInput as error:  # a shop without a register
        return {**asdict(DuplicatesReport(0, 0, 0)), "skipped": str(error)}
    if report.merged:
        land_engine(ws)
        judge(ws)
    return {**asdict(report), "skipped": None}
