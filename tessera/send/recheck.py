"""The last look before sending: has the address been suppressed, or consent been withdrawn, since
the message was decided?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessera.addresses import address_hash, mailbox
from tessera.say.customers import Customer, Customers
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

    def refusals(self, rows: Sequence[Row], people: Mapping[str, Customer]) -> dict[int, str]:
        """The reason, by message id, for each of `rows` that may not be sent any more."""
        suppressed = self._suppressed(people.values())
        withdrawn = self._withdrawn(list(people))
        return {
            row["message_id"]: reason
            for row in rows
            if (reason := self._reason(row, people.get(row["customer_id"]), suppressed, withdrawn))
        }

    def _reason(
        self,
        row: Row,
        person: Customer | None,
        suppressed: set[tuple[str, str]],
        withdrawn: set[tuple[str, str]],
    ) -> str | None:
        if person is None or not mailbox(person.email or ""):
            return "no_address"
        hashed, purpose = address_hash(person.email or ""), row["purpose"]
        if (hashed, "all") in suppressed or (hashed, purpose) in suppressed:
            return "suppressed"
        if purpose != SERVICE and (person.customer_id, purpose) in withdrawn:
            return "no_consent"
        return None

    def _suppressed(self, people: Iterable[Customer]) -> set[tuple[str, str]]:
        hashes = [address_hash(person.email) for person in people if person.email]
        return {(row["address_hash"], row["scope"]) for row in self._rows("suppressions", hashes)}

    def _withdrawn(self, ids: Sequence[str]) -> set[tuple[str, str]]:
        """(customer, purpose) whose latest word, in the marts or in the store, is no. Silence is
        not looked at: whoever decided to write has seen a yes."""
        words = [*self.customers.query(SQL["mart_words"], ids), *self._rows("words", ids)]
        # Of two words of the same second the no holds.
        in_order = sorted(words, key=lambda word: (word["recorded_at"], -word["granted"]))
        latest = {(word["customer_id"], word["purpose"]): word["granted"] for word in in_order}
        return {key for key, granted in latest.items() if not granted}

    def _rows(self, query: str, keys: Sequence[str]) -> list[Row]:
        if not keys:
            return []
        marks = {f"key{number}": key for number, key in enumerate(keys)}
        text = SQL[query].format(keys=", ".join(f":{name}" for name in marks))
        with self.ws.store.read() as connection:
            return connection.all(text, **marks)
