"""Messages whose hours are over: what was kept past them is put off, what nobody came to send is too late."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from tessera import clock
from tessera.send.outbox import NEVER, SQL, Outbox, next_hours
from tessera.send.versions import can_wait_until, versions


def end_late(outbox: Outbox, since: str) -> int:
    """Move what was kept past its hours to its next ones, as far as its campaign lets it, and cancel
    what else is late; how many. `since` this instant a run could not come to what was over."""
    values = {"moment": outbox.moment, "channel": outbox.channel}
    with outbox.ws.store.read() as connection:
        found = connection.all(SQL["late_hours"], **values, since=since, never=NEVER)
        known = versions(connection, found) if found else {}
    shop, moves = clock.zone(outbox.ws.settings.timezone), []
    for row in found:
        end = can_wait_until(known.get((row["campaign"], row["campaign_version"]), {}), row, shop)
        hours = next_hours(row, values["moment"], end)
        if hours["send_at"] < end:
            later = {f"next_{name}": instant for name, instant in hours.items()}
            later["next_day"] = _day(hours["send_at"], shop)  # a code may be over by then
            moves.append({**row, **later, "channel": outbox.channel, "at": outbox.at})
    if moves:
        with outbox.ws.store.write() as connection:
            connection.run_many(SQL["move_hours"], moves)
    return outbox.cancel_late()


def _day(instant: str, shop: ZoneInfo) -> str:
    return datetime.fromisoformat(instant).astimezone(shop).date().isoformat()
