"""`tessera answers`: what people said when asked whether they would recommend the shop."""

from __future__ import annotations

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table


def answers(
    below: int = typer.Option(11, min=1, max=11, help="Only answers below this: 7 for alerts."),
    *,
    days: int | None = typer.Option(
        None, min=1, max=36_500, help="Of so many days (30; with --nps 365)."
    ),
    nps: bool = typer.Option(False, "--nps", help="The net promoter score by month instead."),
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """The last answer to each question asked in a mail, the newest first, with what could be better.

    With --nps how many would recommend the shop less how many would not, of 100, month by month,
    and between which bounds that is to be trusted.

    Example: tessera answers --below 7
    """
    from dataclasses import asdict

    from tessera.hear.answers import latest, promotion
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    if nps:
        found = [asdict(one) for one in promotion(ws, days=days or 365)]
    else:
        found = [dict(row) for row in latest(ws, below=below, days=days or 30)]
    print_json(found) if as_json else print_table(found)


def register(app: typer.Typer) -> None:
    """Add `answers`."""
    app.command()(answers)
