"""`tessera know`: what is learned from purchases, and how well it would have foretold your own."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

know = typer.Typer(help="Value, the next basket, uplift and lift: how well they are known.")
evaluate = typer.Typer(help="Try the models of the nightly run on a file of your own.")
know.add_typer(evaluate, name="evaluate")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet.")]
DAY = ["%Y-%m-%d"]


class TimeUnit(StrEnum):
    """What parameters are per."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"


def register(app: typer.Typer) -> None:
    """Add `know`."""
    app.add_typer(know, name="know")


@know.command()
def score(as_of: AsOfOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Write each customer's purchases to come and recommendations, from the published marts.

    Example: tessera know score --as-of 2026-03-31
    """
    from tessera.know.scores import score as learn
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    found = learn(ws)
    if as_json:
        print_json(found)
        return
    typer.echo(
        f"{found.customers:,} customers, {found.expected_purchases:,.0f} purchases expected in the next "
        f"{found.horizon_days} days ({found.model}); {found.recommendations:,} recommendations: {ws.home.know}"
    )


@know.command()
def weeks(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Purchases and revenue week by week, as last learned: those to come, and the last ones as foretold.

    Example: tessera know weeks
    """
    from tessera.know.weeks import learned
    from tessera.workspace import open_workspace

    found = learned(open_workspace(home=home))
    print_json(found) if as_json else print_table(found)


@evaluate.command()
def value(
    file: FileArgument,
    *,
    calibration_end: Annotated[
        datetime, typer.Option(formats=DAY, help="The last day that is learned from.")
    ],
    holdout_end: Annotated[
        datetime, typer.Option(formats=DAY, help="The last day that is foretold.")
    ],
    customer: Annotated[str, typer.Option(help="The customers' column.")] = "customer_id",
    purchased_at: Annotated[str, typer.Option(help="The dates' column.")] = "purchased_at",
    amount: Annotated[str, typer.Option(help="The amounts' column.")] = "amount",
    date_format: Annotated[
        str | None, typer.Option(help="How dates are written, such as %d/%m/%Y.")
    ] = None,
    time_unit: Annotated[TimeUnit, typer.Option(help="What parameters are per.")] = TimeUnit.WEEKS,
    as_json: JsonOption = False,
) -> None:
    """Learn each customer's purchases up to a day, and compare with what came after it.

    Example: tessera know evaluate value purchases.csv --calibration-end 2025-06-30 --holdout-end 2025-12-31
    """
    from tessera.know.purchases import Columns
    from tessera.know.value import evaluate as judge

    found = judge(
        file,
        calibration_end.date(),
        holdout_end.date(),
        Columns(customer, purchased_at, amount, date_format),
        time_unit.value,
    )
    if found.last_purchase < found.holdout[1]:
        typer.echo(
            f"There is no purchase after {found.last_purchase}: if the file ends there, let the holdout too.",
            err=True,
        )
    print_json(found) if as_json else _show_value(found)


def _show_value(found: Any) -> None:
    rows = [
        {"model": found.model, "expected": found.expected, "mae": found.mae, "rmse": found.rmse},
        {"model": "bg_nbd", **found.bg_nbd},
        {"model": "naive", **found.naive},
    ]
    print_table([{"model": row["model"], "actual": found.actual, **row} for row in rows])
    low, high = found.interval
    typer.echo(
        f"\n{found.customers:,} customers known on {found.holdout[0]}; purchases up to "
        f"{found.holdout[1]}: 95 % between {low:,.0f} and {high:,.0f}."
    )
    typer.echo(
        f"Revenue: expected {found.revenue['expected']:,.2f}, actual {found.revenue['actual']:,.2f}.\n"
    )
    print_table(_parameters(found))
    if found.weekly:
        typer.echo()
        print_table(found.weeks)
        typer.echo(
            f"\nWeeks were off by {found.weekly['purchases_off']:.0%} of the purchases and "
            f"{found.weekly['revenue_off']:.0%} of the revenue."
        )


def _parameters(found: Any) -> list[dict[str, object]]:
    return [
        {
            "model": model,
            "parameter": name,
            f"per {found.time_unit}": round(number, 4),
            "95 % from": round(found.intervals[model][name][0], 4),
            "to": round(found.intervals[model][name][1], 4),
        }
        for model, parameters in found.parameters.items()
        for name, number in parameters.items()
    ]


@evaluate.command()
def recommend(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON with history and next.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Recommend ten items to each customer from the baskets so far, and compare with the next one.

    Example: tessera know evaluate recommend baskets.json --json
    """
    from tessera.know.recommend import evaluate as judge

    found = judge(file)
    if as_json:
        print_json(found.as_json())
        return
    rows = {"recommended": found.measures, **found.baselines}
    print_table([{"list": name, **measures} for name, measures in rows.items()])
    typer.echo(f"\n{found.customers:,} customers, {found.items:,} items; {found.parameters}")


@evaluate.command()
def uplift(
    file: FileArgument,
    *,
    treatment: Annotated[str, typer.Option(help="The column that says what was done.")],
    control: Annotated[str, typer.Option(help="Its value for those left alone.")],
    outcome: Annotated[str, typer.Option(help="The column with 1 for who did what was hoped.")],
    treated: Annotated[
        str | None, typer.Option(help="The other value, where there are several.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Columns not to learn from: keys, and what came after; by commas."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Learn whom a randomised campaign moved, and how well that ranks people it has not seen.

    Example: tessera know evaluate uplift campaign.csv --treatment arm --control none --outcome visit --ignore id,spend
    """
    from tessera.know.people import Arms
    from tessera.know.uplift import evaluate as judge

    ignored = [name.strip() for one in ignore or [] for name in one.split(",") if name.strip()]
    found = judge(file, Arms(treatment, control, treated), outcome, ignored)
    print_json(found) if as_json else _show_uplift(found)


def _show_uplift(found: Any) -> None:
    names = [*found.qini["per_learner"], *found.qini["baselines"]]
    print_table([_uplift_row(found, name) for name in names])
    low, high = found.average_effect_interval
    typer.echo(f"\nAverage effect {found.average_effect:.4f} (95 % {low:.4f} to {high:.4f}).")
    typer.echo("Expected outcome per person, by policy:\n")
    print_table(
        [{"policy": name, "mean": p["mean"], "sd": p["sd"]} for name, p in found.policies.items()]
    )


def _uplift_row(found: Any, name: str) -> dict[str, object]:
    def of(measure: dict[str, Any]) -> dict[str, Any]:
        return dict({**measure["per_learner"], **measure["baselines"]}[name])

    ranked, top = of(found.qini), of(found.uplift_at_30)
    return {
        "learner": name,
        "qini": ranked["mean"],
        "sd": ranked["sd"],
        "95 % of the mean": "{} to {}".format(*ranked["interval"]),
        "uplift at 30 %": top["mean"],
        "its sd": top["sd"],
    }


@evaluate.command()
def lift(
    file: FileArgument,
    *,
    treatment: Annotated[str, typer.Option(help="The arms' column.")] = "treatment",
    control: Annotated[str, typer.Option(help="The value of the control group.")] = "control",
    outcome: Annotated[str, typer.Option(help="What is compared, such as spending.")] = "outcome",
    before: Annotated[
        str | None, typer.Option(help="Spending before the campaign, to narrow the intervals.")
    ] = None,
    planned: Annotated[
        int, typer.Option(min=60, help="How many people there will be; before the first look.")
    ] = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Compare each arm of a campaign with its control group; one row per person.

    Example: tessera know evaluate lift campaign.csv --outcome spend --before spend_before
    """
    from tessera.know.lift import evaluate as judge

    found = judge(file, (treatment, outcome), control, before, planned)
    if as_json:
        print_json(found)
        return
    print_table([_lift_row(one) for one in found.arms])
    typer.echo(f"\nWinner: {found.winner or 'none'}; {found.why}.")


def _lift_row(one: Any) -> dict[str, object]:
    return {
        "arm": one.arm,
        "people": one.people,
        "control": one.people_against,
        "difference": round(one.difference, 4),
        "95 %": "{:.4f} to {:.4f}".format(*one.interval),
        "always": "{:.4f} to {:.4f}".format(*one.always),
        "p": round(one.p, 4),
        "variance less by": f"{one.variance_reduction:.0%}",
        "in total": round(one.in_total, 2),
    }
