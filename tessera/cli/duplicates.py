"""`tessera person duplicates`: customers who are on the register twice."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

One = Annotated[str, typer.Argument(metavar="CUSTOMER", help="One of the two, by id.")]
Other = Annotated[str, typer.Argument(metavar="OTHER", help="The other.")]
SIDES = ("keep", "other")


def register(app: typer.Typer) -> None:
    """Add `duplicates` and what is below it to `person`."""
    group = typer.Typer(
        help="Customers who are on the register twice: find, merge, judge.", no_args_is_help=True
    )
    group.command("find")(find)
    group.command("list")(listed)
    group.command("accept")(accept)
    group.command("refuse")(refuse)
    app.add_typer(group, name="duplicates")


def find(
    *,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge the pairs that are beyond doubt.")
    ] = False,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for customers who are one person, by what the register says of them.

    How sure is sure enough stands in deployments/identity.yml.

    Example: tessera person duplicates find --merge
    """
    from tessera.person import duplicates
    from tessera.workspace import open_workspace

    report = duplicates.look(open_workspace(as_of, home=home), with_merges=merge)
    if as_json:
        print_json(report)
        return
    typer.echo(
        f"{report.customers:,} customers compared, {report.merged:,} merged, "
        f"{report.to_review:,} pairs to look at: tessera person duplicates list"
    )


def listed(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many pairs at most.")] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the pairs that nobody has judged yet, the likeliest first.

    Example: tessera person duplicates list --limit 5
    """
    from tessera.person import duplicates
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    rows = duplicates.described(ws, duplicates.pairs(ws)[:limit])
    if as_json:
        print_json(rows)
        return
    print_table([line for row in rows for line in _lines(row)])


def accept(
    customer: One,
    other: Other,
    *,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a pair of the list is one person: they are from the next run on.

    Example: tessera person duplicates accept C000017 C000311
    """
    from tessera.person import duplicates
    from tessera.workspace import open_workspace

    keep, gone = duplicates.accept(open_workspace(home=home), customer, other)
    if as_json:
        print_json({"keep": keep, "other": gone, "merged": True})
    else:
        typer.echo(f"From the next 'tessera run' on '{gone}' is '{keep}'.")


def refuse(
    customer: One,
    other: Other,
    *,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a pair of the list is two people: nobody is asked again.

    Example: tessera person duplicates refuse C000017 C000311
    """
    from tessera.person import duplicates
    from tessera.workspace import open_workspace

    duplicates.refuse(open_workspace(home=home), customer, other)
    if as_json:
        print_json({"customer": customer, "other": other, "merged": False})
    else:
        typer.echo(f"'{customer}' and '{other}' are two people.")


def _lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Both of a pair, one under the other, so that the eye can compare."""
    first, second = ({"customer": row[side], **_own(row[f"{side}_is"])} for side in SIDES)
    return [{"probability": row["probability"], **first}, {"probability": None, **second}]


def _own(person: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in person.items() if name != "customer_id"}
