"""Printed letters: a page each, and a list of them for the letter shop.

The pages are HTML with the sheet's size in them, so that any browser prints them to PDF as they are;
the list names the customer of each page, for the retailer's own file holds the postal addresses.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera.locks import alone_in
from tessera.send.messengers.base import Answer, Fate, Message, alike

COLUMNS = ("page", "customer_id", "campaign", "language")


@dataclass
class LetterMessenger:
    """`<folder>/<business date>/<send_key>.html` and `letters.csv`; the same letter twice is one."""

    folder: Path
    name: str = "print"
    channel: str = "print"
    capacity: int = 500
    repeatable: bool = True
    schedules: bool = True

    def together(self, message: Message) -> Hashable:
        return message.business_date

    def deliver(self, messages: Sequence[Message]) -> Answer:
        folder = self.folder / messages[0].business_date
        folder.mkdir(parents=True, exist_ok=True)
        for message in messages:
            _write(folder / f"{message.send_key}.html", message.html)
        with alone_in(folder):  # no other sender writes the list meanwhile
            _list(folder / "letters.csv", messages)
        return alike(messages, Fate.ACCEPTED)

    def close(self) -> None:
        pass


def _list(path: Path, messages: Iterable[Message]) -> None:
    """The letters of the day so far and these, in the order of their pages' names."""
    known = csv.DictReader(io.StringIO(path.read_text("utf-8"))) if path.exists() else ()
    rows = {row["page"]: row for row in known}
    for one in messages:
        page = f"{one.send_key}.html"
        rows[page] = dict(zip(COLUMNS, (page, one.to, one.campaign, one.language), strict=True))
    written = io.StringIO()
    writer = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[page] for page in sorted(rows))
    _write(path, written.getvalue())


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
