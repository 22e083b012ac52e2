"""`tessera ledger`: a member's points, and whether the whole ties out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera import clock
from tessera.cli.options import HomeOption, JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tessera.workspace import Workspace

ledger = typer.Typer(
    help="Points: a member's balance and statement, a transfer's history, the audit of all."
)
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]


def register(app: typer.Typer) -> None:
    app.add_typer(ledger, name="ledger")


@ledger.command()
def balance(customer: Customer, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """A member's points, by bucket, and on which day which of them end. Where households share their
    points, `household` is what the others could add.

    Example: tessera ledger balance C000017
    """
    from tessera.reward import ledger as books
    from tessera.reward import pooling
    from tessera.reward.programme import load
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    rules = load(ws.project)
    programme = rules.programme
    found = books.balance(ws.store, programme, customer)
    if found is None:
        _must_be_known(ws, customer)
    buckets = {"available": 0, "debt": 0} | (found or {})
    if rules.pool:
        at = clock.stamp(ws.as_of)
        with ws.store.read() as store:
            buckets["household"] = pooling.others(store, programme, customer, at)
    ending = books.ending(ws.store, programme, customer)
    if as_json:
        print_json({"customer_id": customer, "programme": programme, **buckets, "ending": ending})
    else:
        print_table([{"bucket": name, "points": points} for name, points in buckets.items()])
        if ending:
            print_table(ending)


@ledger.command()
def statement(customer: Customer, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Every transfer of a member, oldest first.

    Example: tessera ledger statement C000017
    """
    from tessera.reward import ledger as books
    from tessera.reward.programme import load
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    found = books.statement(ws.store, load(ws.project).programme, customer)
    if not found:
        _must_be_known(ws, customer)
    if as_json:
        print_json(found)
    else:
        shown = ("effective_at", "kind", "points", "basis", "rule", "idem_key", "business_date")
        print_table(found, shown)


@ledger.command()
def history(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A transfer's key, as in a statement.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What became of the points of one transfer: every move of its lot, oldest first.

    Example: tessera ledger history earn:T000123:-:purchase
    """
    from tessera.errors import BadInput
    from tessera.reward import ledger as books
    from tessera.reward.programme import load
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    found = books.history(ws.store, load(ws.project).programme, key)
    if not found:
        raise BadInput(f"No transfer has the key '{key}'; 'tessera ledger statement' shows keys.")
    if as_json:
        print_json(found)
    else:
        print_table(found)


@ledger.command()
def liability(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What the programme owes: points by month, by the month they end, and by the month they came in.

    Example: tessera ledger liability
    """
    from tessera.reward.liability import liability as reckon
    from tessera.reward.programme import load
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    found = reckon(ws, load(ws.project).programme)
    if as_json:
        print_json(found)
        return
    for title, rows in {
        "By month": found.months,
        "Outstanding, by the month they end": found.outstanding,
        "By the month they came in": found.cohorts,
        "Sales, and the part that is earned when their points are spent or end": found.deferred,
    }.items():
        typer.echo(f"{title}:")
        print_table([_with_money(row) for row in rows])
    typer.echo(f"Outstanding in all, as of {found.as_of}: {found.points:,} points.")


def _with_money(row: dict[str, Any]) -> dict[str, object]:
    """For people, who do not read minor units."""
    from tessera.units import format_money

    its = str(row.get("currency") or "")
    amounts = [
        name for name in ("liability", "sales", "deferred") if its and row.get(name) is not None
    ]
    return row | {name: format_money(row[name], its) for name in amounts}


@ledger.command()
def audit(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Reckon every balance again from its transfers; exits with 1 on a difference.

    Example: tessera ledger audit
    """
    from dataclasses import asdict

    from tessera.reward import ledger as books
    from tessera.reward.programme import load
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    found = books.audit(ws.store, load(ws.project))
    if as_json:
        print_json({"ok": not found.differences, **asdict(found)})
    else:
        print_table([{k: v for k, v in asdict(found).items() if k != "differences"}])
        typer.echo("\n".join(found.differences) or "The ledger ties out.")
    if found.differences:
        raise typer.Exit(1)


def _must_be_known(ws: Workspace, customer: str) -> None:
    """A customer without an account has no points; one nobody knows is a slip of the pen."""
    from tessera.errors import BadInput

    with ws.marts() as duck:
        known = duck.execute("select 1 from customers where customer_id = ?", [customer]).fetchall()
    if not known:
        raise BadInput(f"No customer '{customer}' is known in {ws.home.root}.")
