"""Who is unhappy should hear from somebody: of a low score the staff is told by mail, once per answer."""

from __future__ import annotations

from datetime import datetime, timedelta

from tessera.clock import stamp
from tessera.send import staff
from tessera.web.site import SQL
from tessera.workspace import Workspace

BELOW = 7
WITHIN = timedelta(days=7)  # what could not be told then is told with the next


def tell(ws: Workspace, now: datetime) -> int:
    """Write to the staff about every low answer they were not told of; how many. What the messenger
    definitely did not take is told another time, what it may have taken is not told again."""
    if staff.address(ws) is None:
        return 0
    with ws.store.write() as connection:
        values = {"below": BELOW, "since": stamp(now - WITHIN), "at": stamp(now)}
        keys = [row["send_key"] for row in connection.all(SQL["claim_alerts"], **values)]
    return sum(_tell(ws, key, now) for key in keys)


def _tell(ws: Workspace, send_key: str, now: datetime) -> bool:
    with ws.store.read() as connection:
        answer = connection.one(SQL["answer"], send_key=send_key) or {}
    subject = f"A customer answered {answer['score']} of 10"
    lines = [
        f"Customer {answer['customer_id']} would not recommend us: {answer['score']} of 10.",
        *filter(None, [answer["comment"]]),
        "'tessera answers --below 7' lists all of them, with what could be better.",
    ]
    taken = staff.write(ws, staff.Note(f"alert-{send_key}", "answers", subject, lines), now)
    if not taken:
        with ws.store.write() as connection:
            connection.run(SQL["unclaim_alert"], send_key=send_key)
    return taken
