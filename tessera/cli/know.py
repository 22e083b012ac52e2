"""`tessera know`: what is learned from purchases, and how well it would have foretold your own."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tessera.cli.options import JsonOption, print_json, print_table

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
