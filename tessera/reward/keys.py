"""The keys that tills show: one or more per store, printed once, kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tessera import clock
from tessera.errors import BadInput
from tessera.store import Connection, queries

SQL = queries("tessera.reward", "keys.sql")
PATTERN = re.compile(r"till_([0-9a-f]{12})_([0-9A-Za-z_-]{43})")
Row = Mapping[str, Any]


def make(store: Connection, store_id: str, at: datetime) -> str:
    """A new key of this store; whoever loses it makes another one."""
    if not store_id.strip():
        raise BadInput("A till's key belongs to a store; name it.")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    store.run(
        SQL["add"], key_id=key_id, store_id=store_id, hash=_hash(secret),
        at=clock.stamp(at),
    )  # fmt: skip
    return f"till_{key_id}_{secret}"


def store_of(store: Connection, key: str) -> str | None:
    """The store whose key this is; None for a wrong one and for one that was revoked."""
    found = PATTERN.fullmatch(key)
    row = store.one(SQL["find"], key_id=found[1]) if found else None
    # A key that does not exist takes as long as one that is wrong.
    kept = row["hash"] if row else _hash("")
    is_right = hmac.compare_digest(kept, _hash(found[2] if found else "-"))
    return str(row["store_id"]) if row and is_right else None


def revoke(store: Connection, key_id: str, at: datetime) -> None:
    """The key opens nothing any more; BadInput when there is none like it."""
    if not store.run(SQL["revoke"], key_id=key_id, at=clock.stamp(at)):
        raise BadInput(f"No key '{key_id}' is in force; see 'tessera till keys'.")


def listed(store: Connection) -> list[Row]:
    """Every key that was ever made, without its secret: of which store, since when and until when."""
    return store.all(SQL["all"])


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # 256 random bits need no salt
