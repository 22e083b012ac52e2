"""The outbox: claims messages under a lease, and moves them through their states.

    ready → leased → calling → accepted | rejected | ambiguous → reconciled, and cancelled

`calling` is committed before the provider is called. A lease that ends while `leased` gives its
messages back; one that ends while `calling` leaves them ambiguous, for nobody can know.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from tessera import approval, clock
from tessera.clock import stamp
from tessera.send.messengers.base import Answer, Fate
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.send", "outbox.sql")
DUE = SQL["due"].format(claimable=SQL["claimable"])
LEASE = timedelta(minutes=10)
ATTEMPTS = 5
DAY, SKEW = timedelta(days=1), timedelta(hours=1)  # a day's run lasts, and clocks differ, no longer
NEVER = "1970-01-01T00:00:00+00:00"  # too late for whatever comes back of a cancelled campaign
FOR_EVER = "9999"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Lease:
    """Messages that only this sender may work on, for as long as the lease lasts."""

    request_id: int
    rows: Sequence[Row]


@dataclass(frozen=True)
class Call:
    """A request that is about to leave, and the messages that are really in it."""

    request_id: int
    message_ids: frozenset[int]


def channels(ws: Workspace) -> list[str]:
    """The channels that have something to be sent, or to be settled; e-mail always."""
    with ws.store.read() as connection:
        found = {row["channel"] for row in connection.all(SQL["channels"])}
    return sorted(found | {"email"})


@dataclass(frozen=True)
class Outbox:
    """The outbox of one workspace, as seen by one sender."""

    ws: Workspace
    owner: str
    messenger: str
    schedules: bool = True
    channel: str = "email"

    @property
    def at(self) -> str:
        """The instant the states are stamped with."""
        return stamp(self.ws.as_of)

    @cached_property
    def is_live(self) -> bool:
        """Whether this acts as of now, or of when the day's run began, hours ago. Who names a day
        means its first instant, and all of that day."""
        is_near = -SKEW < clock.now() - self.ws.as_of < DAY
        return is_near and self.ws.as_of != clock.day_starts(self.ws.business_date, self._zone)

    @property
    def moment(self) -> str:
        """The instant that messages may not be too late for: a run may outlast the hours it began
        in."""
        return stamp(clock.now()) if self.is_live else self.at

    @property
    def day(self) -> date:
        """The business date of that instant."""
        return clock.business_date(datetime.fromisoformat(self.moment), self.ws.settings.timezone)

    @property
    def until(self) -> str:
        """What is due before this instant is sent now: the whole business date, where the
        messenger keeps a message until it is due or the day is a named one."""
        return self.moment if self.is_live and not self.schedules else self.end_of_day

    @property
    def end_of_day(self) -> str:
        return stamp(clock.day_ends(self.ws.business_date, self._zone))

    def cancel_late(self) -> int:
        """Messages whose time has passed are not sent any more; how many."""
        with self.ws.store.write() as connection:
            values = {"at": self.at, "moment": self.moment, "channel": self.channel}
            return connection.run(SQL["late"], **values, never=NEVER)

    def due(self) -> list[Row]:
        """How many messages are due, by template and language."""
        with self.ws.store.read() as connection:
            return connection.all(DUE, **self._due_values())

    def waiting(self) -> int:
        """How many messages of this business date are still to be sent."""
        with self.ws.store.read() as connection:
            values = {"until": self.end_of_day, "channel": self.channel}
            return int(connection.scalar(SQL["waiting"], **values))

    def unapproved(self) -> tuple[str, ...]:
        """Why campaigns are not sent that wait for approval, a sentence each."""
        with self.ws.store.read() as connection:
            return tuple(approval.sentence(row) for row in approval.waiting(connection))

    def set_aside(self, row: Row, why: str) -> str:
        """Notes why the due messages of a template and language wait; what `claim` knows them by."""
        with self.ws.store.write() as connection:
            text = SQL["say_why"].format(claimable=SQL["claimable"])
            its = {"template": row["template"], "language": row["language"]}
            connection.run(text, **self._due_values(), **its, why=why)
        return f"{row['template']} {row['language']}"

    def claim(
        self, size: int, aside: Sequence[str] = (), ranks: Mapping[str, int] | None = None
    ) -> Lease | None:
        """Up to `size` due messages but for those set `aside`, under one lease; None when nothing
        is due. With `ranks`, by campaign and version, what ranks higher goes first, and service before all."""
        if ranks is None:
            return self._claim(size, aside)
        while chosen := self._first(size, aside, ranks):
            if lease := self._claim(size, aside, chosen):
                return lease  # else others were quicker with all of them
        return None

    def _first(self, size: int, aside: Sequence[str], ranks: Mapping[str, int]) -> list[int]:
        """The numbers of who goes first, looked for among all that is due while others may write."""
        with self.ws.store.read() as connection:
            claimable, values = self._claimable(connection, {"aside": aside})
            query = SQL["first"].format(claimable=claimable, ranks=connection.paired("ranks"))
            rows = connection.all(query, **values, ranks=json.dumps(ranks), size=size)
            return [row["message_id"] for row in rows]

    def _claim(self, size: int, aside: Sequence[str], chosen: Sequence[int] = ()) -> Lease | None:
        with self.ws.store.write() as connection:
            request = self._open(connection, "leased")
            claimable, values = self._claimable(connection, {"aside": aside, "chosen": chosen})
            lock = "for update skip locked" if connection.dialect == "postgresql" else ""
            query = SQL["claim"].format(claimable=claimable, lock=lock)
            rows = connection.all(query, **values, at=self.at, request=request, size=size)
            if not rows:
                connection.run(SQL["close_lease"], request=request)
                return None
            places = {number: place for place, number in enumerate(chosen)}
            return Lease(request, sorted(rows, key=lambda row: _turn(row, places)))

    def _claimable(
        self, connection: Connection, among: Mapping[str, Sequence[object]]
    ) -> tuple[str, dict[str, object]]:
        """What is due, without those set `aside` and, where some are, of the `chosen`."""
        asked = {name: those for name, those in among.items() if those}
        tests = [SQL[name].format(**{name: connection.listed(name)}) for name in asked]
        values = {name: json.dumps(those) for name, those in asked.items()}
        return " ".join([SQL["claimable"], *tests]), {**self._due_values(), **values}

    def drop(self, lease: Lease, state: str, reasons: Mapping[int, str]) -> None:
        """Leased messages that will not be sent, with the reason for each."""
        if reasons:
            with self.ws.store.write() as connection:
                connection.run(
                    SQL["drop_leased"].format(reasons=connection.paired("reasons")),
                    state=state,
                    at=self.at,
                    request=lease.request_id,
                    reasons=json.dumps(reasons),
                )

    def put_off(
        self,
        lease: Lease,
        rows: Sequence[Row],
        reasons: Mapping[int, str],
        ends: Mapping[int, str],
    ) -> int:
        """Leased messages that are sent a day later, within the same hours; how many are not, since that
        is after what `ends` says of them."""
        later = [
            {
                "id": row["message_id"],
                "reason": reasons[row["message_id"]],
                "request": lease.request_id,
                "at": self.at,
                **hours_later(1, row, ends[row["message_id"]]),
            }
            for row in rows
        ]
        goes = [one for one in later if one["send_at"] < ends[one["id"]]]
        late = {one["id"]: one["reason"] for one in later if one["send_at"] >= ends[one["id"]]}
        self.drop(lease, "cancelled", late)
        if goes:
            with self.ws.store.write() as connection:
                connection.run_many(SQL["put_off"], goes)
        return len(late)

    def call(self, lease: Lease, hashes: Mapping[int, str]) -> Call | None:
        """Commits that a provider is about to be called with these messages (and the hash of
        each one's content), less those that were put on hold or cancelled meanwhile; None when
        none are left, because the lease was lost."""
        try:
            with self.ws.store.write() as connection:
                return self._call(connection, lease, hashes)
        except _NothingLeft:
            return None

    def finish(self, request: int, rows: Sequence[Row], answer: Answer) -> None:
        """Commits what the provider said of each message, in the order of `rows`."""
        others = [
            self._exception(request, row, outcome.fate, outcome.reason)
            for row, outcome in zip(rows, answer.outcomes, strict=True)
            if outcome.fate is not Fate.ACCEPTED
        ]
        with self.ws.store.write() as connection:
            connection.run(SQL["accept"], request=request, at=self.moment)
            connection.run_many(SQL["except"], others)
            self._finish(connection, request, answer.state, answer)

    def give_back(self, request: int, reason: str) -> None:
        """A definite no to the whole request: its messages are ready again."""
        with self.ws.store.write() as connection:
            connection.run(SQL["give_back"], request=request, at=self.at)
            self._finish(connection, request, "rejected", Answer((), error=reason))

    def release(self, lease: Lease) -> None:
        """Ends a lease; what is still under it is ready again."""
        with self.ws.store.write() as connection:
            self._release(connection, lease.request_id)

    def reap(self, dead: Collection[str], repeatable: Collection[str]) -> None:
        """Ends the leases of senders that are gone or have taken too long. A request in the
        middle of a call is ambiguous, unless its messenger can do the same thing twice."""
        now = stamp(clock.now())
        with self.ws.store.write() as connection:
            for row in connection.all(SQL["open_requests"]):
                if row["leased_by"] not in dead and row["leased_until"] > now:
                    continue
                if row["state"] == "leased":
                    self._release(connection, row["request_id"])
                else:
                    self._abandon(connection, row, repeatable)

    def settle(self, wait: timedelta) -> int:
        """Messages that nothing was heard of for so long are sent again, or given up, as their
        purpose says; how many."""
        before = stamp(clock.now() - wait)
        with self.ws.store.write() as connection:
            doubted = connection.all(SQL["doubted"], before=before, never=NEVER)
            again = connection.run_many(SQL["send_again"], [self._again(row) for row in doubted])
            given_up = connection.run(SQL["settle"], before=before, at=self.at)
            connection.run(SQL["settled_requests"], before=before)
        return again + given_up

    def _again(self, row: Row) -> Row:
        """Within its hours: where those of its day are over, the next day's."""
        return {"id": row["message_id"], "at": self.at, **next_hours(row, self.moment)}

    def _due_values(self) -> dict[str, str]:
        return {
            "until": self.until,
            "now": stamp(clock.now()),
            "moment": self.moment,
            "channel": self.channel,
        }

    @property
    def _zone(self) -> ZoneInfo:
        return clock.zone(self.ws.settings.timezone)

    def _call(self, connection: Connection, lease: Lease, hashes: Mapping[int, str]) -> Call:
        request = self._open(connection, "calling", fence=lease.request_id, messages=len(hashes))
        connection.run(
            SQL["call"].format(hashes=connection.paired("hashes")),
            request=request,
            lease=lease.request_id,
            moment=self.moment,
            hashes=json.dumps(hashes),
        )
        called = connection.all(SQL["called"], request=request)
        if not called:
            raise _NothingLeft
        until = stamp(clock.now() + LEASE)  # whoever is at work keeps its lease
        connection.run(SQL["renew"], request=lease.request_id, until=until)
        return Call(request, frozenset(row["message_id"] for row in called))

    def _abandon(self, connection: Connection, row: Row, repeatable: Collection[str]) -> None:
        reason = "the sender ended in the middle of the call"
        can_repeat = row["messenger"] in repeatable
        move = SQL["give_back"] if can_repeat else SQL["doubt"]
        values = {"request": row["request_id"], "at": self.at}
        connection.run(move, **values, **({} if can_repeat else {"reason": reason}))
        state = "rejected" if can_repeat else "ambiguous"
        self._finish(connection, row["request_id"], state, Answer((), error=reason))

    def _release(self, connection: Connection, request: int) -> None:
        connection.run(SQL["release"], request=request, at=self.at)
        connection.run(SQL["close_lease"], request=request)

    def _open(
        self, connection: Connection, state: str, *, fence: int = 0, messages: int = 0
    ) -> int:
        now = clock.now()
        return int(
            connection.scalar(
                SQL["open_request"],
                messenger=self.messenger,
                state=state,
                owner=self.owner,
                until=stamp(now + LEASE),
                fence=fence,
                now=stamp(now),
                called_at=stamp(now) if state == "calling" else None,
                messages=messages,
            )
        )

    def _finish(self, connection: Connection, request: int, state: str, answer: Answer) -> None:
        connection.run(
            SQL["finish_request"],
            request=request,
            state=state,
            now=stamp(clock.now()),
            status_code=answer.status_code,
            provider_id=answer.provider_id,
            error=answer.error,
        )

    def _exception(self, request: int, row: Row, fate: Fate, reason: str | None) -> Row:
        """A message that was not accepted: 'not now' is asked again a few times, ever later."""
        state, retry_at, asked = fate.value, None, 1
        if fate is Fate.LATER:
            state = "ready" if row["attempts"] + 1 < ATTEMPTS else "rejected"
            retry_at = stamp(clock.now() + timedelta(minutes=5 * 4 ** row["attempts"]))
        if fate in (Fate.AGAIN, Fate.SPLIT):
            state, asked = "ready", int(fate is Fate.SPLIT)
        return {
            "id": row["message_id"],
            "request": request,
            "state": state,
            "reason": reason,
            "retry_at": retry_at,
            "asked": asked,
            "at": self.at,
        }


def _turn(row: Row, places: Mapping[int, int]) -> tuple[int, str, int]:
    """As the queries have it, for what is claimed is returned in no order."""
    return places.get(row["message_id"], 0), row["send_at"], row["message_id"]


def next_hours(row: Row, moment: str, end: str = FOR_EVER) -> dict[str, str]:
    """The first hours of a message, from its own on, that are not over at `moment`."""
    late = datetime.fromisoformat(moment) - datetime.fromisoformat(row["not_after"])
    days = max(0, ceil(late / DAY))
    found = hours_later(days, row, FOR_EVER)
    return hours_later(days + (found["not_after"] < moment), row, end)  # the clocks went back


def hours_later(days: int, row: Row, end: str) -> dict[str, str]:
    """A message's hours so many days later by the customer's clock, and no longer than `end`."""
    zone = clock.zone_or(row["timezone"])
    send_at, not_after = (
        stamp(datetime.fromisoformat(row[name]).astimezone(zone) + timedelta(days=days))
        for name in ("send_at", "not_after")
    )
    return {"send_at": send_at, "not_after": min(not_after, end)}


class _NothingLeft(Exception):
    pass
