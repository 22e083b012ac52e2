"""What tills did without a line: posted later, in any order, as often as they like, to the same end.

Each operation has its key and stands alone. One that needs something which is still to come (a card
that another till handed out, the redemption that it takes back) waits, and is tried again after every
batch, whosever it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tessera.reward.once import Request, once
from tessera.reward.refusal import Refusal
from tessera.reward.till import SQL, Till
from tessera.store import Connection, Store

Row = Mapping[str, Any]
Act = Callable[[Till, Row], Mapping[str, Any]]
ORDER = ("enrol", "replace", "redeem", "void")  # what is needed first comes first
MAY_COME = ("unknown-card", "unknown-redemption")
WAITING_MOST = 1000


def post(
    store: Store,
    store_id: str,
    operations: Sequence[Row],
    *,
    at: datetime,
    till: Callable[[Connection, str], Till],
    act: Act,
) -> list[Row]:
    """One result for each operation, in their order: `done`, `waiting` or `refused`."""
    in_order = sorted(operations, key=_place)
    results = {one["key"]: _post(store, store_id, one, at, till, act) for one in in_order}
    if "done" in {result["status"] for result in results.values()}:
        results |= _retry(store, store_id, at, till, act)
    return [results[one["key"]] for one in operations]


def _place(one: Row) -> tuple[int, str, str]:
    return ORDER.index(one["kind"]), one["at"], one["key"]


def _post(
    store: Store, store_id: str, one: Row, at: datetime,
    till: Callable[[Connection, str], Till], act: Act,
) -> Row:  # fmt: skip
    request = Request(store_id, one["key"], f"offline {one['kind']}", one, at)

    def work(connection: Connection) -> Mapping[str, Any]:
        try:
            done = act(till(connection, store_id), one)
        except Refusal as refusal:
            if refusal.kind not in MAY_COME:
                raise
            raise _StillToCome from None
        connection.run(SQL["waited"], **request.named)
        return done

    try:
        return {"key": one["key"], "status": "done", "answer": once(store, request, work)}
    except _StillToCome:
        _wait(store, request, one)
        return {"key": one["key"], "status": "waiting"}
    except Refusal as refusal:
        _forget(store, request)
        return {"key": one["key"], "status": "refused", "problem": refusal.kind}


def _wait(store: Store, request: Request, one: Row) -> None:
    with store.write() as connection:
        values = {**request.named, "body": json.dumps(one), "at": one["at"]}
        connection.run(SQL["wait"], **values)


def _forget(store: Store, request: Request) -> None:
    with store.write() as connection:
        connection.run(SQL["waited"], **request.named)


def _retry(
    store: Store, store_id: str, at: datetime, till: Callable[[Connection, str], Till], act: Act
) -> dict[str, Row]:
    """Whatever waits, once more; what became of this store's."""
    with store.read() as connection:
        rows = connection.all(SQL["waiting"], most=WAITING_MOST)
    waiting = [(row["store_id"], json.loads(row["body"])) for row in rows]
    told = {}
    for owner, one in sorted(waiting, key=lambda pair: _place(pair[1])):
        result = _post(store, owner, one, at, till, act)
        if owner == store_id:
            told[one["key"]] = result
    return told


class _StillToCome(Exception):
    pass
