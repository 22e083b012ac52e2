"""Writes the messages of a lease and puts those together that may share a request."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tessera.addresses import mailbox
from tessera.say import Rendered, Templates, Unrenderable
from tessera.say.customers import Customer
from tessera.say.links import links, secret_of
from tessera.say.preview import shop
from tessera.send.messengers.base import Message, Messenger
from tessera.vouchers import pool
from tessera.workspace import Workspace

Row = Mapping[str, Any]
SMALLER = 5  # a request that was refused, nobody knows why, is tried in fifths


@dataclass(frozen=True)
class Letter:
    """A row of the outbox and the message it became."""

    row: Row
    message: Message
    content_hash: str


class Writer:
    """Writes messages; those that cannot be written are kept in `failed`, by message id."""

    def __init__(
        self, ws: Workspace, channel: str, batch: Callable[[Row], str | None] = lambda _row: None
    ) -> None:
        self.ws = ws
        self.batch = batch
        self.channel = channel
        self.templates = Templates(ws.project / "templates", ws.settings.language)
        self.secret = secret_of(ws)
        self.shop = shop(ws)
        self.failed: dict[int, str] = {}

    def letters(self, rows: Iterable[Row], people: Mapping[str, Customer]) -> Iterator[Letter]:
        rows = list(rows)
        keys, day = [row["send_key"] for row in rows], self.ws.business_date
        vouchers = pool.of_messages(self.ws.store, keys, day)
        friends = pool.of_members(self.ws.store, [row["customer_id"] for row in rows])
        for row in rows:
            try:
                person = people[row["customer_id"]]
                codes = {
                    "voucher": vouchers.get(row["send_key"]),
                    "referral": {"code": friends.get(person.customer_id)},
                }
                yield self._letter(row, person, codes)
            except Unrenderable as error:
                self.failed[row["message_id"]] = f"cannot be written: {error}"

    def _letter(self, row: Row, person: Customer, codes: Row) -> Letter:
        settings = self.ws.settings
        urls = links(settings.public_url, self.secret, row["send_key"])
        campaign = {"name": row["campaign"], "step": row["step"], "occurrence": row["occurrence"]}
        surroundings = {"campaign": campaign, "links": urls, "shop": self.shop, **codes}
        data = {**person.fields, **surroundings}
        content = self.templates.render(row["template"], row["language"], data, self.channel)
        _refuse_silence(row["template"], content, self.channel)
        message = Message(
            send_key=row["send_key"],
            to=address(person, self.channel) or "",
            content=content,
            sender_email=settings.sender_email,
            sender_name=" ".join(settings.sender_name.split()),
            unsubscribe=urls["unsubscribe"],
            campaign=row["campaign"],
            send_at=datetime.fromisoformat(row["send_at"]),
            timezone=row["timezone"],
            business_date=row["business_date"],
            purpose=row["purpose"],
            batch_id=self.batch(row),
        )
        return Letter(row, message, content.content_hash)


def _refuse_silence(template: str, content: Rendered, channel: str) -> None:
    """A mail without a subject has its whole request refused by a provider, a text message that says
    nothing costs as much as another."""
    if channel == "email" and not content.subject:
        raise Unrenderable(f"{template}/subject.txt is empty for this customer")
    if channel == "sms" and not content.text.strip():
        raise Unrenderable(f"{template}/sms.txt is empty for this customer")


def address(person: Customer, channel: str) -> str | None:
    """Where to write on this channel; None when there is no way."""
    if channel == "sms":
        digits = "".join(c for c in person.phone or "" if c.isdigit() or c == "+")
        return digits if digits.startswith("+") and len(digits) > 7 else None  # noqa: PLR2004
    if channel == "print":
        return person.customer_id
    return mailbox(person.email or "")


@dataclass
class Batches:
    """Groups letters into requests: full ones as soon as they are, the rest at the end."""

    messenger: Messenger
    size: int
    _open: dict[Hashable, dict[str, Letter]] = field(default_factory=dict)

    def of(self, letters: Iterable[Letter]) -> Iterator[Sequence[Letter]]:
        for letter in letters:
            yield from self._add(letter)
        rest, self._open = self._open, {}
        yield from (list(group.values()) for group in rest.values())

    def _add(self, letter: Letter) -> Iterator[Sequence[Letter]]:
        size = max(1, self.size // SMALLER ** letter.row["attempts"])
        key = (self.messenger.together(letter.message), size)
        if letter.message.to in self._open.get(key, {}):
            yield list(self._open.pop(key).values())  # no request holds an address twice
        group = self._open.setdefault(key, {})
        group[letter.message.to] = letter
        if len(group) >= size:
            yield list(self._open.pop(key).values())
