"""Sends what is due: claim → look again → write → call → note the answer, a lease at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tessera.addresses import mailbox
from tessera.errors import BadInput
from tessera.say import Templates, Unrenderable
from tessera.say.customers import Customer, Customers
from tessera.say.links import links, secret_of
from tessera.say.preview import shop
from tessera.send.lifeline import Lifeline
from tessera.send.messengers import REPEATABLE, open_messenger
from tessera.send.messengers.base import Answer, Busy, Fate, Message, Messenger, Unusable
from tessera.send.outbox import Lease, Outbox
from tessera.send.recheck import Recheck
from tessera.workspace import Workspace

CLAIM = 2000  # messages under one lease: few enough to hold in memory, many enough to read in bulk
Row = Mapping[str, Any]


@dataclass(frozen=True)
class SendReport:
    """Counts of messages; `waiting` are still to be sent on this business date: not due yet, or told
    "not now" and asked again later."""

    claimed: int
    accepted: int
    rejected: int
    ambiguous: int
    cancelled: int
    waiting: int
    by_messenger: dict[str, int]  # accepted
    seconds: float


def send(
    ws: Workspace,
    *,
    messenger: Messenger | None = None,
    progress: Callable[[int, int], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> SendReport:
    """Send every message due before the end of the business date; may run twice at once.

    BadInput, before anything is sent, when a template that is due does not compile; Unusable,
    after what could be sent, when the messenger cannot be reached or keeps refusing.
    """
    check_settings(ws)
    started = time.perf_counter()
    messenger = messenger or open_messenger(ws)
    try:
        with Lifeline(ws.home.root / "senders") as lifeline:
            outbox = Outbox(ws, lifeline.owner, messenger.name, messenger.schedules)
            dead = lifeline.dead()
            outbox.reap(dead, REPEATABLE)
            lifeline.bury(dead)
            sender = Sender(ws, outbox, messenger, Patience(sleep), progress or _silent)
            sender.run()
            return sender.report(time.perf_counter() - started)
    finally:
        messenger.close()


def check_settings(ws: Workspace) -> None:
    """BadInput when the sender's address or the links' would break a mail's headers."""
    settings = ws.settings
    if mailbox(settings.sender_email) != settings.sender_email:
        raise BadInput(f"TESSERA_SENDER_EMAIL '{settings.sender_email}' is not an e-mail address.")
    url = settings.public_url
    if (
        not url.startswith(("http://", "https://"))
        or not url.isascii()
        or set(url) & set(" <>\r\n")
    ):
        raise BadInput(f"TESSERA_PUBLIC_URL '{url}' is not a web address; write https://…")


@dataclass
class Patience:
    """Backs off from a provider in trouble, and gives up when it stays so."""

    sleep: Callable[[float], None]
    limit: int = 5
    longest_seconds: float = 60
    troubles: int = 0

    def trouble(self, reason: str, seconds: float | None = None) -> None:
        """Another call in trouble: wait, or give up on this run."""
        self.troubles += 1
        if self.troubles >= self.limit:
            raise Unusable(
                f"{reason}, {self.troubles} times in a row; the messages that were not sent wait. "
                "Run 'tessera send' again later."
            )
        wait = 2.0**self.troubles / 2 if seconds is None else seconds
        self.sleep(min(wait, self.longest_seconds))

    def relief(self) -> None:
        self.troubles = 0


