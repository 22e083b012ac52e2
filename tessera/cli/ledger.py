"""`tessera ledger`: a member's points, and whether the whole ties out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tessera.workspace import Workspace

ledger = typer.Typer(help="Points: a member's balance and statement, the audit of all.")
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]


def register(app: typer.Typer) -> None:
    app.add_typer(ledger, name="ledger")


@ledger.command()
def balance(customer: Customer, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """A member's points, by bucket.

    Example: tessera ledger balance C000017
    """
    from tessera.reward import ledger as books
    from tessera.reward.programme import load
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    programme = load(ws.project).programme
    found = books.balance(ws.store, programme, customer)
    if found is None:
        _must_be_known(ws, customer)
    buckets = {"available": 0, "debt": 0} | (found or {})
    if as_json:
        print_json({"customer_id": customer, "programme": programme, **buckets})
    else:
        print_table([{"bucket": name, "points": points} for name, points in buckets.items()])


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
        shown = ("effective_at", "kind", "points", "basis", "rule", "source_id", "business_date")
        print_table(found, shown)


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
    from tessera.warehouse import marts

    with marts.connect(ws.home) as duck:
        known = duck.execute("select 1 from customers where customer_id = ?", [customer]).fetchall()
    if not known:
        raise BadInput(f"No customer '{customer}' is known in {ws.home.root}.")
