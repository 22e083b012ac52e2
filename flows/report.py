"""The report page, from what the day left behind."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow

from tessera.workspace import open_workspace


@flow(name="report")
def report(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """Write `report/index.html`; the counts on it."""
    from tessera.report import report as write

    return asdict(write(open_workspace(as_of, home=home)))