@dataclass
class Sender:
    """One run of one sender."""

    ws: Workspace
    outbox: Outbox
    messenger: Messenger
    patience: Patience
    progress: Callable[[int, int], None]
    counts: Counter[str] = field(default_factory=Counter)
    due: int = 0

    def __post_init__(self) -> None:
        self.templates = Templates(self.ws.project / "templates", self.ws.settings.language)
        self.customers = Customers(self.ws)
        self.recheck = Recheck(self.ws, self.customers)
        self.shop = shop(self.ws)

    def run(self) -> None:
        self.counts["cancelled"] += self.outbox.cancel_late()
        waiting = self.outbox.due()
        for row in waiting:
            self.templates.compile(row["template"], row["language"])
        self.due = sum(row["messages"] for row in waiting)
        if waiting:
            self.secret = secret_of(self.ws)
        while lease := self.outbox.claim(CLAIM):
            try:
                self._work(lease)
            finally:
                self.outbox.release(lease)

    def report(self, seconds: float) -> SendReport:
        counts = self.counts
        numbers = {
            name: counts[name]
            for name in ("claimed", "accepted", "rejected", "ambiguous", "cancelled")
        }
        by_messenger = {self.messenger.name: counts["accepted"]}
        return SendReport(
            **numbers,
            waiting=self.outbox.waiting(),
            by_messenger=by_messenger,
            seconds=round(seconds, 3),
        )

    def _work(self, lease: Lease) -> None:
        self.counts["claimed"] += len(lease.rows)
        people = self.customers.read(sorted({row["customer_id"] for row in lease.rows}))
        refusals = self.recheck.refusals(lease.rows, people)
        self.outbox.drop(lease, "cancelled", refusals)
        self.counts["cancelled"] += len(refusals)
        rows = [row for row in lease.rows if row["message_id"] not in refusals]
        for group in _slices(rows, self.messenger.capacity):
            self._deliver(lease, group, people)
            self.progress(
                sum(self.counts[f] for f in ("accepted", "rejected", "cancelled")), self.due
            )

    def _deliver(self, lease: Lease, rows: Sequence[Row], people: Mapping[str, Customer]) -> None:
        letters = self._write(lease, rows, people)
        if not letters:
            return
        hashes = {row["message_id"]: hashed for row, _, hashed in letters}
        request = self.outbox.call(lease, hashes)
        if request is None:  # somebody thought us dead and took them over
            return
        try:
            answer = self.messenger.deliver([message for _, message, _ in letters])
        except (Busy, Unusable) as refusal:
            self.outbox.give_back(request, str(refusal))
            if isinstance(refusal, Unusable):
                raise
            self.patience.trouble(str(refusal), refusal.seconds)
        else:
            self.outbox.finish(request, [row for row, _, _ in letters], answer)
            self._count(answer)

    def _count(self, answer: Answer) -> None:
        for outcome in answer.outcomes:
            self.counts[outcome.fate.value] += 1
        if all(outcome.fate is Fate.AMBIGUOUS for outcome in answer.outcomes):
            self.patience.trouble(answer.error or "The provider does not answer")
        else:
            self.patience.relief()

    def _write(
        self, lease: Lease, rows: Sequence[Row], people: Mapping[str, Customer]
    ) -> list[tuple[Row, Message, str]]:
        """Each row with its message and the hash of its content; a message that cannot be
        written is rejected, and no other."""
        written, failed = [], {}
        for row in rows:
            try:
                message, content_hash = self._message(row, people[row["customer_id"]])
                written.append((row, message, content_hash))
            except Unrenderable as error:
                failed[row["message_id"]] = f"cannot be written: {error}"
        self.outbox.drop(lease, "rejected", failed)
        self.counts["rejected"] += len(failed)
        return written

    def _message(self, row: Row, person: Customer) -> tuple[Message, str]:
        settings = self.ws.settings
        urls = links(settings.public_url, self.secret, row["send_key"])
        campaign = {"name": row["campaign"], "step": row["step"], "occurrence": row["occurrence"]}
        data = {**person.fields, "campaign": campaign, "links": urls, "shop": self.shop}
        rendered = self.templates.render(row["template"], row["language"], data)
        message = Message(
            send_key=row["send_key"],
            to=mailbox(person.email or "") or "",
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            language=rendered.language,
            sender_email=settings.sender_email,
            sender_name=" ".join(settings.sender_name.split()),
            unsubscribe=urls["unsubscribe"],
            campaign=row["campaign"],
            send_at=datetime.fromisoformat(row["send_at"]),
            timezone=row["timezone"],
            business_date=row["business_date"],
        )
        return message, rendered.content_hash


def _slices(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _silent(_done: int, _due: int) -> None:
    pass
