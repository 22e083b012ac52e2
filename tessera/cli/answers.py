"""`tessera answers`: what people said when asked whether they would recommend the shop."""

from __future__ import annotations

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table


def answers(
    below: int = typer.Option(11, min=1, max=11, help="Only answers below this: 7 for alerts."),
    days: int = typer.Option(30, min=1, help="Of so many days."),
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """The last answer to each question asked in a mail, the newest first, with what could be better.

    Example: tessera answers --below 7
    """
    from tessera.hear.answers import latest
    from tessera.workspace import open_workspace

    found = latest(open_workspace(as_of, home=home), below=below, days=days)
    print_json(found) if as_json else print_table(found)


def register(app: typer.Typer) -> None:
    """Add `answers`."""
    app.command()(answers)
