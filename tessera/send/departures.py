"""The last request that left from this home, as its own file knows it: a store that does not is an older copy,
and would have everything sent again that left since it was made."""

from __future__ import annotations

import fcntl
import os

from tessera.errors import BadInput
from tessera.home import Home
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.send", "outbox.sql")


def note(home: Home, request: int) -> None:
    """This request is about to leave."""
    descriptor = os.open(home.last_request, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # several senders write it down at once
        if request > _number(os.pread(descriptor, 32, 0)):
            os.pwrite(descriptor, str(request).encode(), 0)  # over the last, which was no longer
    finally:
        os.close(descriptor)


def check(ws: Workspace) -> None:
    """BadInput where the store does not know the last request that left."""
    last = _last(ws.home)
    with ws.store.read() as store:
        known = store.scalar(SQL["last_request"]) or 0
    if last > known:
        raise BadInput(
            f"Request {last} has left from this home, and the store knows of {known} at most: it is an older copy, "
            "and what left since it was made would be sent again. Bring a newer one back; or, to go on from "
            "this one, take back what may have left already ('tessera send list', 'tessera send cancel') and "
            f"delete {ws.home.last_request}."
        )


def _last(home: Home) -> int:
    return _number(home.last_request.read_bytes()) if home.last_request.exists() else 0


def _number(text: bytes) -> int:
    """0 where none has left, or a machine went down before the disk had it."""
    return int(text) if text.strip().isdigit() else 0
