"""The pace of sending: its state is in the store, so that restarts and several senders share it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tessera import clock
from tessera.addresses import address_hash
from tessera.send.policy import SendingPolicy
from tessera.store import Connection, queries
from tessera.throttle import WarmUp
from tessera.workspace import Workspace

SQL = queries("tessera.send", "pace.sql")
MOST = 3_600_000  # milliseconds: sixty senders with a minute's work each
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Pace:
    """What the policy allows one messenger."""

    ws: Workspace
    policy: SendingPolicy
    messenger: str
    sleep: Callable[[float], None]

    @property
    def is_limited(self) -> bool:
        """Whether what is due today may not all leave today."""
        return not (self.policy.throttle is None and self.policy.warm_up is None)

    def at_most(self, size: int) -> int:
        """No request is larger than a minute's allowance."""
        throttle = self.policy.throttle
        return min(size, throttle.per_minute) if throttle else size

    def wait(self, messages: int) -> None:
        """Take the time that so many messages need, and sleep until it begins."""
        if self.policy.throttle is None:
            return
        needed = messages * 60_000 // self.policy.throttle.per_minute
        now = int(clock.now().timestamp() * 1000)
        with self.ws.store.write() as connection:
            values = {"messenger": self.messenger, "now": now, "needed": needed, "most": MOST}
            ends = int(connection.scalar(SQL["take"], **values))
        if ends - needed > now:
            self.sleep((ends - needed - now) / 1000)

    def beyond(self, rows: Sequence[Row], addresses: Mapping[str, str], on: date) -> list[Row]:
        """Of `rows`, those for which their domain's share of the day they leave `on` is used up; the others'
        share is taken."""
        warm_up = self.policy.warm_up
        if warm_up is None:
            return []
        domains = {r["message_id"]: _domain(addresses[r["customer_id"]]) for r in rows}
        day = on.isoformat()
        with self.ws.store.write() as connection:
            left = self._left(connection, warm_up, sorted(set(domains.values())), day)
            taken: Counter[str] = Counter()
            beyond = []
            for row in rows:
                domain = domains[row["message_id"]]
                if taken[domain] >= left.get(domain, len(rows)):
                    beyond.append(row)
                else:
                    taken[domain] += 1
            used = [{"domain": one, "day": day, "messages": n} for one, n in taken.items()]
            connection.run_many(SQL["use"], used)
        return beyond

    def _left(
        self, connection: Connection, warm_up: WarmUp, domains: Sequence[str], day: str
    ) -> dict[str, int]:
        """What is left of the day's share of the domains that are still being warmed up."""
        if connection.dialect == "postgresql":
            connection.run(SQL["lock"])
        query = SQL["days"].format(domains=connection.listed("domains"))
        rows = connection.all(query, domains=json.dumps(domains), day=day)
        found = {row["domain_hash"]: row for row in rows}
        left = {}
        for domain in domains:
            row = found.get(domain, {"before": 0, "today": 0})
            allowed = warm_up.allowed(int(row["before"]))
            if allowed is not None:
                left[domain] = max(0, allowed - int(row["today"]))
        return left


def _domain(address: str) -> str:
    """Hashed, for a domain may be a family's name."""
    return address_hash(address.rpartition("@")[2])
