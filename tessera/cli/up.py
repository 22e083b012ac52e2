"""`tessera up`: server, deployments, schedules, a worker and the public pages on this machine."""

from __future__ import annotations

import typer

from tessera.cli.options import HomeOption


def up(
    home: HomeOption = None,
    port: int | None = typer.Option(
        None, help="The UI's port (default 4200, or any free one when that is taken)."
    ),
) -> None:
    """Keep Tessera running here: Prefect's server and UI, every deployment with its schedule, a
    worker, and the pages that links in mail lead to (TESSERA_WEB_PORT). Ctrl-C stops all of it and
    leaves nothing behind.

    Example: tessera up --home /srv/tessera
    """
    from flows.up import up as keep_up
    from tessera.workspace import open_workspace

    keep_up(open_workspace(home=home), port=port, say=typer.echo)


def register(app: typer.Typer) -> None:
    """Add `up` to `app`."""
    app.command()(up)
