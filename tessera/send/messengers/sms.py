"""Text messages over HTTP: one small JSON object each, to a gateway of your own or in front of one.

    POST <TESSERA_SMS_URL>
    Authorization: Bearer <TESSERA_SMS_API_KEY>
    {"from": "Shop", "to": "+37120000000", "text": "…", "send_key": "…", "send_at": 1774947600}

2xx takes the message, 429 asks to wait, another 4xx refuses it, and anything else leaves it in doubt; what
is no fault of the message (401, 402, 403, 404, 405, a redirection) stops the run.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import httpx

from tessera import clock
from tessera.send.messengers.base import Answer, Busy, Fate, Message, Unusable, alike
from tessera.send.messengers.http import NOT_SENT

TIMEOUT_SECONDS = 30.0
OUR_FAULT = {
    **dict.fromkeys((401, 403), "TESSERA_SMS_API_KEY"),
    402: "the credit of the account",
    **dict.fromkeys((*range(300, 400), 404, 405), "TESSERA_SMS_URL"),
}


@dataclass
class SmsMessenger:
    """One message per request."""

    url: str
    api_key: str = field(repr=False)
    sender: str = "Shop"
    timeout_seconds: float = TIMEOUT_SECONDS
    name: str = "sms"
    channel: str = "sms"
    capacity: int = 1
    repeatable: bool = False
    schedules: bool = False

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            timeout=self.timeout_seconds, headers={"Authorization": f"Bearer {self.api_key}"}
        )

    def together(self, _message: Message) -> Hashable:
        return None

    def deliver(self, messages: Sequence[Message]) -> Answer:
        (message,) = messages
        try:
            response = self._client.post(self.url, json=payload(message, self.sender))
        except NOT_SENT as error:
            raise Unusable(
                f"The gateway {self.url} cannot be reached ({error}); the messages wait."
            ) from error
        except httpx.HTTPError as error:
            return alike(messages, Fate.AMBIGUOUS, error=f"cut off: {type(error).__name__}")
        return _judge(messages, response)

    def close(self) -> None:
        self._client.close()


def payload(message: Message, sender: str) -> dict[str, str | int]:
    """What is posted."""
    made: dict[str, str | int] = {
        "from": sender,
        "to": message.to,
        "text": message.text.strip(),
        "send_key": message.send_key,
    }
    if message.send_at > clock.now():
        made["send_at"] = int(message.send_at.timestamp())
    return made


def _judge(messages: Sequence[Message], response: httpx.Response) -> Answer:
    status = response.status_code
    error = f"the gateway answered {status}"
    if response.is_success:
        return alike(messages, Fate.ACCEPTED, status_code=status)
    if status == 429:  # noqa: PLR2004
        wait = response.headers.get("Retry-After", "")
        raise Busy("The gateway asks to wait (429)", float(wait) if wait.isdecimal() else None)
    if status in OUR_FAULT:
        raise Unusable(
            f"The gateway answered {status}; check {OUR_FAULT[status]}. The messages wait."
        )
    refused = 400 <= status < 500  # noqa: PLR2004
    return alike(
        messages, Fate.REJECTED if refused else Fate.AMBIGUOUS, status_code=status, error=error
    )
