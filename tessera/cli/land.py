"""`tessera land`: bring a retailer's files in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.options import (
    AsOfOption,
    HomeOption,
    JsonOption,
    is_terminal,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from tessera.land import LandReport


def register(app: typer.Typer) -> None:
    app.command("land")(land)


def land(
    source: Annotated[
        str,
        typer.Argument(help="The name of a mapping in deployments/sources/.", show_default=False),
    ],
    path: Annotated[
        str,
        typer.Argument(
            help="A file, a folder, or a URL such as s3://bucket/exports/.", show_default=False
        ),
    ],
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Land a retailer's files: read through the source's mapping, typed, and kept once each.

    Landing the same content again does nothing, under whatever name. A file that cannot be used is
    named with the reason and keeps no other from landing; the exit code is then 4.

    Example: tessera land online_retail exports/2010-12-09/
    """
    from tessera import audit
    from tessera.land import land
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    report = land(ws, source, path, progress=_progress if is_terminal() else None)
    audit.note(ws, "land", f"source {source}", rows=report.feeds)
    if as_json:
        print_json(report)
    else:
        _print(report)
    report.raise_if_refused()


def _progress(file: str, number: int, files: int) -> None:
    typer.echo(f"\r\x1b[K{number}/{files} {file}", err=True, nl=number == files)


def _print(report: LandReport) -> None:
    if report.feeds:
        print_table([{"feed": feed, "rows": rows} for feed, rows in report.feeds.items()])
    typer.echo(
        f"{report.landed} files landed, {report.already_there} there already, "
        f"{len(report.ignored)} not for this source, {len(report.refused)} refused."
    )
    for note in report.notes:
        typer.echo(note)
