"""Where every landed receipt line is: none may be lost on the way to the models."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.report.figures import SQL, STORE_SQL
from tessera.workspace import Workspace


@dataclass(frozen=True)
class Reconciliation:
    """Receipt lines; landed is the sum of all the others, and `lost` is 0 or something is wrong."""

    landed: int
    modelled: int
    quarantined: int  # and not readmitted
    refused: int  # in files that were refused whole
    waiting: int  # in files that are not judged yet
    corrected: int  # replaced by a later file
    lost: int


def reconcile(ws: Workspace, *, corrected: int) -> Reconciliation:
    """Every landed line, by where it is now; how many were corrected the model stage knows."""
    with ws.store.read() as connection:
        (door,) = connection.all(STORE_SQL["lines"])
    elsewhere = {name: int(door[name]) for name in ("quarantined", "refused", "waiting")}
    modelled = _modelled(ws)
    return Reconciliation(
        landed=door["landed"],
        modelled=modelled,
        corrected=corrected,
        lost=door["landed"] - modelled - corrected - sum(elsewhere.values()),
        **elsewhere,
    )


def _modelled(ws: Workspace) -> int:
    with ws.marts() as duck:
        (found,) = duck.execute(SQL["modelled"]).fetchall()
    return int(found[0])
