"""Sends what is due: claim → look again → write → call → note the answer, a lease at a time."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tessera import clock
from tessera.addresses import mailbox
from tessera.consent import Guard, complaint_guard
from tessera.errors import BadInput
from tessera.say.customers import Customer, Customers
from tessera.send import departures, policy
from tessera.send.blackouts import resting
from tessera.send.lateness import end_late
from tessera.send.lifeline import Lifeline
from tessera.send.messengers import REPEATABLE, open_messenger
from tessera.send.messengers.base import Answer, Busy, Fate, Messenger, Unusable
from tessera.send.outbox import Lease, Outbox, channels
from tessera.send.pace import Pace
from tessera.send.recall import ProviderBatches
from tessera.send.recheck import Recheck
from tessera.send.room import MARKETING, Room
from tessera.send.versions import can_wait_until, priorities
from tessera.send.writing import Batches, Letter, Writer, address
from tessera.vouchers import pool
from tessera.workspace import Workspace

# Messages under one lease: few enough to hold in memory, many enough to read in bulk and to fill
# several requests.
CLAIM, CLAIM_REQUESTS = 2000, 10
SELDOM = 200_000  # more objects than before, and cycles are looked for
GUARD_LASTS = timedelta(minutes=1)  # a throttled run lasts hours; people complain meanwhile
Row = Mapping[str, Any]


@dataclass(frozen=True)
class SendReport:
    """Counts of messages; `waiting` are still to be sent on this business date: not due yet, told
    "not now" and asked again later, `unapproved`, which is a sentence for each campaign, or `held`,
    one for each template and language that nobody can be written to with."""

    claimed: int
    accepted: int
    rejected: int
    ambiguous: int
    cancelled: int
    waiting: int
    by_messenger: dict[str, int]  # accepted
    unapproved: tuple[str, ...]
    held: tuple[str, ...]
    seconds: float

    def with_run(self, other: SendReport) -> SendReport:
        """Both together."""
        names = ("claimed", "accepted", "rejected", "ambiguous", "cancelled", "waiting")
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        both = Counter(self.by_messenger) + Counter(other.by_messenger)
        by_messenger = {**dict.fromkeys(other.by_messenger, 0), **self.by_messenger, **both}
        return replace(
            other, **sums, by_messenger=by_messenger, held=self.held + other.held,
            seconds=self.seconds,
        )  # fmt: skip


def send(
    ws: Workspace,
    *,
    messenger: Messenger | None = None,
    progress: Callable[[int, int], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> SendReport:
    """Send every message due before the end of the business date; may run twice at once.

    What is due with a template that nobody can be written to with waits. BadInput where the store is older
    than what left from this home. Unusable, after what
    could be sent, when the messenger cannot be reached or keeps refusing.
    """
    check_settings(ws)
    departures.check(ws)
    started = time.perf_counter()
    runs = [messenger] if messenger else [open_messenger(ws, one) for one in channels(ws)]
    report = SendReport(0, 0, 0, 0, 0, 0, {}, (), (), 0.0)
    try:
        with Lifeline(ws.home.senders) as lifeline, _collecting_seldom():
            for one in runs:
                report = report.with_run(_run(ws, lifeline, one, progress or _silent, sleep))
    finally:
        for one in runs:
            one.close()
    return replace(report, seconds=round(time.perf_counter() - started, 3))


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """What writing leaves behind in cycles is some tens of megabytes by then; looking for them again and
    again takes a sixth of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(SELDOM, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _run(
    ws: Workspace,
    lifeline: Lifeline,
    messenger: Messenger,
    progress: Callable[[int, int], None],
    sleep: Callable[[float], None],
) -> SendReport:
    """One channel's messages through one messenger."""
    outbox = Outbox(ws, lifeline.owner, messenger.name, messenger.schedules, messenger.channel)
    dead = lifeline.dead()
    outbox.reap(dead, REPEATABLE)
    lifeline.bury(dead)
    sender = Sender(ws, outbox, messenger, Patience(sleep), progress)
    sender.run()
    counts = sender.counts
    names = ("claimed", "accepted", "rejected", "ambiguous", "cancelled")
    return SendReport(
        **{name: counts[name] for name in names},
        waiting=outbox.waiting(),
        by_messenger={messenger.name: counts["accepted"]},
        unapproved=outbox.unapproved(),
        held=tuple(sender.held.values()),
        seconds=0.0,
    )


def check_settings(ws: Workspace) -> None:
    """BadInput when the sender's address or the links' would break a mail's headers."""
    settings = ws.settings
    if mailbox(settings.sender_email) != settings.sender_email:
        raise BadInput(f"TESSERA_SENDER_EMAIL '{settings.sender_email}' is not an e-mail address.")
    if not settings.sender_name.isprintable():
        raise BadInput("TESSERA_SENDER_NAME has a line end or control character; write one line.")
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

    def rest(self, seconds: float) -> None:
        """The provider's allowance is used up."""
        if seconds > 0:
            self.sleep(min(seconds, self.longest_seconds))


@dataclass
class Sender:
    """One run of one sender."""

    ws: Workspace
    outbox: Outbox
    messenger: Messenger
    patience: Patience
    progress: Callable[[int, int], None]
    counts: Counter[str] = field(default_factory=Counter)
    held: dict[str, str] = field(default_factory=dict)  # a sentence for each that waits
    looked_at: set[tuple[str, str]] = field(default_factory=set)  # templates, in a language
    asked: tuple[datetime, Guard] | None = None  # what the complaints said, and when
    due: int = 0

    def __post_init__(self) -> None:
        self.customers = Customers(self.ws)
        self.recheck = Recheck(self.ws, self.customers, self.messenger.channel)
        self.policy = policy.load(self.ws.project)
        self.room = Room(self.ws, self.policy, self.customers)
        self.pace = Pace(self.ws, self.policy, self.messenger.name, self.patience.sleep)
        self.size = self.pace.at_most(self.messenger.capacity)
        self.claims = self.pace.at_most(max(CLAIM, CLAIM_REQUESTS * self.messenger.capacity))

    def run(self) -> None:
        self.counts["cancelled"] += end_late(self.outbox)
        self.counts["settled"] += self.outbox.settle(self.policy.wait_for_events)
        waiting = self.outbox.due()
        if not waiting:
            return
        batches = ProviderBatches(self.ws, self.messenger)
        self.writer = Writer(self.ws, self.messenger.channel, batches.of)
        self._look_at(waiting)
        while lease := self._claim():
            fell_due = {(row["template"], row["language"]) for row in lease.rows} - self.looked_at
            try:
                if not fell_due:
                    self._work(lease)
            finally:
                self.outbox.release(lease)
            if fell_due:
                self._look_at(self.outbox.due())
        self.counts["cancelled"] += end_late(self.outbox)  # whose time passed meanwhile

    def _claim(self) -> Lease | None:
        """Where not all may leave today, the campaign of higher priority goes first."""
        ranks = priorities(self.ws.store) if self.pace.is_limited else None
        return self.outbox.claim(self.claims, list(self.held), ranks)

    def _look_at(self, waiting: Sequence[Row]) -> None:
        """Hold what is due with a template that nobody can be written to with."""
        new = [row for row in waiting if (row["template"], row["language"]) not in self.looked_at]
        self.due += sum(row["messages"] for row in new if self._is_sound(row))
        self.looked_at |= {(row["template"], row["language"]) for row in new}

    def _is_sound(self, row: Row) -> bool:
        """Whether people can be written to with this template in this language; if not, they wait."""
        name, language = row["template"], row["language"]
        why = self.writer.templates.problem(name, language, self.messenger.channel)
        if why:
            wait = f"{row['messages']:,} messages of {name} ({language}) wait until it is mended"
            self.held[self.outbox.set_aside(row, why)] = f"{wait}: {why}."
        return why is None

    def _work(self, lease: Lease) -> None:
        self.counts["claimed"] += len(lease.rows)
        people = self.customers.read(sorted({row["customer_id"] for row in lease.rows}))
        rows = self._still_wanted(lease, people)
        batches = Batches(self.messenger, self.size)
        for letters in batches.of(self.writer.letters(rows, people)):
            self._deliver(lease, letters)
            done = sum(self.counts[f] for f in ("accepted", "rejected", "cancelled"))
            self.progress(done, self.due)
        self.outbox.drop(lease, "rejected", self.writer.failed)
        self.counts["rejected"] += len(self.writer.failed)
        self.writer.failed.clear()

    def _still_wanted(self, lease: Lease, people: Mapping[str, Customer]) -> Sequence[Row]:
        """The messages that may still be sent, and today."""
        refusals = self.recheck.refusals(lease.rows, people)
        self.outbox.drop(lease, "cancelled", refusals)
        self.counts["cancelled"] += len(refusals)
        wanted = [row for row in lease.rows if row["message_id"] not in refusals]
        rows = self._put_off(lease, wanted, self._stopped(wanted))
        day = self.outbox.day
        rows = self._put_off(lease, rows, resting(self.ws.store, self.policy, rows, day))
        rows = self._put_off(lease, rows, self.room.full(rows, self.outbox.moment))
        addresses = {key: address(one, self.messenger.channel) or "" for key, one in people.items()}
        beyond = self.pace.beyond(rows, addresses, day)
        return self._put_off(lease, rows, {row["message_id"]: "warm_up" for row in beyond})

    def _stopped(self, rows: Sequence[Row]) -> Mapping[int, str]:
        """Marketing, when so many have complained by now that it has to stop."""
        guard = self._guard()
        if not guard.stopped:
            return {}
        said = f"suppressed: {guard}"
        return {row["message_id"]: said for row in rows if row["purpose"] == MARKETING}

    def _guard(self) -> Guard:
        """As of this instant: a run may last for hours."""
        now = clock.now()
        if self.asked is None or now - self.asked[0] >= GUARD_LASTS:
            with self.ws.store.read() as connection:
                moment = datetime.fromisoformat(self.outbox.moment)
                self.asked = now, complaint_guard(connection, moment)
        return self.asked[1]

    def _put_off(
        self, lease: Lease, rows: Sequence[Row], reasons: Mapping[int, str]
    ) -> Sequence[Row]:
        """Those of `rows` that have no reason to leave another day."""
        later = [row for row in rows if row["message_id"] in reasons]
        if later:
            late = self.outbox.put_off(lease, later, reasons, self._ends(later))
            self.counts["cancelled"] += late
        return [row for row in rows if row["message_id"] not in reasons]

    def _ends(self, rows: Sequence[Row]) -> Mapping[int, str]:
        """As the campaign says, and no later than the last day of the code that goes with the message."""
        keys = [row["send_key"] for row in rows]
        codes = pool.of_messages(self.ws.store, keys, self.ws.business_date)
        last = {key: one["valid_until"] for key, one in codes.items()}
        dated = [{**row, "last_day": last.get(row["send_key"])} for row in rows]
        with self.ws.store.read() as connection:
            ends = can_wait_until(connection, dated, clock.zone(self.ws.settings.timezone))
        return {row["message_id"]: end for row, end in zip(rows, ends, strict=True)}

    def _deliver(self, lease: Lease, letters: Sequence[Letter]) -> None:
        self.pace.wait(len(letters))
        hashes = {letter.row["message_id"]: letter.content_hash for letter in letters}
        call = self.outbox.call(lease, hashes)
        if call is None:  # somebody thought us dead and took them over, or they were held back
            return
        letters = [one for one in letters if one.row["message_id"] in call.message_ids]
        departures.note(self.ws.home, call.request_id)
        try:
            answer = self.messenger.deliver([letter.message for letter in letters])
        except (Busy, Unusable) as refusal:
            self.outbox.give_back(call.request_id, str(refusal))
            if isinstance(refusal, Unusable):
                raise
            self.patience.trouble(str(refusal), refusal.seconds)
        else:
            self.outbox.finish(call.request_id, [letter.row for letter in letters], answer)
            self._count(answer)

    def _count(self, answer: Answer) -> None:
        for outcome in answer.outcomes:
            self.counts[outcome.fate.value] += 1
        if all(outcome.fate is Fate.AMBIGUOUS for outcome in answer.outcomes):
            self.patience.trouble(answer.error or "The provider does not answer")
        else:
            self.patience.relief()
            self.patience.rest(answer.rest_seconds)


def _silent(_done: int, _due: int) -> None:
    pass
