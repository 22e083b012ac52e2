"""Decide: judge every candidate and fill the outbox."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow

from tessera import decide as stage
from tessera.workspace import open_workspace


@flow(name="decide")
def decide(
    campaign: str | None = None,
    as_of: str | None = None,
    home: str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """One pass over the campaigns of the day, or over one whatever the day; again adds nothing."""
    ws = open_workspace(as_of, home=home)
    return asdict(stage.decide(ws, [campaign] if campaign else None, dry_run=dry_run))
