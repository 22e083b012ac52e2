"""Mail to the shop's own staff, at the one address the settings name for it, in plain sentences."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from markupsafe import escape

from tessera import clock
from tessera.addresses import mailbox
from tessera.errors import TesseraError
from tessera.say import Rendered
from tessera.say.slots import Part, Skeleton
from tessera.send.messengers import open_messenger
from tessera.send.messengers.base import Busy, Fate, Message
from tessera.workspace import Workspace

LOG = logging.getLogger("tessera.send")


@dataclass(frozen=True)
class Note:
    """One mail to the staff."""

    key: str  # of the same note written twice the same
    about: str
    subject: str
    lines: Sequence[str]


def address(ws: Workspace) -> str | None:
    """Where the staff is written to; None when it wants no mail."""
    return mailbox(ws.settings.staff_email or "")


def write(ws: Workspace, note: Note, now: datetime) -> bool:
    """Whether the messenger took it, or may have; what it definitely did not take may be tried again."""
    to = address(ws)
    if to is None:
        return False
    try:
        with closing(open_messenger(ws)) as messenger:
            answer = messenger.deliver([_message(ws, to, note, now)])
    except (Busy, TesseraError) as error:
        LOG.error("The staff could not be written to: %s", error)  # noqa: TRY400
        return False
    return all(outcome.fate is not Fate.LATER for outcome in answer.outcomes)


def _message(ws: Workspace, to: str, note: Note, now: datetime) -> Message:
    settings = ws.settings
    html = "".join(f"<p>{escape(line)}</p>" for line in note.lines)
    skeleton = Skeleton(Part([html], []), Part(["\n\n".join(note.lines) + "\n"], []))
    return Message(
        send_key=note.key,
        to=to,
        content=Rendered(note.subject, skeleton, (), "en"),
        sender_email=settings.sender_email,
        sender_name=" ".join(settings.sender_name.split()),
        unsubscribe=settings.public_url,
        campaign=note.about,
        send_at=now,
        timezone=settings.timezone,
        business_date=clock.business_date(now, settings.timezone).isoformat(),
        purpose="service",
    )
