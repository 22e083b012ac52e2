"""`tessera results`: what campaigns were worth, and what cannot be known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table
from tessera.errors import BadInput

if TYPE_CHECKING:
    from tessera.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add `results` to `app`."""
    app.command()(results)


def results(
    campaign: Annotated[
        str | None, typer.Argument(metavar="[CAMPAIGN]", help="One campaign; else all.")
    ] = None,
    *,
    exposed: Annotated[
        Path | None,
        typer.Option(help="Past campaigns of another system: who was exposed to which, from when."),
    ] = None,
    dates: Annotated[
        Path | None, typer.Option(help="A second file with each campaign's first day.")
    ] = None,
    campaign_column: Annotated[str, typer.Option(help="The campaigns' column.")] = "campaign",
    customer_column: Annotated[str, typer.Option(help="The customers' column.")] = "customer_id",
    starts_on_column: Annotated[str, typer.Option(help="The first days' column.")] = "starts_on",
    days: Annotated[
        int, typer.Option(min=1, max=365, help="Of --exposed: days compared before and after.")
    ] = 28,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every campaign against its control group: conversions, revenue, margin, net of rewards.

    Example: tessera results winback --as-of 2026-03-31 --json
    """
    from tessera.know import past
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    if exposed is not None:
        columns = (campaign_column, customer_column, starts_on_column)
        past.judge(ws, exposed, dates, columns, days)
    found = _chosen(_judged(ws), campaign)
    print_json(found) if as_json else _show(found)


def _judged(ws: Workspace) -> dict[str, Any]:
    from dataclasses import asdict

    from tessera.know.results import results as judge
    from tessera.reward.programme import load

    club = load(ws.project)
    return asdict(judge(ws, club.worth.point if club.worth else None, club.currency))


def _chosen(found: dict[str, Any], campaign: str | None) -> dict[str, Any]:
    if campaign is None:
        return found
    known = {one["campaign"]: one for one in [*found["campaigns"], *found["past"]]}
    if campaign not in known:
        raise BadInput(
            f"Campaign '{campaign}' has no decisions before that day; there are "
            f"{', '.join(known) or 'none'}."
        )
    its = {
        key: [o for o in found[key] if o["campaign"] == campaign] for key in ("campaigns", "past")
    }
    return {**found, "programme": None, **its}


def _show(found: dict[str, Any]) -> None:
    from tessera.units import format_money

    def money(amount: float) -> str:
        return format_money(round(amount), found["currency"])

    ours = [*found["campaigns"], *([found["programme"]] if found["programme"] else [])]
    rows = [row for one in ours for row in _rows(one, money)]
    if rows:
        print_table(rows)
        typer.echo()
    for one in ours:
        typer.echo(f"{_name(one['campaign'])}: {one['says']}")
        _show_variants(one)
        if one["observed"]:
            typer.echo(f"  {one['observed']['says']}")
    if found["past"]:
        typer.echo("\nCampaigns of another system; nobody was left alone by lot:\n")
        print_table([_past_row(one, money) for one in found["past"]])
        typer.echo()
        for one in found["past"][:1]:
            typer.echo(one["says"])
    if not ours and not found["past"]:
        typer.echo("No campaign has decisions before that day.")


def _name(campaign: str) -> str:
    return "the whole programme" if campaign == "*" else campaign


def _rows(one: dict[str, Any], money: Any) -> list[dict[str, object]]:
    spans = [span for span in (one["first"], one["to_date"]) if span]
    return [
        {
            "campaign": _name(one["campaign"]),
            "days": span["days"] or "all",
            "measure": its["measure"],
            "people": span["people"],
            "control": span["control"],
            **_figures(its, money),
        }
        for span in spans
        for its in span["measures"]
    ]


def _figures(its: dict[str, Any], money: Any) -> dict[str, object]:
    if its["measure"] == "converted":
        show, total = _points, _count
    else:
        show = total = money
    low, high = its["interval"]
    first, last = its["always"]
    return {
        "difference": show(its["difference"]),
        "95 %": f"{show(low)} to {show(high)}",
        "always": f"{show(first)} to {show(last)}",
        "in total": total(its["in_total"]),
        "per recipient": "" if its["per_recipient"] is None else show(its["per_recipient"]),
        "variance less by": f"{its['variance_reduction']:.0%}",
    }


def _points(share: float) -> str:
    return f"{100 * share:+.2f} pp"


def _count(number: float) -> str:
    return f"{number:+,.0f}"


def _show_variants(one: dict[str, Any]) -> None:
    for its in one["variants"]:
        typer.echo(f"  step {its['step']}: winner {its['winner'] or 'none'}; {its['why']}.")


def _past_row(one: dict[str, Any], money: Any) -> dict[str, object]:
    low, high = one["change_interval"]
    return {
        "campaign": "all" if one["campaign"] == "*" else one["campaign"],
        "from": one["starts_on"] or "",
        "exposed": one["exposed"],
        "before": money(one["exposed_before"]),
        "after": money(one["exposed_after"]),
        "unexposed": one["unexposed"],
        "its before": money(one["unexposed_before"]),
        "its after": money(one["unexposed_after"]),
        "raw difference": money(one["after"]),
        "difference in differences": f"{money(one['change'])} ({money(low)} to {money(high)})",
        "verdict": "selection" if one["is_selection"] else "not known",
    }
