"""Hands mail to SendGrid: its own package builds the body, httpx carries it (with timeouts).

SendGrid has no idempotency key, so the messages' send keys travel in `custom_args` and come back
with every event; personal data goes nowhere but into the address and the content.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from sendgrid.helpers.mail import (
    Category,
    CustomArg,
    From,
    Header,
    Mail,
    Personalization,
    To,
)

from tessera import clock
from tessera.send.messengers.base import Answer, Busy, Fate, Message, Unusable, alike

TIMEOUT_SECONDS, CONNECT_SECONDS = 30.0, 10.0
AHEAD = timedelta(hours=72)  # the provider schedules no further
SOON = timedelta(minutes=1)
# The request did not leave, or was refused for what it is not: nothing was sent.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
OK, TOO_MANY, SERVER_ERROR = (200, 202), (408, 429), 500
OUR_FAULT = {
    401: "the key is wrong; check TESSERA_SENDGRID_API_KEY",
    403: "the key or the sender is not allowed to send; check both in the SendGrid account",
    404: "there is no mail API there; check TESSERA_SENDGRID_HOST",
    405: "there is no mail API there; check TESSERA_SENDGRID_HOST",
}


@dataclass
class SendGridMessenger:
    """One message per request: bodies differ from person to person."""

    api_key: str = field(repr=False)
    host: str = "https://api.sendgrid.com"
    compress: bool = False
    timeout_seconds: float = TIMEOUT_SECONDS
    name: str = "sendgrid"
    capacity: int = 1
    repeatable: bool = False
    schedules: bool = True

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            base_url=self.host,
            timeout=httpx.Timeout(self.timeout_seconds, connect=CONNECT_SECONDS),
            headers={"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"},
        )

    def deliver(self, messages: Sequence[Message]) -> Answer:
        (message,) = messages
        raw = json.dumps(body(message)).encode()
        headers = {"Content-Encoding": "gzip"} if self.compress else {}
        try:
            response = self._client.post(
                "/v3/mail/send",
                content=gzip.compress(raw, mtime=0) if self.compress else raw,
                headers=headers,
            )
        except NOT_SENT as error:
            raise Unusable(
                f"SendGrid at {self.host} cannot be reached ({error}); the messages wait."
            ) from error
        except httpx.HTTPError as error:
            return alike(messages, Fate.AMBIGUOUS, error=f"cut off: {type(error).__name__}")
        return judge(messages, response, self.host)

    def close(self) -> None:
        self._client.close()


def body(message: Message) -> dict[str, Any]:
    """The JSON of one `mail/send` request; Unusable when it is due later than can be scheduled."""
    person = Personalization()
    person.add_to(To(message.to))
    person.add_custom_arg(CustomArg("send_key", message.send_key))
    person.add_header(Header("List-Unsubscribe", f"<{message.unsubscribe}>"))
    person.add_header(Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    ahead = message.send_at - clock.now()
    if ahead > AHEAD:
        raise Unusable("SendGrid schedules at most 72 hours ahead; send nearer to the day.")
    if ahead > SOON:
        # The number itself: the package leaves its own SendAt object in the body.
        person.send_at = int(message.send_at.timestamp())
    mail = Mail(
        from_email=From(message.sender_email, message.sender_name),
        subject=message.subject,
        plain_text_content=message.text,
        html_content=message.html,
    )
    mail.add_personalization(person)
    mail.add_category(Category(message.campaign[:255]))
    found: dict[str, Any] = mail.get()
    return found


def judge(messages: Sequence[Message], response: httpx.Response, host: str) -> Answer:
    """What an answer means for every message of the request."""
    status = response.status_code
    if status in OK:
        provider_id = response.headers.get("X-Message-Id")
        return alike(messages, Fate.ACCEPTED, status_code=status, provider_id=provider_id)
    if status in TOO_MANY:
        raise Busy(f"SendGrid asks to wait ({status})", _wait_seconds(response))
    if status in OUR_FAULT or 300 <= status < 400:  # noqa: PLR2004
        why = OUR_FAULT.get(status, "it redirects elsewhere; check TESSERA_SENDGRID_HOST")
        raise Unusable(f"SendGrid at {host} answered {status}: {why}. The messages wait.")
    if status >= SERVER_ERROR:
        error = f"SendGrid answered {status}"
        return alike(messages, Fate.AMBIGUOUS, status_code=status, error=error)
    error = f"SendGrid answered {status}{_fields(response)}"
    return alike(messages, Fate.REJECTED, status_code=status, error=error)


def _wait_seconds(response: httpx.Response) -> float | None:
    reset = response.headers.get("X-RateLimit-Reset", "")
    return max(0.0, int(reset) - clock.now().timestamp()) if reset.isdigit() else None


def _fields(response: httpx.Response) -> str:
    """The fields it objects to; not its words, which may repeat the address."""
    try:
        errors = response.json()["errors"]
        names = [str(error["field"]) for error in errors if error.get("field")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f" about {', '.join(names)}" if names else ""
