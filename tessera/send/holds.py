"""Campaigns that are paused, resumed or cancelled, and who was not sent a message, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tessera import approval, audit, clock
from tessera.clock import stamp
from tessera.documents import nearest
from tessera.errors import BadInput
from tessera.send.outbox import NEVER, SQL
from tessera.send.recall import recall
from tessera.workspace import Workspace

Row = Mapping[str, Any]
UNSENT = ("ready", "leased", "calling", "ambiguous", "reconciled", "rejected", "cancelled")


def pause(ws: Workspace, campaign: str) -> int:
    """Nothing more of `campaign` leaves until it is resumed; how many messages wait."""
    waiting = _count(ws, campaign, "ready", "leased")
    with ws.store.write() as connection:
        connection.run(SQL["hold"], campaign=campaign, now=stamp(clock.now()))
        audit.record(ws, connection, "pause", f"campaign {campaign}", messages=waiting)
    recall(ws, campaign, "pause")
    return waiting


def resume(ws: Workspace, campaign: str) -> int:
    """Goes on with what was not sent; how many messages wait for it."""
    waiting = _count(ws, campaign, "ready", "leased")
    with ws.store.write() as connection:
        if not connection.run(SQL["unhold"], campaign=campaign):
            raise BadInput(
                f"Campaign '{campaign}' is not paused; 'tessera send list' says what is."
            )
        audit.record(ws, connection, "resume", f"campaign {campaign}", messages=waiting)
    recall(ws, campaign, "resume")
    return waiting


def cancel(ws: Workspace, campaign: str) -> int:
    """What of `campaign` has not left is never sent; how many messages."""
    _count(ws, campaign)
    with ws.store.write() as connection:
        kept = connection.run(SQL["cancel"], campaign=campaign, at=stamp(ws.as_of))
        connection.run(SQL["cancel_called"], campaign=campaign, never=NEVER)
        approval.count_again(connection, campaign)
        audit.record(ws, connection, "cancel", f"campaign {campaign}", messages=kept)
    return kept + recall(ws, campaign, "cancel")


def paused(ws: Workspace) -> list[Row]:
    """The campaigns that are paused, and since when."""
    with ws.store.read() as connection:
        return connection.all(SQL["on_hold"])


def unsent(
    ws: Workspace, *, campaign: str | None = None, day: str | None = None, state: str | None = None
) -> list[Row]:
    """Every message that was not sent, or of which nobody can know, with the reason; BadInput for a
    campaign, day or state that is none."""
    if campaign is not None:
        _count(ws, campaign)
    if day is not None:
        day = clock.parse_day(day, "--day").isoformat()
    if state is not None and state not in UNSENT:
        raise BadInput(f"--state '{state}' is none of the unsent; there are {', '.join(UNSENT)}.")
    with ws.store.read() as connection:
        return connection.all(SQL["unsent"], campaign=campaign, day=day, state=state)


def _count(ws: Workspace, campaign: str, *states: str) -> int:
    """How many messages of `campaign` are in `states`; BadInput when it never had any and has no file."""
    with ws.store.read() as connection:
        rows = connection.all(SQL["in_outbox"], campaign=campaign)
    if not rows and campaign not in (known := ws.campaigns()):
        said = f"There are no messages of a campaign '{campaign}', and no file of it."
        raise BadInput(said + nearest(campaign, known))
    return sum(row["messages"] for row in rows if row["state"] in states)
