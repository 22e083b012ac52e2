"""`tessera plan`, `decide`, `decisions` and `explain`: who gets what, when, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tessera.decide import DecideReport
    from tessera.decide.plan import Plan, PlanDiff
    from tessera.decide.report import CampaignCounts
    from tessera.workspace import Workspace

CampaignsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--campaign",
        help="Only this campaign, scheduled today or not, paused in Prefect or not; may be repeated.",
    ),
]
CampaignOption = Annotated[str | None, typer.Option("--campaign", help="Only this campaign.")]
SHOWN = 100


def register(app: typer.Typer) -> None:
    for command in (plan, decide, decisions, explain):
        app.command()(command)


def plan(
    campaign: CampaignsOption = None,
    *,
    diff: Annotated[
        bool, typer.Option("--diff", help="How it differs from the plan as it stands.")
    ] = False,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="With this contact policy instead."),
    ] = None,
    campaigns: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="With this folder's campaigns instead."),
    ] = None,
    customers: Annotated[
        bool, typer.Option("--customers", help="With --diff: whose verdict changes, and how.")
    ] = False,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What would go out today, why not, and what it costs; nothing is written.

    --diff alone compares with what was decided of the day; with --policy or --campaigns, with the
    plan under the project's own.

    Example: tessera plan --as-of 2026-03-31 --diff --policy stricter.yml
    """
    from tessera.decide import plan as planning
    from tessera.workspace import open_workspace

    ws, otherwise = open_workspace(as_of, home=home), planning.Otherwise(policy, campaigns)
    names, resting = (campaign or None, {}) if campaign or campaigns else _awake(ws)
    if not diff:
        found = planning.plan(ws, names, otherwise).with_resting(resting)
        print_json(found) if as_json else _show_plan(found)
        return
    limit = None if as_json else SHOWN if customers else 0
    difference = replace(planning.diff(ws, otherwise, names, limit=limit), held=resting)
    print_json(difference) if as_json else _show_diff(difference)


def decide(
    campaign: CampaignsOption = None,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge every candidate, keep the decisions and fill the outbox; again adds nothing.

    Example: tessera decide --as-of 2026-03-31
    """
    from tessera import audit
    from tessera.decide import decide as judge
    from tessera.send import end_all_late
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    names, resting = (campaign, {}) if campaign else _awake(ws)
    end_all_late(ws)
    report = judge(ws, names).with_resting(resting)
    audit.note(ws, "decide", f"day {ws.business_date}", planned=report.planned, new=report.new)
    _show(report, as_json=as_json)


def _awake(ws: Workspace) -> tuple[list[str] | None, dict[str, str]]:
    """The campaigns of the day that are not paused in Prefect (None: all of them), and why the others rest."""
    from flows import pauses
    from tessera.decide.holds import due

    if not (known := pauses.known(ws)):
        return None, {}
    names = due(ws)
    resting = {name: known[name] for name in names if name in known}
    return ([name for name in names if name not in resting] if resting else None), resting


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
    from tessera import clock
    from tessera.decide import decisions as kept
    from tessera.workspace import open_workspace

    asked = kept.Question(
        on=clock.parse_day(date, "--date"), campaign=campaign, reason=reason, customer_id=customer
    )
    ws = open_workspace(home=home)
    kept.refuse_unknown(ws, campaign)
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
    """Why one customer was written to, or was not, and what became of it: a sentence per decision.

    Example: tessera explain C000017 --campaign winback --since 2026-03-01
    """
    from tessera import clock
    from tessera.decide import decisions as kept
    from tessera.decide.explain import explained
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    kept.refuse_unknown(ws, campaign)
    asked = kept.Question(since=clock.parse_day(since, "--since"), campaign=campaign)
    found = explained(ws, customer, asked)
    if as_json:
        print_json(found)
        return
    for row in found:
        typer.echo(row["said"])
    if not found:
        nobody = f"Campaign '{campaign}' has not" if campaign else "No campaign has"
        then = f" since {asked.since}" if asked.since else ""
        typer.echo(f"{nobody} had customer '{customer}' as a candidate{then}.")


def _show(report: DecideReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    typer.echo(f"{report.business_date}: {report.planned:,} of {report.candidates:,} planned")
    print_table([_counts(one, report.reasons) for one in report.campaigns])
    _show_held(report.held)
    if report.not_scheduled:
        typer.echo(f"Not today: {', '.join(report.not_scheduled)}")


def _counts(one: CampaignCounts, reasons: Iterable[str]) -> dict[str, object]:
    """A row of the table: the campaign's own, and of each of the reasons that there are."""
    return {
        "campaign": one.campaign,
        "candidates": one.candidates,
        "planned": one.planned,
        **{name: one.reasons.get(name, 0) for name in reasons if name != "planned"},
        "first_send_at": one.first_send_at,
        "last_send_at": one.last_send_at,
    }


def _show_held(held: Mapping[str, str]) -> None:
    for name, why in held.items():
        typer.echo(f"Held: {name} ({why})")


def _show_plan(found: Plan) -> None:
    rows = [
        {
            **_counts(one, found.reasons),
            **({"rewards": _rewards(one.rewards)} if found.rewards else {}),
            **({f"cost, {found.currency}": _money(one.cost, found)} if found.currency else {}),
        }
        for one in found.campaigns
    ]
    typer.echo(f"{found.business_date}: {found.planned:,} of {found.candidates:,} planned")
    print_table(rows)
    _show_held({one.campaign: one.held for one in found.campaigns if one.held})
    if found.not_scheduled:
        typer.echo(f"Not today: {', '.join(found.not_scheduled)}")
    if found.currency:
        typer.echo(f"Cost: {_money(found.cost, found)} {found.currency}, by the policy's 'costs'.")


def _money(amount: int | None, found: Plan) -> str:
    from tessera.units import to_major

    return f"{to_major(amount or 0, found.currency or ''):,}"


def _rewards(rewards: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in rewards.items())


def _show_diff(found: PlanDiff) -> None:
    typer.echo(
        f"{found.business_date}: {found.changed:,} verdicts change, from the plan {found.before} "
        f"to {found.after if found.before == 'as it stands' else 'the plan now'}"
    )
    print_table(
        {
            "campaign": one.campaign,
            "reason": reason,
            "before": counts.before,
            "after": counts.after,
            "change": f"{counts.after - counts.before:+,}",
        }
        for one in found.campaigns
        for reason, counts in one.reasons.items()
        if counts.before != counts.after
    )
    _show_held(found.held)
    if found.customers:
        typer.echo()
        print_table(map(_changed, found.customers))
    if len(found.customers) == SHOWN:
        typer.echo(f"… the first {SHOWN}; --json has all.")


def _changed(row: Mapping[str, Any]) -> dict[str, object]:
    sides = {
        side: " ".join(
            filter(None, [row[side] or "no candidate", row[f"{side}_by"], row[f"{side}_at"]])
        )
        for side in ("before", "after")
    }
    return {name: row[name] for name in ("campaign", "step", "customer_id", "occurrence")} | sides
