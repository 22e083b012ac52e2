"""`tessera simulate`: what a span of days would have brought."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.options import (
    HomeOption,
    JsonOption,
    is_terminal,
    only_the_answer,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from datetime import date

    from flows.simulate import DayReport, SimulationReport


class Responses(StrEnum):
    """Which responses the messages get."""

    RECORDED = "recorded"
    ASSUMED = "assumed"


PolicyOption = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="With this contact policy instead.")
]
CampaignsOption = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="With this folder's campaigns instead."),
]
ResponsesOption = Annotated[
    Responses, typer.Option(help="As this home heard them, or at the rates below.")
]
ReachableOption = Annotated[
    bool, typer.Option(help="As if everybody had an address and had consented, or said no.")
]
KeepOption = Annotated[Path | None, typer.Option(help="Keep the scratch home in this new folder.")]


def _share(said: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(min=0, max=1, help=f"Assumed share {said}.")
    return option


def simulate(
    *,
    first: Annotated[str, typer.Option("--from", help="The first day, as 2026-03-01.")],
    last: Annotated[str, typer.Option("--to", help="The last day.")],
    policy: PolicyOption = None,
    campaigns: CampaignsOption = None,
    responses: ResponsesOption = Responses.RECORDED,
    open_rate: Annotated[float, _share("opened")] = 0.30,
    click_rate: Annotated[float, _share("clicked")] = 0.05,
    unsubscribe_rate: Annotated[float, _share("that unsubscribes")] = 0.002,
    assume_reachable: ReachableOption = False,
    keep: KeepOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go through days of this home's history in a scratch home; nothing is sent or written here.

    Example: tessera simulate --from 2025-05-01 --to 2025-05-14 --responses assumed
    """
    from flows.responses import Rates
    from flows.scratch import Rules
    from flows.simulate import Question
    from flows.simulate import simulate as go_through
    from tessera import clock
    from tessera.workspace import open_workspace

    rates = Rates(open_rate, click_rate, unsubscribe_rate)
    asked = Question(
        first=clock.parse_day(first, "--from"),
        last=clock.parse_day(last, "--to"),
        rules=Rules(policy, campaigns),
        rates=rates if responses == Responses.ASSUMED else None,
        assume_reachable=assume_reachable,
    )
    watch = _watch if is_terminal() else None
    with only_the_answer():
        found = go_through(open_workspace(home=home), asked, keep=keep, progress=watch)
    (print_json if as_json else _show)(found)


def register(app: typer.Typer) -> None:
    """Add `simulate` to `app`."""
    app.command()(simulate)


def _watch(day: date, number: int, days: int) -> None:
    end = "\n" if number == days else ""
    sys.stderr.write(f"\r{day}  {number} of {days} days{end}")
    sys.stderr.flush()


def _show(found: SimulationReport) -> None:
    typer.echo(f"{found.first} to {found.last}, {len(found.days)} days in {found.seconds:,} s")
    typer.echo(f"Responses {found.responses}.")
    if found.made_reachable is not None:
        typer.echo(f"{found.made_reachable:,} people have an address and consent by assumption.")
    typer.echo("\nMessages sent")
    print_table([*_per_day(found.days), {"date": "total", **_total(found.days)}])
    typer.echo("\nDecisions by reason")
    print_table(_by_reason(found.reasons))
    typer.echo("\nCaps, counted anew over the messages sent")
    print_table([{"cap": c.cap, "most found": c.found, "held": _word(c.held)} for c in found.caps])
    _show_points(found)


def _per_day(days: list[DayReport]) -> Iterator[Mapping[str, object]]:
    names = _total(days)
    for one in days:
        yield {"date": one.date, **{name: one.sent.get(name, 0) for name in names}}


def _total(days: list[DayReport]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for one in days:
        total.update(one.sent)
    return dict(sorted(total.items()))


def _by_reason(reasons: Mapping[str, Mapping[str, int]]) -> list[Mapping[str, object]]:
    from tessera.decide.reasons import Reason

    seen = [reason for reason in Reason if any(reason in counts for counts in reasons.values())]
    rows = [
        {"campaign": name, **{reason: counts.get(reason, 0) for reason in seen}}
        for name, counts in reasons.items()
    ]
    return [*rows, {"campaign": "total", **{r: sum(int(row[r]) for row in rows) for r in seen}}]


def _show_points(found: SimulationReport) -> None:
    earned = sum(one.points_earned for one in found.days)
    taken = sum(one.points_clawed_back for one in found.days)
    heard = ", ".join(f"{count:,} {event}" for event, count in found.responses_heard.items())
    typer.echo(f"\nHeard: {heard or 'nothing'}.")
    typer.echo(f"Points: {found.points_before:,} before, {earned:,} issued, {taken:,} taken back.")
    if found.home:
        typer.echo(f"The scratch home is {found.home}")


def _word(yes: bool) -> str:
    return "yes" if yes else "NO"
