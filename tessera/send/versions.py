"""Campaigns as they were when their messages were decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tessera.send.outbox import SQL
from tessera.store import Connection

Row = Mapping[str, Any]


def versions(connection: Connection, rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """The campaign of each of `rows`, by its name and version, as it was written."""
    names = json.dumps(sorted({row["campaign"] for row in rows}))
    found = connection.all(SQL["versions"].format(names=connection.listed("names")), names=names)
    return {(row["campaign"], row["version"]): json.loads(row["body"]) for row in found}
