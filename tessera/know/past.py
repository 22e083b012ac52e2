"""Past campaigns of another system, from a plain file of who was exposed when."""

from __future__ import annotations

from pathlib import Path

from tessera.errors import BadInput
from tessera.know import observed, results
from tessera.workspace import Workspace

CUSTOMERS = (
    "create temp table buyer as "
    "select distinct customer_id from transactions where customer_id is not null"
)


def judge(
    ws: Workspace, path: Path, dates: Path | None, columns: tuple[str, str, str], days: int
) -> list[observed.Observed]:
    """Compare exposed and unexposed customers of each campaign before and after, and keep the figures.

    `columns` are those of campaign, customer and first day. BadInput when nothing can be compared."""
    with ws.marts() as duck:
        observed.load(duck, path, dates, observed.Columns(*columns))
        currency = results.currency_of(ws, duck) or ""
        duck.execute(CUSTOMERS)
        results.spending(ws, duck, "buyer", currency)
        found = observed.past(duck, days)
    if not found:
        raise BadInput(
            f"{path}: no campaign has 30 exposed and 30 other customers with purchases {days} days before "
            "and after its first day; check the customers' ids, or land the receipts of those days."
        )
    observed.keep(ws.home, found)
    return found
