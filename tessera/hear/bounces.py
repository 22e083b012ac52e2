"""Bounces that were none: a mailbox provider that for an hour told every sender its people are not there.

What a server calls permanent suppresses an address for good, and nobody whose address works would say so. So
what bounced in a stretch of time can be let go of at once, for a reason that somebody gives. What bounces
after it is suppressed again.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from tessera import audit
from tessera.clock import stamp
from tessera.consent import suppression
from tessera.errors import BadInput
from tessera.store import queries
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

SQL = queries("tessera.hear", "bounces.sql")
BOUNCED = pa.schema([(name, pa.string()) for name in ("address_hash", "cause", "since")])
SECOND = timedelta(seconds=1)  # to which instants are kept


@dataclass(frozen=True)
class Stretch:
    """From `since` until just before `until` (both UTC), at one domain or at all."""

    since: datetime
    until: datetime
    domain: str | None = None

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise BadInput("--from must lie before --until.")

    def __str__(self) -> str:
        return f"{stamp(self.since)} to {stamp(self.until)}"


def by_domain(ws: Workspace, stretch: Stretch) -> list[dict[str, Any]]:
    """How many addresses are suppressed since they bounced, by day (UTC), domain (None where the models do not
    know whose they are) and cause, with the first and the last instant; most first within a day."""
    return _asked(ws, stretch, "by_domain")


def clear(ws: Workspace, stretch: Stretch, reason: str) -> int:
    """Write again to the addresses that bounced first in this stretch; how many. What else suppresses them stays.
    BadInput where no reason is given, or there are none."""
    why = " ".join(reason.split())
    if not why:
        raise BadInput("Say why, with --reason: it stands in the audit log.")
    found = [(row["address_hash"], row["cause"]) for row in _asked(ws, stretch, "addresses")]
    if not found:
        at = f" at {stretch.domain}" if stretch.domain else ""
        raise BadInput(f"No address{at} is suppressed for a bounce of {stretch}.")
    addresses = len({address for address, _ in found})
    with ws.store.write() as connection:
        # Whatever of that stretch is told late suppresses nobody either.
        suppression.lift_all(connection, found, stretch.until - SECOND)
        audit.record(
            ws, connection, "clear bounces", str(stretch),
            addresses=addresses, domain=stretch.domain, reason=why,
        )  # fmt: skip
    return addresses


def _asked(ws: Workspace, stretch: Stretch, query: str) -> list[dict[str, Any]]:
    """Of the marts, which are read while others may write."""
    values = {"since": stamp(stretch.since), "until": stamp(stretch.until)}
    with ws.store.read() as connection:
        bounced = connection.arrow(SQL["bounced"], BOUNCED, **values)
    if not bounced.num_rows:
        return []
    with closing(ws.marts()) as marts:
        marts.register("bounced", bounced)
        marts.execute(SQL["at_domain"], {"domain": stretch.domain})
        return named(marts.execute(SQL[query]))
