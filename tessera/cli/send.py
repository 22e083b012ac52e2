"""`tessera send`: sends what is due; holds campaigns back; says who was not sent, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.options import (
    AsOfOption,
    HomeOption,
    JsonOption,
    is_terminal,
    print_json,
    print_table,
)

group = typer.Typer()
CampaignArgument = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign.")]


def register(app: typer.Typer) -> None:
    """Add `send` and what belongs to it."""
    app.add_typer(group, name="send")


@group.callback(invoke_without_command=True)
def _send(
    context: typer.Context,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send every message due before the end of the day.

    Nothing is sent twice, however often or however many at once this runs.

    Example: TESSERA_MESSENGER=smtp TESSERA_SMTP_URL=smtp://localhost:1025 tessera send --as-of 2026-03-31
    """
    if context.invoked_subcommand is None:
        send(home, as_of, as_json)


def send(home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Send, and print the counts."""
    from tessera import audit
    from tessera.send import send as send_due
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    report = send_due(ws, progress=_bar if is_terminal() else None)
    audit.note(ws, "send", f"day {ws.business_date}", accepted=report.accepted)
    if as_json:
        print_json(report)
        return
    names = ("claimed", "accepted", "rejected", "ambiguous", "cancelled", "waiting")
    print_table([{"messages": name, "number": getattr(report, name)} for name in names])
    for sentence in (*report.unapproved, *report.held):
        typer.echo(sentence)


@group.command()
def pause(campaign: CampaignArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Keep back what of CAMPAIGN has not left yet, from this moment on.

    Example: tessera send pause winback
    """
    _hold("pause", campaign, home, as_json=as_json)


@group.command()
def resume(
    campaign: CampaignArgument, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Go on with CAMPAIGN where it was paused: nobody gets a message twice.

    Example: tessera send resume winback
    """
    _hold("resume", campaign, home, as_json=as_json)


@group.command()
def cancel(
    campaign: CampaignArgument, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Never send what of CAMPAIGN has not left yet.

    Example: tessera send cancel winback
    """
    _hold("cancel", campaign, home, as_json=as_json)


@group.command("list")
def unsent(
    campaign: Annotated[str | None, typer.Option(help="Only this campaign's.")] = None,
    *,
    day: Annotated[str | None, typer.Option(help="Only of this business date.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, such as rejected.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who was not sent a message, and why; and of whom nobody can know.

    Example: tessera send list --campaign winback --state cancelled
    """
    from tessera.send import holds
    from tessera.workspace import open_workspace

    rows = holds.unsent(open_workspace(home=home), campaign=campaign, day=day, state=state)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("customer_id", "campaign", "step", "send_at", "state", "reason"))


def _hold(verb: str, campaign: str, home: HomeOption, *, as_json: bool) -> None:
    from tessera.send import holds
    from tessera.workspace import open_workspace

    number = getattr(holds, verb)(open_workspace(home=home), campaign)
    if as_json:
        print_json({"campaign": campaign, "done": verb, "messages": number})
        return
    words = {"pause": "wait", "resume": "go on", "cancel": "are cancelled"}
    typer.echo(f"{campaign}: {number:,} messages {words[verb]}.")


def _bar(done: int, due: int) -> None:
    typer.echo(f"\r{done:,} of {max(done, due):,} messages", err=True, nl=done >= due)
