"""Identity: customers who are on the register twice, where the project wants that every day."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow

from tessera.person import duplicates
from tessera.workspace import open_workspace


@flow(name="identity")
def identity(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """Merge whoever is one person beyond doubt; the rest is for somebody to look at."""
    return asdict(duplicates.look(open_workspace(as_of, home=home), with_merges=True))
