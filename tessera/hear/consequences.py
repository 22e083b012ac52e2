"""What an event means for the person: an address not to be written to, a consent withdrawn."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.hear.events import Event

# Any of these proves that the provider took the message.
TAKEN = ("processed", "deferred", "delivered", "bounce", "blocked", "open", "click", "spamreport",
         "unsubscribe", "group_unsubscribe")  # fmt: skip
WITHDRAWN = ("unsubscribe", "group_unsubscribe")
ALL, MARKETING = "all", "marketing"


@dataclass(frozen=True)
class Suppression:
    scope: str  # 'all' or 'marketing'
    cause: str


def suppression(event: Event) -> Suppression | None:
    """Only what a provider states outright suppresses an address; a block or a delay does not."""
    if event.event == "bounce":
        return Suppression(ALL, "bounce")
    if event.event == "spamreport":
        return Suppression(MARKETING, "complaint")
    if event.event in WITHDRAWN:
        return Suppression(MARKETING, "unsubscribe")
    if event.event == "dropped":
        return _dropped((event.reason or "").lower())
    return None


def _dropped(reason: str) -> Suppression | None:
    """The provider's own lists, by the words it gives for not even trying."""
    if "spam report" in reason:
        return Suppression(MARKETING, "complaint")
    if "unsubscribe" in reason:
        return Suppression(MARKETING, "unsubscribe")
    if "spam content" in reason or "quota" in reason or "header" in reason:
        return None  # the message's fault, or ours, not the address's
    return Suppression(ALL, "dropped")
