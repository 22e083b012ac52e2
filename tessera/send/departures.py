"""The last request that left from this home, as its own file knows it: a store that does not is an older copy,
and would have everything sent again that left since it was made."""

from __future__ import annotations

from tessera.errors import BadInput
from tessera.home import Home
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.send", "outbox.sql")


def note(home: Home, request: int) -> None:
    """This request is about to leave."""
    if request > _last(home):
        beside = home.last_request.with_suffix(".part")
        beside.write_text(str(request), encoding="utf-8")
        beside.replace(home.last_request)


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
    """0 where none has left, or the disk ended with the file half-written."""
    try:
        return int(home.last_request.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return 0
