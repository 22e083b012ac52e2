"""Who is unhappy should hear from somebody: of a low score the staff is told by mail, once per answer."""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import datetime, timedelta

from markupsafe import escape

from tessera import clock
from tessera.addresses import mailbox
from tessera.consent.ledger import stamp
from tessera.say import Rendered
from tessera.say.slots import Part, Skeleton
from tessera.send.messengers import open_messenger
from tessera.send.messengers.base import Busy, Message, Unusable
from tessera.web.site import SQL, Row
from tessera.workspace import Workspace

LOG = logging.getLogger("tessera.web")
BELOW = 7
WITHIN = timedelta(days=7)  # what could not be told then is told with the next


def tell(ws: Workspace, now: datetime) -> int:
    """Write to the staff about every low answer they were not told of; how many. What the messenger
    definitely did not take is told another time, what it may have taken is not told again."""
    to = mailbox(ws.settings.staff_email or "")
    if to is None:
        return 0
    with ws.store.write() as connection:
        values = {"below": BELOW, "since": stamp(now - WITHIN), "at": stamp(now)}
        keys = [row["send_key"] for row in connection.all(SQL["claim_alerts"], **values)]
    return sum(_tell(ws, to, key, now) for key in keys)


def _tell(ws: Workspace, to: str, send_key: str, now: datetime) -> bool:
    with ws.store.read() as connection:
        answer = connection.one(SQL["alerted"], send_key=send_key) or {}
    try:
        with closing(open_messenger(ws)) as messenger:
            messenger.deliver([_message(ws, to, send_key, answer, now)])
    except (Busy, Unusable) as error:
        LOG.error("The staff could not be told of an answer: %s", error)  # noqa: TRY400
        with ws.store.write() as connection:
            connection.run(SQL["unclaim_alert"], send_key=send_key)
        return False
    return True


def _message(ws: Workspace, to: str, send_key: str, answer: Row, now: datetime) -> Message:
    settings = ws.settings
    subject = f"A customer answered {answer['score']} of 10"
    lines = [
        f"Customer {answer['customer_id']} would not recommend us: {answer['score']} of 10.",
        *filter(None, [answer["comment"]]),
        "'tessera answers --below 7' lists all of them, with what could be better.",
    ]
    html = "".join(f"<p>{escape(line)}</p>" for line in lines)
    skeleton = Skeleton(Part([html], []), Part(["\n\n".join(lines) + "\n"], []))
    return Message(
        send_key=f"alert-{send_key}",
        to=to,
        content=Rendered(subject, skeleton, (), "en"),
        sender_email=settings.sender_email,
        sender_name=" ".join(settings.sender_name.split()),
        unsubscribe=settings.public_url,
        campaign="answers",
        send_at=now,
        timezone=settings.timezone,
        business_date=clock.business_date(now, settings.timezone).isoformat(),
        purpose="service",
    )
