"""`tessera hear`: takes in what providers say of our messages."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="JSON arrays or JSON lines of events; default the home's inbox/."),
]


def register(app: typer.Typer) -> None:
    """Add `hear`."""
    app.command("hear")(hear)


def hear(
    files: Files = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in provider events: deliveries, bounces, complaints, unsubscribes.

    The same event counts once, in whatever file and order it comes.

    Example: tessera hear events.json
    """
    from tessera import audit
    from tessera.errors import BadInput
    from tessera.hear import hear as take_in
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    report = take_in(ws, files or None)
    audit.note(ws, "hear", f"{report.files} files", new=report.new)
    if as_json:
        guard = {**asdict(report.guard), "rate": report.guard.rate, "state": report.guard.state}
        print_json(asdict(report) | {"guard": guard})
    else:
        names = ("files", "events", "new", "unreadable", "suppressed", "withdrawn", "reconciled")
        print_table([{"heard": name, "number": getattr(report, name)} for name in names])
        typer.echo(f"\n{report.guard}")
    if report.refused:
        raise BadInput(" ".join(report.refused))
