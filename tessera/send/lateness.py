"""Messages whose hours are over: what was kept past them is put off, what nobody came to send is too late."""

from __future__ import annotations

from datetime import datetime

from tessera import clock
from tessera.clock import stamp
from tessera.send.lifeline import at_work_since
from tessera.send.outbox import NEVER, SQL, Outbox, channels, next_hours
from tessera.send.versions import can_wait_until
from tessera.workspace import Workspace


def end_all_late(ws: Workspace) -> int:
    """As `end_late`, of every channel and before a pass: it would count under the caps what is not sent any
    more, and take it for the step that the next one of a journey follows."""
    outboxes = [Outbox(ws, owner="", messenger="", channel=one) for one in channels(ws)]
    return sum(map(end_late, outboxes))


def end_late(outbox: Outbox) -> int:
    """Move what was kept past its hours to its next ones, as far as its campaign lets it, and cancel
    what else is late; how many. Kept is also what was over only since the sender began that has been at work
    the longest, or since the day's run began: they could not come to it."""
    began = min(at_work_since(outbox.ws.home.senders), outbox.ws.as_of)
    since = stamp(began) if outbox.is_live else outbox.moment
    values, zone = {"moment": outbox.moment, "channel": outbox.channel}, outbox.ws.settings.timezone
    with outbox.ws.store.read() as connection:
        found = connection.all(SQL["late_hours"], **values, since=since, never=NEVER)
        ends = can_wait_until(connection, found, clock.zone(zone))
    moves = []
    for row, end in zip(found, ends, strict=True):
        hours = next_hours(row, values["moment"], end)
        if hours["send_at"] < end:
            later = {f"next_{name}": instant for name, instant in hours.items()}
            leaves = clock.business_date(datetime.fromisoformat(hours["send_at"]), zone)
            later["next_day"] = leaves.isoformat()  # a code may be over by then
            moves.append({**row, **later, "channel": outbox.channel, "at": outbox.at})
    if moves:
        with outbox.ws.store.write() as connection:
            connection.run_many(SQL["move_hours"], moves)
    return outbox.cancel_late()
