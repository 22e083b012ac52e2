"""`tessera web`: the public pages and the provider's webhook."""

from __future__ import annotations

import typer

from tessera.cli.options import AsOfOption, HomeOption


def web(
    host: str = typer.Option("127.0.0.1", help="The address to listen on."),
    port: int | None = typer.Option(
        None, help="The port; 0 for any free one (default TESSERA_WEB_PORT, 8800)."
    ),
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Serve the pages that links in mail lead to, and hear provider events as they happen.

    With --as-of the clock stands still, so that the links of a made-up day are not too old.

    Example: tessera web --port 8800
    """
    from tessera.web import serve
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    port = ws.settings.web_port if port is None else port
    serve(ws, host, port, frozen=as_of is not None, say=lambda text: typer.echo(text, err=True))


def register(app: typer.Typer) -> None:
    """Add `web` to `app`."""
    app.command()(web)
