"""What the programme owes, as the models reckon it from the ledger that was exported to them: by month,
by the month points end, by the month they came in, and the part of sales that is deferred for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tessera.errors import BadInput
from tessera.store import Store, queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

SQL = queries("tessera.reward", "liability.sql")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Liability:
    """Points, and money in minor units, as of the night that the models know of."""

    programme: str
    as_of: str
    months: Rows  # of liability_by_month
    outstanding: Rows  # of liability_by_expiry
    cohorts: Rows  # of liability_by_cohort
    deferred: Rows  # of deferral_by_month
    points: int  # outstanding in all, held ones included, less what members owe


def liability(ws: Workspace, programme: str) -> Liability:
    """The figures of the snapshot in force; BadInput when there is none that knows any."""
    snapshot, found = marts.current(ws.home), dict[str, Rows]()
    if "liability_by_month" not in snapshot.marts:
        raise BadInput("The models in force know of no liability yet; 'tessera run' builds it.")
    with ws.marts() as duck:
        for name in ("months", "outstanding", "cohorts", "deferred"):
            rows = duck.execute(SQL[name], {"programme": programme}).to_arrow_table().to_pylist()
            found[name] = rows
    points = found["months"][-1]["outstanding"] if found["months"] else 0
    return Liability(programme, f"{snapshot.as_of:%Y-%m-%d %H:%M} UTC", **found, points=points)


def totals(store: Store, programme: str, until: str) -> dict[str, int]:
    """Of a ledger that no models know of: what it gave and took, what is outstanding, in all and of
    what ends by `until`, and its members."""
    with store.read() as connection:
        row = connection.one(SQL["totals"], programme=programme, until=until) or {}
        return {name: int(points) for name, points in row.items()}
