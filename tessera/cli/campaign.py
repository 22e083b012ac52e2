"""`tessera campaign`: the campaigns there are, whether they are sound, and how they look."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

campaign = typer.Typer(help="Campaigns: list them, check their files, preview a message.")


def register(app: typer.Typer) -> None:
    app.add_typer(campaign, name="campaign")


@campaign.command("list")
def show(as_of: AsOfOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Every campaign, and the next day it runs.

    Example: tessera campaign list
    """
    from tessera.decide import campaigns, schedule
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    rows = [
        {
            "campaign": one.campaign,
            "purpose": one.purpose,
            "audience": one.audience,
            "priority": one.priority,
            "schedule": one.schedule,
            "next_on": schedule.next_due(one.schedule, ws.business_date),
            "steps": ", ".join(step.name for step in one.steps),
        }
        for one in campaigns.load(ws.project)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


@campaign.command()
def check(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Point at every mistake in campaign files, contact policy and templates, by file and line.

    Example: tessera campaign check
    """
    from dataclasses import asdict

    from tessera.decide import campaigns
    from tessera.errors import BadInput
    from tessera.workspace import open_workspace

    problems = campaigns.check(open_workspace(home=home).project)
    if as_json:
        print_json({"ok": not problems, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            typer.echo(str(problem), err=True)
        if not problems:
            typer.echo("All campaigns are sound.")
    if problems:
        raise typer.Exit(BadInput.exit_code)


@campaign.command()
def preview(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The campaign.")],
    *,
    customer: Annotated[str | None, typer.Option(help="As this customer would see it.")] = None,
    step: Annotated[str | None, typer.Option(help="Which step (default the first).")] = None,
    language: Annotated[str | None, typer.Option(help="In this language, such as fa.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a page with one message as it would look; nothing is sent.

    Example: tessera campaign preview winback --customer C000017 --open
    """
    from tessera import say
    from tessera.decide import campaigns
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    (one,) = campaigns.choose(campaigns.load(ws.project), [name])
    chosen = campaigns.step(one, step)
    page = say.preview(
        ws,
        chosen.template,
        customer_id=customer,
        language=language,
        campaign=one.campaign,
        step=chosen.name,
    )
    if as_json:
        print_json({"campaign": one.campaign, "step": chosen.name, "page": str(page)})
    else:
        typer.echo(str(page))
    if show:
        typer.launch(page.as_uri())
