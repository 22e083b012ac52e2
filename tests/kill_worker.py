"""A day's planning, sending and hearing in a process of its own, which may be killed at any instant."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tessera.decide import decide
from tessera.hear import hear
from tessera.send import send
from tessera.send.messengers.base import Unusable
from tessera.send.messengers.sendgrid import SendGridMessenger
from tessera.testing import workspace

REQUEST = 4  # messages: small, so that there are many calls to be killed in


def work(home: str, project: str, store_url: str, host: str) -> None:
    """Plan, send and hear once."""
    ws = workspace(Path(home), project=Path(project), store_url=store_url, threads=1)
    decide(ws)
    messenger = SendGridMessenger("key", host, timeout_seconds=0.5, capacity=REQUEST)
    with suppress(Unusable):  # five troubles in a row: the next one goes on
        send(ws, messenger=messenger, sleep=lambda _seconds: None)
    hear(ws)
    ws.store.close()
