"""Test helpers that a project built on Tessera can use too: a workspace in a scratch home."""

from __future__ import annotations

from pathlib import Path

from tessera import clock
from tessera.settings import CHECKOUT, Settings
from tessera.workspace import Workspace


def workspace(home: Path, as_of: str = "2026-03-31", **settings: object) -> Workspace:
    """A workspace in `home` that ignores the environment's `.env`; `as_of` as on the command line."""
    values = {"home": home, "project": CHECKOUT, "threads": 2, **settings}
    loaded = Settings(_env_file=None, **values)  # type: ignore[arg-type]
    return Workspace(loaded, clock.parse_as_of(as_of, loaded.timezone))
