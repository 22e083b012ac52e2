"""Stops marketing when too many complain: providers block whoever passes 0.3 %. Nothing is stored; the
guard is worked out from the events whenever it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tessera.clock import stamp
from tessera.consent.ledger import SQL
from tessera.store import Connection

ALERT, STOP = 0.0008, 0.002
WINDOW_DAYS = 7
DELIVERED_MIN = 1000  # below, one complaint more or less would say nothing


@dataclass(frozen=True)
class Guard:
    """Marketing messages that were delivered, and that were complained of, in the window."""

    delivered: int
    complaints: int
    since: str
    until: str

    @property
    def rate(self) -> float:
        return self.complaints / self.delivered if self.delivered else 0.0

    @property
    def state(self) -> str:
        """'open', 'alert' or 'stopped'."""
        if self.delivered < DELIVERED_MIN:
            return "open"
        return "stopped" if self.rate >= STOP else "alert" if self.rate >= ALERT else "open"

    @property
    def stopped(self) -> bool:
        """Whether no marketing may go out."""
        return self.state == "stopped"

    def __str__(self) -> str:
        return (
            f"{self.complaints:,} complaints of {self.delivered:,} marketing messages delivered in "
            f"{WINDOW_DAYS} days ({self.rate:.3%}): {self.state}"
        )


def complaint_guard(connection: Connection, as_of: datetime) -> Guard:
    """The guard over the seven days before `as_of`."""
    since, until = stamp(as_of - timedelta(days=WINDOW_DAYS)), stamp(as_of)
    row = connection.one(SQL["guard"], since=since, until=until) or {}
    return Guard(int(row["delivered"] or 0), int(row["complaints"] or 0), since, until)
