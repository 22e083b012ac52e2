"""Pairs of customers who may be one person: merged, asked about, or told apart for good.

What was found is worked out anew at every look; only what somebody said of a pair is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from tessera import audit
from tessera.errors import BadInput
from tessera.know import duplicates as found
from tessera.know.identity import Thresholds
from tessera.land.erased import Keyring
from tessera.person.merge import SQL, merge_all, set_apart
from tessera.workspace import Workspace

MOST = 5  # registrations of one person that are merged without asking
Pair = Mapping[str, Any]


@dataclass(frozen=True)
class DuplicatesReport:
    """Customers compared, merges written, and pairs that somebody should look at."""

    customers: int
    merged: int
    to_review: int


def is_daily(ws: Workspace) -> bool:
    """Whether the project wants duplicates looked for and merged as part of the day."""
    return Thresholds.of(ws).every_day


def look(ws: Workspace, *, with_merges: bool) -> DuplicatesReport:
    """Look for duplicates, and merge those beyond doubt if wanted; again, there are none of them."""
    report = found.find(ws)
    merges = list(_beyond_doubt(ws)) if with_merges else []
    if merges:
        merge_all(ws, merges)
    return DuplicatesReport(report.customers, len(merges), len(pairs(ws)))


def pairs(ws: Workspace) -> list[Pair]:
    """What is still open, the likeliest first: who would stay, who would go, and why."""
    path = ws.home.duplicates
    if not path.exists():
        raise BadInput("Nobody has looked for duplicates yet: 'tessera person duplicates find'.")
    merges, apart = _said(ws)
    keepers = set(merges.values())
    seen: dict[tuple[str, ...], Pair] = {}
    for row in pq.read_table(path).to_pylist():
        keep, other = (merges.get(row[c], row[c]) for c in ("into_customer_id", "customer_id"))
        if other in keepers and keep not in keepers:
            keep, other = other, keep
            row |= {"joined_at": row["into_joined_at"], "into_joined_at": row["joined_at"]}
        key = tuple(sorted((keep, other)))
        if keep != other and key not in apart:
            seen.setdefault(key, row | {"into_customer_id": keep, "customer_id": other})
    return list(seen.values())


def described(ws: Workspace, some: Iterable[Pair]) -> list[dict[str, Any]]:
    """The pairs with what both said of themselves, for whoever has to judge."""
    listed = list(some)
    asked = sorted({row[c] for row in listed for c in ("customer_id", "into_customer_id")})
    with found.register(ws) as duck:
        people = {row["customer_id"]: row for row in found.told(duck, asked)}
    return [
        {
            "keep": row["into_customer_id"],
            "other": row["customer_id"],
            **{
                name: row[name]
                for name in ("probability", "verdict", "agrees", "nearly", "differs")
            },
            "keep_is": people.get(row["into_customer_id"], {}),
            "other_is": people.get(row["customer_id"], {}),
        }
        for row in listed
    ]


def accept(ws: Workspace, one: str, other: str) -> tuple[str, str]:
    """Merge a pair of the list; who stays, and who is the same person. BadInput when it is not
    on the list."""
    row = _listed(ws, one, other)
    pair = (row["into_customer_id"], row["customer_id"])
    merge_all(ws, [pair])
    return pair


def refuse(ws: Workspace, one: str, other: str) -> None:
    """Two people, whatever the register looks like: never asked again. BadInput when the pair is
    not on the list."""
    _listed(ws, one, other)
    ring = Keyring.of(ws)
    with ws.store.write() as connection:
        set_apart(connection, one, other)
        audit.record(ws, connection, "refuse merge", ring.person(one), other=ring.person(other))


def _listed(ws: Workspace, one: str, other: str) -> Pair:
    for row in pairs(ws):
        if {row["customer_id"], row["into_customer_id"]} == {one, other}:
            return row
    raise BadInput(
        f"'{one}' and '{other}' are not on the list of 'tessera person duplicates list'; "
        "'tessera person merge' merges whom you like."
    )


def _said(ws: Workspace) -> tuple[dict[str, str], set[tuple[str, ...]]]:
    """Who is whom by now, and which two were told apart."""
    with ws.store.read() as connection:
        merges = connection.all(SQL["in_force"])
        apart = connection.all(SQL["apart"])
    into = {row["customer_id"]: row["into_customer_id"] for row in merges}
    return into, {(row["customer_id"], row["into_customer_id"]) for row in apart}


def _beyond_doubt(ws: Workspace) -> Iterator[tuple[str, str]]:
    """Whom to merge into whom: everybody of a group of pairs into the first who joined, or into
    whom others were merged already. A group that is too large, or in which two were told apart or
    hold others each, is left for somebody to look at."""
    merges, apart = _said(ws)
    keepers = set(merges.values())
    joined: dict[str, str] = {}
    sure = [row for row in pairs(ws) if row["verdict"] == "automatic"]
    for row in sure:
        joined[row["customer_id"]] = str(row["joined_at"] or "")
        joined[row["into_customer_id"]] = str(row["into_joined_at"] or "")
    for group in _groups((row["customer_id"], row["into_customer_id"]) for row in sure):
        held = keepers & group
        is_split = any(set(two) <= group for two in apart)
        if len(group) <= MOST and len(held) <= 1 and not is_split:
            keep = min(held or group, key=lambda one: (joined[one], one))
            yield from ((keep, other) for other in sorted(group - {keep}))


def _groups(edges: Iterable[tuple[str, str]]) -> list[set[str]]:
    """Who hangs together by the edges, in the order of their ids."""
    groups: dict[str, set[str]] = defaultdict(set)
    for one, other in edges:
        both = groups[one] | groups[other] | {one, other}
        groups.update(dict.fromkeys(both, both))
    return sorted({id(group): group for group in groups.values()}.values(), key=min)
