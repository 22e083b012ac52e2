"""What the programme owes: points by month and by the month they end, breakage by cohort, and the part
of a sale that is deferred for them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tessera.errors import TesseraError
from tessera.store import Connection, Store, queries

SQL = queries("tessera.reward", "liability.sql")


@dataclass(frozen=True)
class Liability:
    """Points; every figure is a sum over the ledger, and they tie to each other."""

    programme: str
    movements: list[dict[str, Any]]  # month, issued, activated, redeemed, expired, clawed_back
    outstanding: list[dict[str, Any]]  # expires_in, points
    cohorts: list[dict[str, Any]]  # earned_in, points, spent, ended, taken_back, remaining
    points: int  # outstanding in all, held ones included, less what members owe


def liability(store: Store, programme: str, until: str) -> Liability:
    """The figures of all business dates up to `until`, which must not lie before the last night."""
    with store.read() as connection:
        found = {
            name: [_whole(row) for row in connection.all(SQL[name], programme=programme, **values)]
            for name, values in {
                "movements": {"until": until},
                "outstanding": {},
                "cohorts": {},
            }.items()
        }
        points = _tied(connection, programme, found)
    return Liability(programme, **found, points=points)


def _whole(row: Any) -> dict[str, Any]:
    """PostgreSQL sums into decimals."""
    return {k: v if v is None or isinstance(v, str) else int(v) for k, v in row.items()}


def _tied(connection: Connection, programme: str, found: dict[str, list[dict[str, Any]]]) -> int:
    """What is outstanding; TesseraError unless movements, lots and balances agree to the point."""
    held = _whole(connection.one(SQL["holdings"], programme=programme) or {})
    moved = sum(
        row["issued"] - row["redeemed"] - row["expired"] - row["clawed_back"]
        for row in found["movements"]
    )
    lots = sum(row["points"] for row in found["outstanding"])
    balances = held["lots"] + held["held"] - held["debt"]
    if lots != held["lots"] or moved != balances:
        raise TesseraError(
            f"The liability does not tie to the ledger: lots {lots:,} for balances of "
            f"{held['lots']:,}, movements {moved:,} for {balances:,}; see 'tessera ledger audit'."
        )
    return int(balances)


def deferred(sale: int, points: int, point_value: Fraction, expected: Fraction) -> int:
    """The part of `sale` (minor units) that is earned when its points are redeemed or end: the price
    is shared by stand-alone value, that of the points being `points × point_value × expected`
    (IFRS 15, B39 to B42). `point_value` is in minor units, `expected` the share that is redeemed."""
    worth = points * point_value * expected
    if not sale + worth:
        return 0
    return int(sale * worth / (sale + worth) + Fraction(1, 2))
