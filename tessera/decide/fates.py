"""What became of a customer's messages since they were planned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from tessera.store import Connection, queries

SQL = queries("tessera.decide", "fates.sql")
STATES = {
    "ready": "not sent yet",
    "leased": "not sent yet",
    "calling": "being sent",
    "accepted": "handed over",
    "rejected": "refused",
    "cancelled": "cancelled",
    "ambiguous": "perhaps sent, which nobody can know",
    "reconciled": "handed over",
}
RECONCILED = {"given_up": STATES["ambiguous"], "dropped by the provider": STATES["rejected"]}
EVENTS = {
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "bounce": "bounced",
    "blocked": "blocked",
    "dropped": "dropped by the provider",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "spamreport": "reported as spam",
}
Fate = Mapping[str, str | None]  # what happened, when (UTC), and why


def of_customer(store: Connection, customer_id: str) -> dict[str, list[Fate]]:
    """What happened to each message, by send key: its state, then what its reader did."""
    found: dict[str, list[Fate]] = defaultdict(list)
    for row in store.all(SQL["messages"], customer=customer_id):
        is_settled = row["state"] == "reconciled"
        state = (RECONCILED if is_settled else {}).get(row["state_reason"], STATES[row["state"]])
        found[row["send_key"]].append(_fate(state, row["state_at"], row["state_reason"]))
    for row in store.all(SQL["events"], customer=customer_id):
        if row["event"] in EVENTS:
            found[row["send_key"]].append(_fate(EVENTS[row["event"]], row["at"]))
    return dict(found)


def _fate(what: str, at: str, why: str | None = None) -> Fate:
    return {"what": what, "at": at, "why": why}


def said(fate: Fate) -> str:
    """One of them in words."""
    what, why = fate["what"], fate["why"]
    when = "" if what in (STATES["ready"], STATES["calling"]) else f" at {fate['at']}"
    return f"{what}{when}{f' ({why})' if why else ''}"
