"""`tessera send`: sends what is due."""

from __future__ import annotations

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, is_terminal


def register(app: typer.Typer) -> None:
    """Add `send`."""
    app.command("send")(send)


def send(home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Send every message due before the end of the day.

    Nothing is sent twice, however often or however many at once this runs.

    Example: TESSERA_MESSENGER=smtp TESSERA_SMTP_URL=smtp://localhost:1025 tessera send --as-of 2026-03-31
    """
    from tessera.cli.options import print_json, print_table
    from tessera.send import send as send_due
    from tessera.workspace import open_workspace

    report = send_due(open_workspace(as_of, home=home), progress=_bar if is_terminal() else None)
    if as_json:
        print_json(report)
        return
    names = ("claimed", "accepted", "rejected", "ambiguous", "cancelled", "waiting")
    print_table([{"messages": name, "number": getattr(report, name)} for name in names])


def _bar(done: int, due: int) -> None:
    typer.echo(f"\r{done:,} of {max(done, due):,} messages", err=True, nl=done >= due)
