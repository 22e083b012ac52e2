"""The one letter the pages write themselves: does this address want to hear from us?"""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import datetime

from tessera import clock
from tessera.say import Templates
from tessera.say.preview import shop
from tessera.send.messengers import open_messenger
from tessera.send.messengers.base import Busy, Message, Unusable
from tessera.tokens import CONFIRM
from tessera.web.site import Refusal, Row
from tessera.workspace import Workspace

LOG = logging.getLogger("tessera.web")
TEMPLATE, CAMPAIGN = "signup/confirm", "signup"


def confirmation(
    ws: Workspace, signup: Row, token: str, now: datetime, invited_by: str | None = None
) -> None:
    """Send it now; Refusal when the messenger does not take it: people may ask again."""
    message = _message(ws, signup, token, now, invited_by)
    try:
        with closing(open_messenger(ws)) as messenger:
            messenger.deliver([message])
    except (Busy, Unusable) as error:
        LOG.error("A confirmation mail could not be sent: %s", error)  # noqa: TRY400 -- no traceback
        raise Refusal("no_mail", 503) from None


def _message(
    ws: Workspace, signup: Row, token: str, now: datetime, invited_by: str | None
) -> Message:
    settings = ws.settings
    base = settings.public_url.rstrip("/")
    page = f"{base}/{CONFIRM}/{token}"
    decline = f"{page}/no"
    links = {"confirm": page, "unsubscribe": decline, "preferences": decline, "shop": base}
    campaign = {"name": CAMPAIGN, "step": "confirm", "occurrence": signup["signup_id"]}
    data = {
        "given_name": signup["given_name"],
        "links": links,
        "campaign": campaign,
        "referral": {"invited_by": invited_by},
    }
    rendered = Templates(ws.project / "templates", settings.language).render(
        TEMPLATE, signup["language"], {**data, "shop": shop(ws)}
    )
    return Message(
        send_key=signup["signup_id"],
        to=signup["email"],
        content=rendered,
        sender_email=settings.sender_email,
        sender_name=" ".join(settings.sender_name.split()),
        unsubscribe=decline,
        campaign=CAMPAIGN,
        send_at=now,
        timezone=settings.timezone,
        business_date=clock.business_date(now, settings.timezone).isoformat(),
        purpose="service",
    )
