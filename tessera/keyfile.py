"""Random keys that a home makes for itself, once, and keeps where nobody else reads them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def key_in(path: Path) -> str:
    """The key in this file; the first to ask makes it."""
    if not path.exists():
        _keep(path, secrets.token_hex(32))
    return path.read_text(encoding="ascii")


def _keep(path: Path, key: str) -> None:
    """Write it whole, readable by nobody else; of two processes at once the first wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    beside.touch(mode=0o600)
    beside.write_text(key, encoding="ascii")
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
