"""`tessera bounces`: addresses that bounced, and those of a provider's bad hour let go of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tessera.hear.bounces import Stretch
    from tessera.workspace import Workspace

From = Annotated[
    str,
    typer.Option("--from", help="The first instant, such as 2026-12-14T20:00 by the shop's clock."),
]
Until = Annotated[str, typer.Option(help="The first instant after.")]
Domain = Annotated[str | None, typer.Option(help="Only at this domain, such as mail.example.")]


def register(app: typer.Typer) -> None:
    """Add `bounces` and what is below it to `app`."""
    group = typer.Typer(
        help="Addresses that bounced: list them, clear those of a provider's bad hour.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    group.command()(clear)
    app.add_typer(group, name="bounces")


def list_(
    first: From,
    until: Until,
    *,
    domain: Domain = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """How many addresses are not written to since they bounced, by day, domain and cause.

    Example: tessera bounces list --from 2026-12-14 --until 2026-12-16
    """
    from tessera.hear import bounces
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    found = bounces.by_domain(ws, _stretch(ws, first, until, domain))
    print_json(found) if as_json else print_table(found)


def clear(
    first: From,
    until: Until,
    *,
    reason: Annotated[str, typer.Option(help="Why they were none; it stands in the audit log.")],
    domain: Domain = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write again to addresses that a provider called dead by mistake, all that bounced in a stretch of time.

    What bounces later is suppressed again; complaints, unsubscriptions and spam traps stay.

    Example: tessera bounces clear --from 2026-12-14T20:00 --until 2026-12-15T02:00 --domain mail.example --reason "their outage"
    """
    from tessera.hear import bounces
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    stretch = _stretch(ws, first, until, domain)
    cleared = bounces.clear(ws, stretch, reason)
    if as_json:
        print_json({"addresses": cleared})
    else:
        typer.echo(f"Addresses that are written to again: {cleared:,}.")


def _stretch(ws: Workspace, first: str, until: str, domain: str | None) -> Stretch:
    from tessera import clock
    from tessera.hear.bounces import Stretch

    zone = ws.settings.timezone
    since = clock.parse_instant(first, "--from", zone)
    return Stretch(since, clock.parse_instant(until, "--until", zone), domain)
