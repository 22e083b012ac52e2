"""That the last build ended red: what was published before may not be true any more."""

from __future__ import annotations

from pathlib import Path

from tessera.home import Home
from tessera.warehouse.inputs import replace_text


def note(home: Home, what: str) -> None:
    """Remember, until the next green build, what was red."""
    replace_text(_path(home), what)


def forget(home: Home) -> None:
    """A build has ended green."""
    _path(home).unlink(missing_ok=True)


def found(home: Home) -> str | None:
    """What was red; None after a green build, or before any."""
    try:
        return _path(home).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _path(home: Home) -> Path:
    return home.dbt / "red.txt"
