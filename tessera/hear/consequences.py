"""What an event means for the address it happened to. Only what a provider states outright, in a field
of its own, suppresses; what a person or a machine wrote back does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from tessera.addresses import address_hash
from tessera.consent.suppression import ALL, MARKETING, UNSUBSCRIBE, Suppression
from tessera.hear.events import BLOCKED, Event

# Any of these proves that the provider took the message.
TAKEN = frozenset({"processed", "deferred", "delivered", "bounce", BLOCKED, "open", "click",
                   "spamreport", "unsubscribe", "group_unsubscribe"})  # fmt: skip
REACHED = TAKEN - {"processed", "deferred"}  # and of these, that it came to a mailbox
WITHDRAWN = ("unsubscribe", "group_unsubscribe")
NO_SUCH_ADDRESS = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10")
SPAM_TRAP = ("spam trap", "spamtrap", "spam-trap")
# The provider's own lists, by the words it documents for not even trying. Other words are about the
# message or the account, and say nothing of the address.
DROPPED = {
    "bounced address": (ALL, "bounce"),
    "invalid": (ALL, "invalid"),
    "spam reporting address": (MARKETING, "complaint"),
    "unsubscribed address": (MARKETING, UNSUBSCRIBE),
}
BLOCKED_DAYS = 3  # so many different days without a delivery between them
BLOCKED_WITHIN = timedelta(days=30)


def suppressions(events: Iterable[Event]) -> Iterator[Suppression]:
    """What the events suppress, each on its own."""
    for event in events:
        found = _of(event)
        if found and event.email:
            scope, cause = found
            yield Suppression(address_hash(event.email), scope, cause, event.occurred_at)


def _of(event: Event) -> tuple[str, str] | None:
    """Scope and cause."""
    reason = (event.reason or "").strip().lower()
    if event.event in ("bounce", BLOCKED) and any(words in reason for words in SPAM_TRAP):
        return ALL, "spam_trap"
    if event.event == "bounce":
        return ALL, "invalid" if event.status in NO_SUCH_ADDRESS else "bounce"
    if event.event == "spamreport":
        return MARKETING, "complaint"
    if event.event in WITHDRAWN:
        return MARKETING, UNSUBSCRIBE
    if event.event == "dropped":
        return DROPPED.get(reason)
    return None


def blocked_since(history: Iterable[tuple[str, str]]) -> str | None:
    """When blocks of one address, given as (event, occurred_at), came to be too many; None when they
    did not. A delivery starts the count anew."""
    days: dict[str, datetime] = {}
    for name, occurred_at in sorted(history, key=lambda one: (one[1], one[0])):
        if name != BLOCKED:
            days.clear()
            continue
        moment = datetime.fromisoformat(occurred_at)
        days = {day: at for day, at in days.items() if moment - at < BLOCKED_WITHIN}
        days[occurred_at[:10]] = moment
        if len(days) >= BLOCKED_DAYS:
            return occurred_at
    return None
