"""The last look before sending: has the address been suppressed, consent been withdrawn, a complaint
been opened or the journey ended, since the message was decided?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessera.addresses import address_hash
from tessera.say.customers import Customer, Customers
from tessera.send.writing import address
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.send", "recheck.sql")
SERVICE = "service"  # needs no consent, but is never sent to a suppressed address
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Recheck:
    """What stops a message at the last moment."""

    ws: Workspace
    customers: Customers
    channel: str = "email"

    def refusals(self, rows: Sequence[Row], people: Mapping[str, Customer]) -> dict[int, str]:
        """The reason, by message id, for each of `rows` that may not be sent any more."""
        suppressed = self._suppressed(people.values())
        withdrawn = self._withdrawn(list(people))
        exited = self._exited(rows, people)
        found = {}
        for row in rows:
            person = people.get(row["customer_id"])
            reason = self._reason(row, person, suppressed, withdrawn)
            if reason or row["message_id"] in exited:
                found[row["message_id"]] = reason or "exited"
        return found

    def _reason(
        self,
        row: Row,
        person: Customer | None,
        suppressed: set[tuple[str, str]],
        withdrawn: set[tuple[str, str]],
    ) -> str | None:
        whom = person and address(person, self.channel)
        if person is None or not whom:
            return "no_address"
        hashed, purpose = address_hash(self._known_by(person)), row["purpose"]
        if (hashed, "all") in suppressed or (hashed, purpose) in suppressed:
            return "suppressed"
        if purpose != SERVICE and (person.customer_id, purpose) in withdrawn:
            return "no_consent"
        if purpose != SERVICE and person.has_complaint_open:
            return "complaint_open"
        return None

    def _exited(self, rows: Sequence[Row], people: Mapping[str, Customer]) -> set[int]:
        """The messages whose customer has, since they were decided, done what ends the journey:
        by the campaign as it was when it began."""
        with self.ws.store.read() as connection:
            versions = connection.all(SQL["versions"].format(keys=connection.listed("keys")),
                                      keys=json.dumps(sorted({r["campaign"] for r in rows})))  # fmt: skip
        ends = {
            (v["campaign"], v["version"]): json.loads(v["body"]).get("exit_on") for v in versions
        }
        leaving = [r for r in rows if ends.get((r["campaign"], r["campaign_version"]))]
        if not leaving:
            return set()
        ids = sorted({row["customer_id"] for row in leaving})
        latest = {
            (event["customer_id"], event["event"]): event["occurred_on"]
            for event in self.customers.query(SQL["mart_events"], ids)
        }
        for key in ids:  # a purchase is known to the second
            if key in people:
                latest[key, "purchased"] = people[key].fields["last_purchase_at"] or ""
        return {
            row["message_id"]
            for row in leaving
            for event in ends[row["campaign"], row["campaign_version"]]
            if _since(latest.get((row["customer_id"], event), ""), row["decided_at"])
        }

    def _suppressed(self, people: Iterable[Customer]) -> set[tuple[str, str]]:
        hashes = [address_hash(self._known_by(person)) for person in people]
        return {(row["address_hash"], row["scope"]) for row in self._rows("suppressions", hashes)}

    def _known_by(self, person: Customer) -> str:
        """What a suppression on this channel is the hash of."""
        if self.channel == "email":
            return person.email or ""
        return address(person, self.channel) or ""

    def _withdrawn(self, ids: Sequence[str]) -> set[tuple[str, str]]:
        """(customer, purpose) whose latest word, in the marts or in the store, is no. Silence is
        not looked at: whoever decided to write has seen a yes."""
        marts = self.customers.query(SQL["mart_words"], ids, channel=self.channel)
        words = [*marts, *self._rows("words", ids)]
        # Of two words of the same second the no holds.
        in_order = sorted(words, key=lambda word: (word["recorded_at"], -word["granted"]))
        latest = {(word["customer_id"], word["purpose"]): word["granted"] for word in in_order}
        return {key for key, granted in latest.items() if not granted}

    def _rows(self, query: str, keys: Sequence[str]) -> list[Row]:
        with self.ws.store.read() as connection:
            text = SQL[query].format(keys=connection.listed("keys"))
            return connection.all(text, keys=json.dumps(keys), channel=self.channel)


def _since(moment: str, decided_at: str) -> bool:
    """Whether something happened after the decision, or, when only its day is known, on that day."""
    return moment > decided_at or moment == decided_at[:10]
