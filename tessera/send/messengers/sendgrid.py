"""Hands mail to SendGrid: its own package builds the body, httpx carries it (with timeouts).

SendGrid has no idempotency key, so the messages' send keys travel in `custom_args` and come back
with every event; personal data goes nowhere but into the address and the content. People whose
mails have the same skeleton share one request, what differs between them as substitutions.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import httpx
from sendgrid.helpers.mail import (
    Asm,
    BatchId,
    Category,
    CustomArg,
    From,
    Header,
    Mail,
    MailSettings,
    Personalization,
    SandBoxMode,
    To,
)

from tessera import clock
from tessera.say.slots import tags
from tessera.send.messengers.base import (
    Answer,
    Busy,
    Fate,
    Message,
    Outcome,
    Unusable,
    alike,
)
from tessera.send.messengers.http import NOT_SENT

TIMEOUT_SECONDS, CONNECT_SECONDS = 30.0, 10.0
AHEAD = timedelta(hours=72)  # the provider schedules no further
SOON = timedelta(minutes=1)
PEOPLE = 1000  # per request
SUBSTITUTION_BYTES = 10_000  # tags and values of one person
TAG_BYTES = 16
OK, TOO_MANY, SERVER_ERROR, TOO_LARGE = (200, 202), (408, 429), 500, 413
OUR_FAULT = {
    401: "the key is wrong; check TESSERA_SENDGRID_API_KEY",
    403: "the key or the sender is not allowed to send; check both in the SendGrid account",
    404: "there is no mail API there; check TESSERA_SENDGRID_HOST",
    405: "there is no mail API there; check TESSERA_SENDGRID_HOST",
    415: "it does not take compressed requests; unset TESSERA_SENDGRID_GZIP",
}
OUR_FIELDS = {
    "from": "TESSERA_SENDER_EMAIL and TESSERA_SENDER_NAME",
    "asm": "TESSERA_SENDGRID_ASM_GROUP",
    "mail_settings": "TESSERA_SENDGRID_SANDBOX",
}
CULPRIT = re.compile(r"^personalizations[.\[](\d+)")


@dataclass
class SendGridMessenger:
    """Up to a thousand messages per request."""

    api_key: str = field(repr=False)
    host: str = "https://api.sendgrid.com"
    compress: bool = False
    asm_group: int | None = None
    sandbox: bool = False
    timeout_seconds: float = TIMEOUT_SECONDS
    name: str = "sendgrid"
    channel: str = "email"
    capacity: int = PEOPLE
    repeatable: bool = False
    schedules: bool = True

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            base_url=self.host,
            timeout=httpx.Timeout(self.timeout_seconds, connect=CONNECT_SECONDS),
            headers={"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"},
        )

    def together(self, message: Message) -> Hashable:
        content = message.content
        size = sum(len(value.encode()) + TAG_BYTES for value in content.values)
        if not content.values or size > SUBSTITUTION_BYTES:
            return message.send_key  # a request of its own
        return id(content.skeleton), message.campaign, message.purpose, message.batch_id

    def deliver(self, messages: Sequence[Message]) -> Answer:
        made = body(messages, asm_group=self.asm_group, sandbox=self.sandbox)
        raw = json.dumps(made, ensure_ascii=False).encode(errors="replace")
        try:
            response = self._post("/v3/mail/send", raw)
        except NOT_SENT as error:
            raise Unusable(
                f"SendGrid at {self.host} cannot be reached ({error}); the messages wait."
            ) from error
        except httpx.HTTPError as error:
            return alike(messages, Fate.AMBIGUOUS, error=f"cut off: {type(error).__name__}")
        return judge(messages, response, self.host)

    def new_batch(self) -> str:
        """A batch id, under which scheduled messages can be held back."""
        return str(self._asked("POST", "/v3/mail/batch", {})["batch_id"])

    def hold(self, batch_id: str, how: Literal["pause", "cancel", "resume"]) -> None:
        """Pause, cancel or let go what is scheduled under a batch id."""
        path = "/v3/user/scheduled_sends"
        if how == "resume":
            self._asked("DELETE", f"{path}/{batch_id}", None)
        else:
            self._asked("POST", path, {"batch_id": batch_id, "status": how})

    def close(self) -> None:
        self._client.close()

    def _asked(self, method: str, path: str, value: dict[str, str] | None) -> dict[str, Any]:
        try:
            response = self._client.request(method, path, json=value)
            response.raise_for_status()
            return dict(response.json()) if response.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise Unusable(f"SendGrid at {self.host} does not do that: {error}.") from error

    def _post(self, path: str, raw: bytes) -> httpx.Response:
        content = gzip.compress(raw, compresslevel=1, mtime=0) if self.compress else raw
        headers = {"Content-Encoding": "gzip"} if self.compress else {}
        return self._client.post(path, content=content, headers=headers)


def body(
    messages: Sequence[Message], *, asm_group: int | None = None, sandbox: bool = False
) -> dict[str, Any]:
    """The JSON of one `mail/send` request for messages of the same skeleton; Unusable when one
    is due later than can be scheduled."""
    first = messages[0]
    found = tags(secrets.token_hex(4), len(first.content.values)) if len(messages) > 1 else []
    values = found or first.content.values
    skeleton = first.content.skeleton
    mail = Mail(
        from_email=From(first.sender_email, first.sender_name),
        subject=first.subject,
        plain_text_content=skeleton.text.fill(values),
        html_content=skeleton.html.fill(values),
    )
    for number, message in enumerate(messages):  # the package would put each before the others
        mail.add_personalization(_person(message, first.subject, found), number)
    mail.add_category(Category(first.campaign[:255]))
    if first.batch_id:
        mail.batch_id = BatchId(first.batch_id)
    if asm_group is not None:
        mail.asm = Asm(asm_group)
    if sandbox:
        mail.mail_settings = MailSettings(sandbox_mode=SandBoxMode(True))
    made: dict[str, Any] = mail.get()
    return made


def _person(message: Message, subject: str, found: Sequence[str]) -> Personalization:
    person, to = Personalization(), To()
    to.email = message.to  # given at once, the package would parse it for a name
    person.add_to(to)
    person.add_custom_arg(CustomArg("send_key", message.send_key))
    person.add_header(Header("List-Unsubscribe", f"<{message.unsubscribe}>"))
    person.add_header(Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    if message.subject != subject:
        person.subject = message.subject
    if found:
        person.add_substitution(dict(zip(found, message.content.values, strict=True)))
    ahead = message.send_at - clock.now()
    if ahead > AHEAD:
        raise Unusable("SendGrid schedules at most 72 hours ahead; send nearer to the day.")
    if ahead > SOON:
        # The number itself: the package leaves its own SendAt object in the body.
        person.send_at = int(message.send_at.timestamp())
    return person


def judge(messages: Sequence[Message], response: httpx.Response, host: str) -> Answer:
    """What an answer means for every message of the request."""
    status = response.status_code
    if status in OK:
        provider_id = response.headers.get("X-Message-Id")
        rest = (
            _wait_seconds(response) if response.headers.get("X-RateLimit-Remaining") == "0" else 0
        )
        outcomes = [Outcome(Fate.ACCEPTED)] * len(messages)
        return Answer(outcomes, status, provider_id, rest_seconds=rest or 0)
    if status in TOO_MANY:
        raise Busy(f"SendGrid asks to wait ({status})", _wait_seconds(response))
    if status in OUR_FAULT or 300 <= status < 400:  # noqa: PLR2004
        why = OUR_FAULT.get(status, "it redirects elsewhere; check TESSERA_SENDGRID_HOST")
        raise Unusable(f"SendGrid at {host} answered {status}: {why}. The messages wait.")
    if not 400 <= status < SERVER_ERROR:  # noqa: PLR2004 -- nor any yes that is documented
        error = f"SendGrid answered {status}"
        return alike(messages, Fate.AMBIGUOUS, status_code=status, error=error)
    fields = _fields(response)
    for setting in (OUR_FIELDS[name] for name in map(_top, fields) if name in OUR_FIELDS):
        raise Unusable(
            f"SendGrid at {host} answered {status} about {', '.join(fields)}: check {setting}. The "
            "messages wait."
        )
    return _refused(messages, status, fields)


def _top(field: str) -> str:
    return re.split(r"[.\[]", field)[0]


def _refused(messages: Sequence[Message], status: int, fields: Sequence[str]) -> Answer:
    """A request is refused whole, be it because of one message: that one is rejected, and the
    others are asked for again, in smaller requests when nobody says which it was."""
    error = f"SendGrid answered {status}" + (f" about {', '.join(fields)}" if fields else "")
    found = [CULPRIT.match(name) for name in fields]
    culprits = {int(match[1]) for match in found if match} & set(range(len(messages)))
    if len(messages) == 1 or (fields and not any(found) and status != TOO_LARGE):
        return alike(messages, Fate.REJECTED, status_code=status, error=error)
    if not culprits:
        return alike(messages, Fate.SPLIT, status_code=status, error=error)
    bad, good = Outcome(Fate.REJECTED, error), Outcome(Fate.AGAIN)
    outcomes = [bad if number in culprits else good for number in range(len(messages))]
    return Answer(outcomes, status, error=error)


def _wait_seconds(response: httpx.Response) -> float | None:
    reset = response.headers.get("X-RateLimit-Reset", "")
    return (
        max(0.0, int(reset) - clock.now().timestamp())
        if reset.isascii() and reset.isdigit()
        else None
    )


def _fields(response: httpx.Response) -> list[str]:
    """The fields it objects to; not its words, which may repeat the address."""
    try:
        errors = response.json()["errors"]
        return [str(error["field"]) for error in errors if error.get("field")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
