"""What goes with a message: how much of each reward is left, and the codes that are reserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from tessera.decide import campaigns
from tessera.decide.tables import REWARD, Course
from tessera.errors import BadInput
from tessera.store import Connection, queries
from tessera.vouchers import pool
from tessera.vouchers.terms import Terms
from tessera.workspace import PROGRAMME, Workspace

SQL = queries("tessera.decide", "outbox.sql")


def terms(project: Path) -> dict[str, Terms]:
    """What the codes of each reward promise; BadInput names the first that cannot be."""
    return {name: _terms(name, said) for name, said in campaigns.rewards(project).items()}


def _terms(name: str, said: Mapping[str, Any]) -> Terms:
    try:
        return Terms.model_validate(said.get("voucher") or {})
    except ValidationError:
        wrong = f"{PROGRAMME}: the voucher of '{name}' cannot be"
        raise BadInput(f"{wrong}; 'tessera programme check' says why.") from None


def left(store: Connection, ws: Workspace, courses: Sequence[Course]) -> pa.Table:
    """`reward`: the rewards of which there is a limit or a pool, and how many are left; of those that
    campaigns grant and the programme does not know (any more), none."""
    given = {row["reward"]: row["given"] for row in store.all(SQL["rewards_given"])}
    known = campaigns.rewards(ws.project)
    steps = [step for course in courses for step in course.campaign.steps]
    unknown = {step.grant.voucher for step in steps if step.grant} - set(known)
    rows = [{"reward": name, "remaining": 0} for name in sorted(unknown)]
    for name, said in known.items():
        its = _terms(name, said)
        limits = [] if said.get("limit") is None else [said["limit"] - given.get(name, 0)]
        if its.codes == "pool":
            limits.append(pool.free(store, name, its, ws.business_date))
        if limits:
            rows.append({"reward": name, "remaining": min(limits)})
    return pa.Table.from_pylist(rows, REWARD)


def reserve(store: Connection, ws: Workspace, grants: pa.Table) -> None:
    """A code for each of `grants` (send_key, reward, customer_id), in the messages' transaction."""
    of = terms(ws.project)
    found = pool.reserve(store, grants, of, day=ws.business_date, at=ws.as_of)
    store.insert_new("reward_grant", found.select(["send_key", "reward", "code"]))
