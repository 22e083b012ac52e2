"""The audit log: who did what to what, and when; append-only, and never a person's data."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from datetime import date
from typing import Any

from tessera import clock
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera", "audit.sql")
EVERY = 2**62


def record(
    ws: Workspace, connection: Connection, action: str, subject: str, **detail: object
) -> None:
    """Note that the operator does `action` to `subject` (such as 'campaign winback'), in the
    transaction that does it. Of a person, `subject` is the hash that `tessera.person` gives."""
    connection.run(
        SQL["record"],
        at=clock.stamp(clock.now()),
        operator=operator(ws),
        action=action,
        subject=subject,
        detail=json.dumps(detail, sort_keys=True, default=str),
    )


def note(ws: Workspace, action: str, subject: str, **detail: object) -> None:
    """The same, of what took many transactions, or none, once it is done."""
    with ws.store.write() as connection:
        record(ws, connection, action, subject, **detail)


def operator(ws: Workspace) -> str:
    """Who is at work: the setting, or the operating system's user."""
    if ws.settings.operator:
        return ws.settings.operator
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user may have no name
        return f"user {os.getuid()}"


def entries(
    ws: Workspace,
    *,
    action: str | None = None,
    subject: str | None = None,
    since: date | None = None,
    limit: int | None = None,
) -> list[Mapping[str, Any]]:
    """The log, the latest first; from the day `since` (UTC) on."""
    with ws.store.read() as connection:
        rows = connection.all(
            SQL["entries"],
            action=action or "",
            subject=subject or "",
            since=since.isoformat() if since else "",
            limit=EVERY if limit is None else limit,
        )
    return [{**row, "detail": json.loads(row["detail"])} for row in rows]
