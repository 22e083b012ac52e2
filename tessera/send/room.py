"""Whether the caps have room at the instant a message leaves. Deciding saw to that; but meanwhile a
campaign may have been paused and resumed, two people merged, or the policy tightened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa

from tessera.caps import PACES
from tessera.clock import stamp
from tessera.say.customers import Customers
from tessera.send.policy import SendingPolicy
from tessera.send.versions import versions
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.send", "room.sql")
MARKETING = "marketing"
LATEST = timedelta(days=31)  # whoever was written to later than so long after the hour is forgotten
Row = Mapping[str, Any]


def _schema(numbers: str, texts: str) -> pa.Schema:
    kinds = {
        **dict.fromkeys(numbers.split(), pa.int64()),
        **dict.fromkeys(texts.split(), pa.string()),
    }
    return pa.schema(list(kinds.items()))


NEAR = _schema("message_id", "customer_id household_id channel tags at")
PACE = _schema("", "customer_id value")
MERGED = _schema("", "customer_id into_customer_id")
MINE = _schema("message_id place", "")
CAP = pa.schema([*_schema("position most minutes", "label channel tag pace"),
                 pa.field("per_household", pa.bool_())])  # fmt: skip


@dataclass(frozen=True)
class Room:
    """The caps of one policy, and what has left."""

    ws: Workspace
    policy: SendingPolicy
    customers: Customers

    def full(self, rows: Sequence[Row], moment: str) -> dict[int, str]:
        """The cap without room at `moment`, by message id, for each of a lease's `rows` that it keeps back. Of
        several the campaign of higher priority goes first, then what is due first."""
        asked = [row for row in rows if row["purpose"] == MARKETING]
        found: dict[int, str] = {}
        if asked:
            self._register(asked)
            while more := self._over(found, moment):  # what stays back leaves room for what follows
                found |= more
        return found

    def _over(self, refused: Mapping[int, str], moment: str) -> dict[int, str]:
        values = {"at": moment, "refused": list(refused)}
        rows = self.customers.connection.execute(SQL["full"], values).fetchall()
        return {number: f"capped: {label}" for number, label in rows}

    def _register(self, rows: Sequence[Row]) -> None:
        with self.ws.store.read() as connection:
            tables = {**self._near(connection, rows), "mine": self._mine(connection, rows)}
        for name, table in {**tables, "cap": self._caps}.items():
            self.customers.connection.register(name, table)

    def _near(self, connection: Connection, rows: Sequence[Row]) -> dict[str, pa.Table]:
        people, names = sorted({row["customer_id"] for row in rows}), connection.listed("people")
        merged = connection.arrow(
            SQL["merged"].format(people=names), MERGED, people=json.dumps(people)
        )
        before = self.customers.prospects_of(people)
        were = {"customer_id": list(before), "into_customer_id": list(before.values())}
        merged = pa.concat_tables([merged, pa.table(were, schema=MERGED)])
        same = sorted(
            {*people, *(name for column in merged.columns for name in column.to_pylist())}
        )
        households = sorted({row["household_id"] for row in rows if row["household_id"]})
        near = SQL["near"].format(people=names, households=connection.listed("households"))
        given = {"people": json.dumps(same), "households": json.dumps(households)}
        paces = SQL["paces"].format(people=names)
        return {
            "merged": merged,
            "near": connection.arrow(near, NEAR, **self._since(rows), **given),
            "pace": connection.arrow(paces, PACE, people=json.dumps(same)),
        }

    def _since(self, rows: Sequence[Row]) -> dict[str, str]:
        """From when on messages count, and from when on those were due that may."""
        first = datetime.fromisoformat(min(row["send_at"] for row in rows))
        within = min(first, self.ws.as_of) - self._longest
        return {"within": stamp(within), "since": stamp(within - LATEST)}

    @property
    def _longest(self) -> timedelta:
        return timedelta(minutes=max(self._caps["minutes"].to_pylist()))

    def _mine(self, connection: Connection, rows: Sequence[Row]) -> pa.Table:
        """The messages of the lease in the order they go."""
        known = versions(connection, rows)

        def place(row: Row) -> tuple[int, str, int]:
            body = known.get((row["campaign"], row["campaign_version"]), {})
            return -int(body.get("priority", 0)), row["send_at"], row["message_id"]

        ids = [row["message_id"] for row in sorted(rows, key=place)]
        return pa.table({"message_id": ids, "place": list(range(len(ids)))}, schema=MINE)

    @cached_property
    def _caps(self) -> pa.Table:
        rows = [{"position": number, **cap} for number, cap in enumerate(self._limits())]
        return pa.Table.from_pylist(rows, CAP)

    def _limits(self) -> Iterator[dict[str, Any]]:
        for cap in self.policy.limits:
            yield {
                "label": str(cap),
                "most": cap.max,
                "minutes": _minutes(cap.span),
                "channel": cap.channel,
                "tag": cap.tag,
                "per_household": cap.per == "household",
            }
        for pace, days in PACES.items():
            label, minutes = f"1 in {days} days, as chosen", _minutes(timedelta(days=days))
            yield {"label": label, "most": 1, "minutes": minutes, "pace": pace,
                   "per_household": False}  # fmt: skip


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds()) // 60
