"""What tills did without a line: posted later, in any order, as often as they like, to the same end.

Each operation has its key and stands alone. One that needs something which is still to come (a card
that another till handed out, the redemption that it takes back) waits, and is tried again after every
batch, whosever it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tessera.reward.once import Request, once
from tessera.reward.refusal import Refusal
from tessera.reward.till import SQL, Till
from tessera.store import Connection, Store

Row = Mapping[str, Any]
ORDER = ("enrol", "replace", "redeem", "void")  # what is needed first comes first
TOO_EARLY, KEY_REUSED = "too-far-ahead", "key-reused"
MAY_COME = ("unknown-card", "unknown-redemption")


@dataclass(frozen=True)
class Post:
    """Where batches arrive at one instant. `act` does one operation at its store's till."""

    store: Store
    at: datetime
    till: Callable[[Connection, str], Till]
    act: Callable[[Till, Row], Row]

    def take_in(self, store_id: str, operations: Sequence[Row]) -> list[Row]:
        """One result for each operation, in their order: `done`, `waiting` or `refused`."""
        places = sorted(range(len(operations)), key=lambda place: _place(operations[place]))
        told = {place: self._one(store_id, operations[place]) for place in places}
        tried = self._retry(store_id) if "done" in {r["status"] for r in told.values()} else {}
        for place, result in told.items():
            if result["status"] == "waiting":
                told[place] = tried.get(result["key"], result)
        return [told[place] for place in range(len(operations))]

    def _one(self, store_id: str, one: Row) -> Row:
        request = Request(store_id, one["key"], f"offline {one['kind']}", one, self.at)
        try:
            once(self.store, request, lambda connection: self._work(connection, request, one))
        except _StillToCome:
            self._wait(request, one)
            return {"key": one["key"], "status": "waiting", "problem": None}
        except _NotKept as no:
            return {"key": one["key"], "status": "refused", "problem": no.args[0]}
        except Refusal as refusal:
            with self.store.write() as connection:
                connection.run(SQL["waited"], **request.named)
            return {"key": one["key"], "status": "refused", "problem": refusal.kind}
        return {"key": one["key"], "status": "done", "problem": None}

    def _work(self, connection: Connection, request: Request, one: Row) -> Row:
        waiting = connection.scalar(SQL["waits"], **request.named)
        if waiting is not None and json.loads(waiting) != one:
            raise _NotKept(KEY_REUSED)  # the answer under this key is that of what waits
        try:
            done = self.act(self.till(connection, request.store_id), one)
        except Refusal as refusal:
            if refusal.kind in MAY_COME:
                raise _StillToCome from None
            if refusal.kind == TOO_EARLY:
                raise _NotKept(refusal.kind) from None  # the same may be done once it is time
            raise
        connection.run(SQL["waited"], **request.named)
        return done

    def _wait(self, request: Request, one: Row) -> None:
        with self.store.write() as connection:
            connection.run(SQL["wait"], **request.named, body=json.dumps(one), at=one["at"])

    def _retry(self, store_id: str) -> dict[str, Row]:
        """What waits and could be done by now, once more; what became of this store's."""
        told: dict[tuple[str, str], Row] = {}
        while ripe := [pair for pair in self._ripe() if (pair[0], pair[1]["key"]) not in told]:
            for owner, one in sorted(ripe, key=lambda pair: _place(pair[1])):
                told[owner, one["key"]] = self._one(owner, one)
        return {key: result for (owner, key), result in told.items() if owner == store_id}

    def _ripe(self) -> list[tuple[str, Row]]:
        """Those whose card or redemption is there. Others may wait for ever: a number was misread."""
        with self.store.read() as connection:
            rows = connection.all(SQL["waiting"])
            waiting = [(row["store_id"], json.loads(row["body"])) for row in rows]
            needs = [self._need(connection, owner, one) for owner, one in waiting]
            query = SQL["there"].format(names=connection.listed("names"))
            there = {row["name"] for row in connection.all(query, names=json.dumps(needs))}
        return [pair for pair, need in zip(waiting, needs, strict=True) if need in there]

    def _need(self, connection: Connection, store_id: str, one: Row) -> str:
        is_void = one["kind"] == "void"
        return self.till(connection, store_id).name(one["of"]) if is_void else one["card"]


def _place(one: Row) -> tuple[int, str, str]:
    return ORDER.index(one["kind"]), one["at"], one["key"]


class _StillToCome(Exception):
    pass


class _NotKept(Exception):
    """A no that is no answer for ever."""
