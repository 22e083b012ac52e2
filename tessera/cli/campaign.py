"""`tessera campaign`: the campaigns there are, whether they are sound, how they look and arrive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tessera.workspace import Workspace

campaign = typer.Typer(help="Campaigns: list them, check their files, preview or test a message.")


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
            "trigger": str(one.trigger),
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
    """Point at every mistake in campaign files, contact policy, templates and offers, by file and line.

    Example: tessera campaign check
    """
    from dataclasses import asdict

    from tessera.decide import campaigns
    from tessera.errors import BadInput
    from tessera.know import offering
    from tessera.say import gathered
    from tessera.workspace import open_workspace

    project = open_workspace(home=home).project
    problems = [*campaigns.check(project), *offering.check(project)]
    if as_json:
        print_json({"ok": not problems, "problems": [asdict(problem) for problem in problems]})
    else:
        for sentence in gathered(problems):
            typer.echo(sentence, err=True)
        if not problems:
            typer.echo("All campaigns are sound.")
    if problems:
        raise typer.Exit(BadInput.exit_code)


@campaign.command()
def schema(
    document: Annotated[
        Literal["campaign", "policy"], typer.Argument(metavar="[campaign|policy]")
    ] = "campaign",
) -> None:
    """Print the JSON Schema of campaign files, or of the contact policy, for an editor.

    Example: tessera campaign schema policy > contact_policy.schema.json
    """
    from tessera.decide import campaigns

    print_json(campaigns.schema(document))


@campaign.command()
def lint(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The campaign (default all templates).")
    ] = None,
    *,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at each template as mail programs will, in every language, for made-up customers.

    Example: tessera campaign lint winback
    """
    from tessera.errors import BadInput
    from tessera.say import lint as linter
    from tessera.workspace import open_workspace

    project = open_workspace(home=home).project
    templates = _templates_of(project, name) if name else linter.names(project)
    problems = {template: linter.lint(project, template) for template in templates}
    sentences = [sentence for found in problems.values() for sentence in found]
    if as_json:
        print_json({"ok": not sentences, "templates": problems})
    else:
        for sentence in sentences:
            typer.echo(sentence, err=True)
        if not sentences:
            typer.echo(f"{len(templates)} templates are sound.")
    if sentences:
        raise typer.Exit(BadInput.exit_code)


def _templates_of(project: Path, name: str) -> list[str]:
    from tessera.decide import campaigns

    (one,) = campaigns.choose(campaigns.load(project), [name])
    if one.channel != "email":  # what mail programs do is no concern of others
        return []
    return list(dict.fromkeys(template for _, template in one.templates()))


@campaign.command()
def approve(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The campaign.")],
    *,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the messages go that wait because they are many; as many as there are now, and no more.

    Example: tessera campaign approve winback --as-of 2026-03-31
    """
    from tessera import approval
    from tessera.workspace import open_workspace

    records = approval.approve(open_workspace(as_of, home=home), name)
    if as_json:
        print_json(records)
        return
    for one in records:
        typer.echo(
            f"{one['campaign']} of {one['business_date']}, version {one['campaign_version']}: "
            f"{one['recipients']:,} recipients approved by {one['approved_by']} ({one['file']})"
        )


@campaign.command()
def preview(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The campaign.")],
    *,
    customer: Annotated[str | None, typer.Option(help="As this customer would see it.")] = None,
    step: Annotated[str | None, typer.Option(help="Which step (default the first).")] = None,
    variant: Annotated[
        str | None, typer.Option(help="Which variant of the step (default its first).")
    ] = None,
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
    content = campaigns.content(chosen, variant)
    page = say.preview(
        ws,
        content.template,
        customer_id=customer,
        language=language,
        campaign=one.campaign,
        step=chosen.name,
        channel=one.channel,
    )
    _say_if_unspoken(ws, language)
    found = {"campaign": one.campaign, "step": chosen.name, "variant": content.name or None}
    print_json({**found, "page": str(page)}) if as_json else typer.echo(str(page))
    if show:
        typer.launch(page.as_uri())


@campaign.command("test")
def try_out(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The campaign.")],
    to: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who wants to see it.")],
    *,
    step: Annotated[str | None, typer.Option(help="Which step (default the first).")] = None,
    variant: Annotated[
        str | None, typer.Option(help="Which variant of the step (default its first).")
    ] = None,
    language: Annotated[str | None, typer.Option(help="In this language, such as fa.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one message, as a made-up customer would get it, to an address of your own.

    Example: tessera campaign test winback me@shop.example --language fa
    """
    from tessera.decide import campaigns
    from tessera.errors import BadInput
    from tessera.send import trial
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    (one,) = campaigns.choose(campaigns.load(ws.project), [name])
    chosen = campaigns.step(one, step)
    content = campaigns.content(chosen, variant)
    _say_if_unspoken(ws, language)
    if one.channel != "email":
        raise BadInput(
            f"Campaign '{name}' goes by {one.channel}; a test goes by mail only, and "
            f"'tessera campaign preview {name}' shows what is not mail."
        )
    what = trial.Trial(one.campaign, chosen.name, content.template, language)
    messenger = trial.send(ws, what, to)
    found = {"campaign": one.campaign, "step": chosen.name, "variant": content.name or None}
    if as_json:
        print_json({**found, "messenger": messenger})
    else:
        place = f", into {ws.home.mail}" if messenger == "file" else ""
        typer.echo(f"Sent to {to} by the messenger '{messenger}'{place}.")


def _say_if_unspoken(ws: Workspace, asked: str | None) -> None:
    from tessera.say.languages import Languages

    languages = Languages(ws.project / "templates", ws.settings.language)
    if asked and not languages.speaks(asked):
        spoken, known = languages.speak(asked).tag, ", ".join(languages.codes)
        typer.echo(f"No catalogue for '{asked}'; shown in {spoken}. There are {known}.", err=True)
