"""`tessera person`: what is held about somebody, and to be forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tessera.cli import duplicates
from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

CustomerArgument = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]


def register(app: typer.Typer) -> None:
    """Add `person` and what is below it to `app`."""
    group = typer.Typer(
        help="A person's rights: export, erase, lift; customers who are one: duplicates and merge.",
        no_args_is_help=True,
    )
    for command in (journey, export, erase, merge, lift):
        group.command()(command)
    duplicates.register(group)
    app.add_typer(group, name="person")


def journey(
    customer: CustomerArgument,
    *,
    since: Annotated[str | None, typer.Option(help="From this day on, as 2026-03-31.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Everything that passed between a customer and the shop, in order, with what it brought and cost.

    Example: tessera person journey C000017 --since 2026-03-01
    """
    from tessera import clock, person
    from tessera.person.journey import COLUMNS
    from tessera.workspace import open_workspace

    day = clock.parse_day(since, "--since")
    found = person.journey(open_workspace(home=home), customer, day)
    print_json(found) if as_json else print_table(found, COLUMNS)


def export(
    customer: CustomerArgument,
    *,
    to: Annotated[
        Path | None, typer.Option(help="The folder to write to (default one in the home).")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write everything held about a customer as JSON and as a page to read.

    Example: tessera person export C000017 --to answer
    """
    from tessera import person
    from tessera.workspace import open_workspace

    written = person.export(open_workspace(home=home), customer, to)
    if as_json:
        print_json(written)
        return
    print_table([{"place": place, "rows": rows} for place, rows in written.rows.items()])
    typer.echo(f"The page is {written.page}, the data {written.json}.")


def erase(
    customer: CustomerArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a customer everywhere in the home, for good.

    What stays is a hash, when it was done and by whom; landing the shop's old files brings nobody
    back. Their receipts stay as sales to nobody. May be killed and run again.

    Example: tessera person erase C000017 --yes
    """
    from tessera import person
    from tessera.workspace import open_workspace

    if not yes:
        typer.confirm(f"Forget customer '{customer}'? This cannot be undone.", abort=True, err=True)
    ws = open_workspace(home=home)
    proof = person.erase(ws, customer, say=lambda text: typer.echo(text, err=True))
    if as_json:
        print_json(proof)
        return
    print_table([{"held": place, "rows": rows} for place, rows in proof.rows.items()])
    typer.echo(f"Erased: {proof.person}, {proof.finished_at}, by {proof.operator}.")


def merge(
    keep: Annotated[str, typer.Argument(metavar="KEEP", help="The customer who stays.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="Who is the same person.")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="They are two after all.")] = False,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make two customers one from the next run on: profile, cards and receipts.

    Example: tessera person merge C000017 C000311
    """
    from tessera import person
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    if undo:
        said = person.undo(ws, keep, other)
    else:
        person.refuse_strangers(ws, keep, other)
        said = person.merge(ws, keep, other)
    if as_json:
        print_json({"keep": keep, "other": other, "merged": not undo})
    else:
        typer.echo(said)


def lift(
    customer: CustomerArgument,
    *,
    reason: Annotated[str, typer.Option(help="How they said yes; it stands in the audit log.")],
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write again to who unsubscribed, and has said yes since on a form of the shop's own.

    The yes has to be known, from the feed consents, and to be later. Complaints and bounces are not lifted.

    Example: tessera person lift C000017 --reason "ticked e-mail on form 1093 at the till"
    """
    from tessera import person
    from tessera.workspace import open_workspace

    lifted = person.lift(open_workspace(as_of, home=home), customer, reason)
    if as_json:
        print_json(lifted)
        return
    typer.echo(f"Lifted: {', '.join(lifted.causes)}, by the yes of {lifted.said_yes_at}.")
    if lifted.left:
        typer.echo(f"The address is still suppressed: {', '.join(lifted.left)}.")
