"""One message to whoever wants to see it arrive, as a made-up customer would get it."""

from __future__ import annotations

import secrets
from contextlib import closing
from dataclasses import dataclass, replace

from tessera import audit, clock
from tessera.addresses import address_hash, mailbox
from tessera.consent.suppression import ALL, scopes
from tessera.errors import BadInput
from tessera.say.links import links
from tessera.say.preview import written
from tessera.send.messengers import open_messenger
from tessera.send.messengers.base import Busy, Fate, Message
from tessera.workspace import Workspace

MARK = "[Test] "


@dataclass(frozen=True)
class Trial:
    """What is to be seen; `language` None: the shop's."""

    campaign: str
    step: str
    template: str
    language: str | None = None


def send(ws: Workspace, what: Trial, to: str) -> str:
    """Send it now, and say through which messenger; BadInput when it did not leave. It is in no
    outbox: no cap counts it, no code is taken for it, and its links are nobody's."""
    address = mailbox(to)
    if address is None:
        raise BadInput(f"'{to}' is no address that mail can be sent to.")
    with ws.store.read() as connection:
        if ALL in scopes(connection, address_hash(address)):
            raise BadInput("That address is suppressed: nothing is sent to it.")
    message = _message(ws, what, address)
    with closing(open_messenger(ws)) as messenger:
        try:
            (outcome,) = messenger.deliver([message]).outcomes
        except Busy as error:
            raise BadInput(f"The messenger cannot take it now ({error}); try again.") from None
        if outcome.fate is not Fate.ACCEPTED:
            raise BadInput(f"The messenger did not take it: {outcome.reason or outcome.fate}.")
        audit.note(ws, "send a test", f"campaign {what.campaign}", step=what.step)
        return messenger.name


def _message(ws: Workspace, what: Trial, address: str) -> Message:
    settings, now = ws.settings, clock.now()
    rendered = written(
        ws, what.template, campaign=what.campaign, step=what.step, language=what.language
    )
    return Message(
        send_key=f"test-{secrets.token_hex(8)}",
        to=address,
        content=replace(rendered, subject=MARK + rendered.subject),
        sender_email=settings.sender_email,
        sender_name=" ".join(settings.sender_name.split()),
        unsubscribe=links(settings.public_url, b"preview", "preview")["unsubscribe"],
        campaign=what.campaign,
        send_at=now,
        timezone=settings.timezone,
        business_date=clock.business_date(now, settings.timezone).isoformat(),
        purpose="service",
    )
