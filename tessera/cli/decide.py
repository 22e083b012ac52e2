"""`tessera plan`, `decide`, `decisions` and `explain`: who gets what, when, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tessera.decide import DecideReport

CampaignsOption = Annotated[
    list[str] | None,
    typer.Option("--campaign", help="Only this campaign, scheduled today or not; may be repeated."),
]
CampaignOption = Annotated[str | None, typer.Option("--campaign", help="Only this campaign.")]
SHOWN = 100


def register(app: typer.Typer) -> None:
    for command in (plan, decide, decisions, explain):
        app.command()(command)


def plan(
    campaign: CampaignsOption = None,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What would go out today, and why not; nothing is written.

    Example: tessera plan --as-of 2026-03-31 --campaign winback
    """
    from tessera.decide import decide as judge
    from tessera.workspace import open_workspace

    _show(judge(open_workspace(as_of, home=home), campaign, dry_run=True), as_json=as_json)


def decide(
    campaign: CampaignsOption = None,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge every candidate, keep the decisions and fill the outbox; again adds nothing.

    Example: tessera decide --as-of 2026-03-31
    """
    from tessera.decide import decide as judge
    from tessera.workspace import open_workspace

    _show(judge(open_workspace(as_of, home=home), campaign), as_json=as_json)


def decisions(
    *,
    date: Annotated[str | None, typer.Option(help="Only this day, as 2026-03-31.")] = None,
    campaign: CampaignOption = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason, such as capped.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's id.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decisions that were made, one row per candidate and day.

    Example: tessera decisions --date 2026-03-31 --campaign winback --reason capped
    """
    from tessera.decide import decisions as kept
    from tessera.workspace import open_workspace

    asked = kept.Question(
        on=kept.day(date, "--date"), campaign=campaign, reason=reason, customer_id=customer
    )
    ws = open_workspace(home=home)
    if as_json:
        print_json(kept.find(ws.home, asked, limit=limit))
        return
    rows = kept.find(ws.home, asked, limit=limit or SHOWN + 1)
    print_table(rows[: limit or SHOWN], kept.COLUMNS)
    if limit is None and len(rows) > SHOWN:
        typer.echo(f"… and more; --limit N shows more than {SHOWN}, --json all.")


def explain(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")],
    campaign: CampaignOption = None,
    since: Annotated[str | None, typer.Option(help="From this day on, as 2026-03-31.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why one customer was written to, or was not: a sentence per decision.

    Example: tessera explain C000017 --campaign winback --since 2026-03-01
    """
    from tessera.decide import decisions as kept
    from tessera.decide.reasons import sentence
    from tessera.workspace import open_workspace

    asked = kept.Question(since=kept.day(since, "--since"), campaign=campaign, customer_id=customer)
    ws = open_workspace(home=home)
    found = [{**row, "said": sentence(row)} for row in kept.find(ws.home, asked)]
    if as_json:
        print_json(found)
        return
    for row in found:
        typer.echo(row["said"])
    if not found:
        typer.echo(f"No campaign has had customer '{customer}' as a candidate.")


def _show(report: DecideReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    rows = [
        {
            "campaign": one.campaign,
            "candidates": one.candidates,
            "planned": one.planned,
            **{name: one.reasons.get(name, 0) for name in report.reasons if name != "planned"},
            "first_send_at": one.first_send_at,
            "last_send_at": one.last_send_at,
        }
        for one in report.campaigns
    ]
    typer.echo(f"{report.business_date}: {report.planned:,} of {report.candidates:,} planned")
    print_table(rows)
    if report.not_scheduled:
        typer.echo(f"Not today: {', '.join(report.not_scheduled)}")
