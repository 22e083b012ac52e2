"""`tessera report`: the day as a page."""

from __future__ import annotations

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json


def report(
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    show: bool = typer.Option(False, "--open", help="Open the page in a browser."),
) -> None:
    """Write the report page of a day from what the home holds.

    Example: tessera report --as-of 2026-03-31 --open
    """
    from tessera.report import report as write
    from tessera.workspace import open_workspace

    written = write(open_workspace(as_of, home=home))
    if as_json:
        print_json(written)
    else:
        typer.echo(written.page)
    if show:
        typer.launch(written.page)


def register(app: typer.Typer) -> None:
    """Add `report` to `app`."""
    app.command()(report)
