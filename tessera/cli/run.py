"""`tessera run`: the whole day."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tessera.cli.options import (
    AsOfOption,
    HomeOption,
    JsonOption,
    only_the_answer,
    print_json,
    print_table,
)


def run(
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    messenger: Annotated[
        str | None, typer.Option(help="file, smtp or sendgrid (default TESSERA_MESSENGER).")
    ] = None,
) -> None:
    """Run the whole day: hear, land, validate, model, know, reward, decide, send, report.

    Running the same day twice changes nothing. What `tessera land` brought in is what it runs on.

    Example: tessera run --as-of 2026-03-31 --json
    """
    from flows.runtime import run_day
    from tessera.settings import as_environment, overrule
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home, messenger=messenger)
    overrule(as_environment(ws.settings))  # every stage reads the settings anew
    with only_the_answer():
        summary = run_day(ws)
    if as_json:
        print_json(summary)
        return
    _print(summary)


def _print(summary: dict[str, Any]) -> None:
    from tessera.report.summary import reasons, stages

    print_table(stages(summary))
    if why := reasons(summary):
        typer.echo()
        print_table(why)
    lines = summary["reconciliation"]
    typer.echo(
        f"\nReceipt lines: {lines['landed']:,} landed = {lines['modelled']:,} modelled "
        f"+ {lines['quarantined']:,} quarantined + {lines['corrected']:,} corrected later "
        f"+ {lines['refused']:,} refused + {lines['waiting']:,} waiting; {lines['lost']:,} lost."
    )
    for alert in summary["alerts"]:
        typer.echo(alert)
    if not summary["land"]["rows_landed"]:
        typer.echo("Nothing was landed yet; say 'tessera land SOURCE PATH' first.")
    _print_places(Path(summary["home"]), summary["business_date"])


def _print_places(home: Path, day: str) -> None:
    places = {
        "report": home / "report" / "index.html",
        "mail": home / "mail" / day,
        "decisions": home / "decisions" / f"date={day}",
        "data docs": home / "data_docs" / "index.html",
    }
    typer.echo()
    for what, where in places.items():
        if where.exists():
            typer.echo(f"{what:<11}{where}")


def register(app: typer.Typer) -> None:
    """Add `run` to `app`."""
    app.command()(run)
