"""Answers to whether people would recommend the shop, for those who can change something."""

from __future__ import annotations

from datetime import timedelta

from tessera.consent.ledger import stamp
from tessera.store import queries
from tessera.store.store import Row
from tessera.workspace import Workspace

SQL = queries("tessera.hear", "answers.sql")


def latest(ws: Workspace, *, below: int, days: int) -> list[Row]:
    """The last answer to each message, below a score, the newest first."""
    since = stamp(ws.as_of - timedelta(days=days))
    with ws.store.read() as connection:
        return connection.all(SQL["latest"], below=below, since=since, until=stamp(ws.as_of))
