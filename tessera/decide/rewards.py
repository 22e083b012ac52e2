"""What goes with a message: how much of each reward is left, and codes nobody can guess."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from tessera.decide import campaigns
from tessera.decide.tables import REWARD
from tessera.store import Connection, queries

SQL = queries("tessera.decide", "outbox.sql")
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: they are misread
LENGTH = 12  # 60 bits


def left(store: Connection, project: Path) -> pa.Table:
    """`reward`: the rewards with a limit, and how many are left."""
    given = {row["reward"]: row["given"] for row in store.all(SQL["rewards_given"])}
    rows = [
        {"reward": name, "remaining": said["limit"] - given.get(name, 0)}
        for name, said in campaigns.rewards(project).items()
        if said.get("limit") is not None
    ]
    return pa.Table.from_pylist(rows, REWARD)


def with_codes(grants: pa.Table) -> pa.Table:
    """The grants, each with a code of its own."""
    return grants.append_column("code", pa.array(list(_codes(grants.num_rows)), pa.string()))


def _codes(count: int) -> Iterator[str]:
    for _ in range(count):
        yield _spell(secrets.token_bytes(LENGTH))


def _spell(chance: Sequence[int]) -> str:
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in chance)
