"""`tessera customers`: search, filter and sort over the whole customer base."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json, print_table

SHOWN = 100


def register(app: typer.Typer) -> None:
    app.command()(customers)


def customers(
    word: Annotated[
        str | None,
        typer.Argument(metavar="[WORD]", help="Part of a name, number, address or telephone."),
    ] = None,
    *,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Such as tier=gold,silver, revenue>=10000 or email= (has none)."),
    ] = None,
    sort: Annotated[
        list[str] | None, typer.Option(help="By this column; -revenue: the highest first.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Show this column instead of the usual ones.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Customers and prospects as of the last build, by any column of their profile; all options repeat.

    Example: tessera customers --where tier=gold --where "days_since_last_purchase>60" --sort -revenue
    """
    from tessera.decide.search import SHOWN as COLUMNS
    from tessera.decide.search import Question, find
    from tessera.workspace import open_workspace

    most = limit if as_json else limit or SHOWN
    asked = Question(where or (), word, sort or (), column or (), most)
    found = find(open_workspace(home=home), asked)
    if as_json:
        print_json(found.customers)
        return
    print_table(found.customers, column or COLUMNS)
    more = "" if found.count == len(found.customers) else "; --limit N shows more, --json all"
    typer.echo(f"{len(found.customers):,} of {found.count:,}{more}.")
