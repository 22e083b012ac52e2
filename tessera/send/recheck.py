"""The last look before sending: has the address been suppressed, consent been withdrawn, a break or fewer
topics been chosen, a complaint been opened, the journey ended or its code been withdrawn, since the message was decided?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessera import redeemed
from tessera.addresses import address_hash
from tessera.consent.preferences import WANTED
from tessera.say.customers import Customer, Customers
from tessera.send.versions import versions
from tessera.send.writing import address
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.send", "recheck.sql")
SQL["redeemed"] = redeemed.latest("{keys}")
SERVICE = "service"  # needs no consent, but is never sent to a suppressed address
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Live:
    """What has been said of a lease's people until now."""

    suppressed: set[tuple[str, str]]  # hash of an address, scope
    withdrawn: set[tuple[str, str]]  # customer, purpose
    chosen: Mapping[str, Mapping[str, str]]  # customer, name of a preference
    worthless: set[str]  # send keys of messages whose code was withdrawn
    today: str

    def stops(self, row: Row, person: Customer, hashed: str) -> str | None:
        """Why a message may not be sent to this person any more."""
        purpose = row["purpose"]
        if (hashed, "all") in self.suppressed or (hashed, purpose) in self.suppressed:
            return "suppressed"
        if row["send_key"] in self.worthless:
            return "no_reward_left: its voucher was withdrawn"
        if purpose == SERVICE:
            return None
        if (person.customer_id, purpose) in self.withdrawn:
            return "no_consent"
        if said := self._choice(row):
            return said
        return "complaint_open" if person.has_complaint_open else None

    def _choice(self, row: Row) -> str | None:
        chosen = self.chosen.get(row["customer_id"])
        if not chosen:
            return None
        for tag in row["tags"].split(","):
            if f"topic:{tag}" in chosen:
                return f"no_consent: topic {tag} declined"
        until = chosen.get("paused_until", "")
        return f"suppressed: paused until {until}" if until > self.today else None


@dataclass(frozen=True)
class Recheck:
    """What stops a message at the last moment."""

    ws: Workspace
    customers: Customers
    channel: str = "email"

    def refusals(self, rows: Sequence[Row], people: Mapping[str, Customer]) -> dict[int, str]:
        """The reason, by message id, for each of `rows` that may not be sent any more."""
        live = Live(
            self._suppressed(people.values()),
            self._withdrawn(list(people)),
            self._chosen(list(people)),
            {row["send_key"] for row in self._rows("worthless", [row["send_key"] for row in rows])},
            self.ws.business_date.isoformat(),
        )
        exited = self._exited(rows, people)
        found = {}
        for row in rows:
            reason = self._reason(row, people.get(row["customer_id"]), live)
            if reason or row["message_id"] in exited:
                found[row["message_id"]] = reason or "exited"
        return found

    def _reason(self, row: Row, person: Customer | None, live: Live) -> str | None:
        if person is None or not address(person, self.channel):
            return "no_address"
        return live.stops(row, person, address_hash(self._known_by(person)))

    def _exited(self, rows: Sequence[Row], people: Mapping[str, Customer]) -> set[int]:
        """The messages whose customer has, since they were decided, done what ends the journey:
        by the campaign as it was when it began."""
        with self.ws.store.read() as connection:
            known = versions(connection, rows)
        ends = {key: body.get("exit_on") or () for key, body in known.items()}
        leaving = [r for r in rows if ends.get((r["campaign"], r["campaign_version"]))]
        if not leaving:
            return set()
        latest = self._latest(sorted({row["customer_id"] for row in leaving}), people)
        named = [r for r in leaving if "clicked" in ends[r["campaign"], r["campaign_version"]]]
        keys = [row["send_key"] for row in named]
        clicked = {row["send_key"] for row in self._rows("clicked", keys)}
        return {
            row["message_id"]
            for row in leaving
            for event in ends[row["campaign"], row["campaign_version"]]
            if _since(latest.get((row["customer_id"], event), ""), row["decided_at"])
        } | {row["message_id"] for row in named if row["send_key"] in clicked}

    def _latest(
        self, ids: Sequence[str], people: Mapping[str, Customer]
    ) -> dict[tuple[str, str], str]:
        """When each customer last did what ends journeys, by customer and event."""
        told = self.customers.query(SQL["complained"], ids)
        latest = {(event["customer_id"], event["event"]): event["occurred_on"] for event in told}
        for row in self._rows("redeemed", ids):
            latest[row["customer_id"], "redeemed"] = row["redeemed_at"]
        for key in ids:  # a purchase is known to the second
            if key in people:
                latest[key, "purchased"] = people[key].fields["last_purchase_at"] or ""
        return latest

    def _suppressed(self, people: Iterable[Customer]) -> set[tuple[str, str]]:
        hashes = [address_hash(self._known_by(person)) for person in people]
        return {(row["address_hash"], row["scope"]) for row in self._rows("suppressions", hashes)}

    def _known_by(self, person: Customer) -> str:
        """What a suppression on this channel is the hash of."""
        if self.channel == "email":
            return person.email or ""
        return address(person, self.channel) or ""

    def _chosen(self, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """What each chose, before they were a customer or since, which holds."""
        before = self.customers.prospects_of(ids)
        chosen: dict[str, dict[str, str]] = {}
        rows = self._rows("choices", [*before, *ids])
        for row in sorted(rows, key=lambda row: row["customer_id"] not in before):
            who = before.get(row["customer_id"]) or row["customer_id"]
            chosen.setdefault(who, {})[row["name"]] = row["value"]
        return {who: {n: v for n, v in its.items() if v != WANTED} for who, its in chosen.items()}

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
