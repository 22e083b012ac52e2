"""Each request once: the same key and body get the same answer, whoever asks how often.

The answer is kept in the transaction that does the work. Of two requests at once one finds, when it
comes to keep its own, that the other's is there: what it did is undone, and it tells the other's. What a
refusal said is kept as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError

from tessera import clock
from tessera.reward.refusal import Refusal
from tessera.store import Connection, Store, queries
from tessera.store.store import Soon
from tessera.workspace import Workspace

SQL = queries("tessera.reward", "till.sql")
KEPT = 200
FORGOTTEN_AT_ONCE = 20_000  # tills wait meanwhile
Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What a till asked for, under a key that it never uses again."""

    store_id: str
    key: str
    what: str
    body: Mapping[str, Any]
    at: datetime

    @property
    def hash(self) -> str:
        said = json.dumps([self.what, self.body], sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()

    @property
    def named(self) -> dict[str, str]:
        return {"store_id": self.store_id, "idem_key": self.key}


def once(store: Store, request: Request, act: Callable[[Connection], Answer]) -> Answer:
    """What `act` answers, now or when this was asked before; Refusal likewise."""
    try:
        answer = store.together(lambda connection: _once(connection, request, act))
    except IntegrityError:  # ours is undone, and the other's is there by now
        answer = store.together(lambda connection: _once(connection, request, act, look=True))
    if isinstance(answer, Refusal):
        raise answer
    return answer


def forget(ws: Workspace) -> int:
    """Drop the answers that are older than the settings keep them; how many. What was done stays done:
    a redemption is named after its key, and cards and reservations know what became of them."""
    before = clock.stamp(ws.as_of - timedelta(days=ws.settings.till_requests_kept_days))
    gone = 0
    while True:
        with ws.store.read() as connection:
            old = connection.all(SQL["old_requests"], before=before, most=FORGOTTEN_AT_ONCE)
        if not old:
            return gone
        with ws.store.write() as connection:
            connection.run_many(SQL["forget_request"], old)
        gone += len(old)


def _once(
    connection: Connection,
    request: Request,
    act: Callable[[Connection], Answer],
    *,
    look: bool = False,
) -> Answer | Refusal:
    """Where the look at what is known is a trip, it travels with the work; work that was done for
    nothing is undone. `look`: as the first thing."""
    asked = connection.soon(SQL["request"], **request.named)
    if (look or asked.is_here) and (known := asked.one()):
        return _said(known, request)
    told: Answer | Refusal
    try:
        with connection.attempt():
            told = _unless_known(asked, act(connection))
    except Refusal as refusal:  # what was done is undone; the answer stays
        told = refusal
    if known := asked.one():
        return _said(known, request)
    if isinstance(told, Refusal):
        _keep(connection, request, told.status, {"kind": told.kind, "about": told.about})
    else:
        _keep(connection, request, KEPT, told)
    return told


def _unless_known(asked: Soon, answer: Answer) -> Answer:
    if asked.one():
        raise Refusal("key-reused")
    return answer


def _said(known: Mapping[str, Any], request: Request) -> Answer | Refusal:
    if known["request_hash"] != request.hash:
        return Refusal("key-reused")
    answer: Answer = json.loads(known["answer"])
    return answer if known["status"] == KEPT else Refusal(answer["kind"], about=answer["about"])


def _keep(connection: Connection, request: Request, status: int, answer: Answer) -> None:
    at, text = clock.stamp(request.at), json.dumps(answer, default=str)
    values = {"request_hash": request.hash, "status": status, "answer": text, "at": at}
    connection.soon(SQL["keep"], **request.named, **values)
