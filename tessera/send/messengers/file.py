"""Writes mail as `.eml` files, and text messages as `.txt`: needs no account, and shows what would have been sent."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera.send.messengers.base import Answer, Fate, Message, alike
from tessera.send.messengers.mime import as_mail


@dataclass
class FileMessenger:
    """One file per message, `<folder>/<business date>/<send_key>.eml`, dated when it is due."""

    folder: Path
    name: str = "file"
    channel: str = "email"
    capacity: int = 500
    repeatable: bool = True
    schedules: bool = True

    def together(self, _message: Message) -> Hashable:
        return None

    def deliver(self, messages: Sequence[Message]) -> Answer:
        for message in messages:
            self._write(message)
        return alike(messages, Fate.ACCEPTED)

    def close(self) -> None:
        pass

    def _write(self, message: Message) -> None:
        folder = self.folder / message.business_date
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{message.send_key}.part"
        beside.write_bytes(self._bytes(message))
        beside.replace(folder / f"{message.send_key}.{'eml' if self.channel == 'email' else 'txt'}")

    def _bytes(self, message: Message) -> bytes:
        if self.channel == "email":
            return as_mail(message, message.send_at)
        return f"To: {message.to}\n\n{message.text}".encode()
