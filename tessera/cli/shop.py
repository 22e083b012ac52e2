"""`tessera make-shop`: an export of a shop that does not exist."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.options import JsonOption, is_terminal, print_json, print_table

if TYPE_CHECKING:
    from tessera.shop import Made


class FileFormat(StrEnum):
    """What the files are written as."""

    CSV = "csv"
    PARQUET = "parquet"


Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is new or empty.")]
Customers = Annotated[int, typer.Option(help="How many customers there are.")]
Days = Annotated[int, typer.Option(help="How many days the tills run.")]
Seed = Annotated[int, typer.Option(help="Another seed is another shop.")]
Defects = Annotated[float, typer.Option(help="The share of bad rows to plant, such as 0.02.")]
Duplicates = Annotated[
    float, typer.Option(help="The share of customers who registered twice, such as 0.05.")
]
Start = Annotated[
    str | None,
    typer.Option(help="The first day; default 2025-01-01, earlier for more than 365 days."),
]
Trial = Annotated[
    bool,
    typer.Option(
        "--trial", help="A month before the end half of the members got a coupon, by lot."
    ),
]
AnyFormat = Annotated[FileFormat, typer.Option("--format", help="The files' format.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("make-shop")(make_shop_command)


def make_shop_command(
    directory: Directory,
    *,
    customers: Customers = 1_500,
    days: Days = 365,
    seed: Seed = 1,
    defects: Defects = 0.0,
    duplicates: Duplicates = 0.0,
    start: Start = None,
    trial: Trial = False,
    file_format: AnyFormat = FileFormat.CSV,
    json: JsonOption = False,
) -> None:
    """Make up a shop: write landing files as a retailer would export them, and the truth beside.

    The same arguments write the same bytes. What was planted and what is true lies in DIR/truth,
    which landing leaves alone.

    Example: tessera make-shop shop --customers 1500 --days 365 --seed 1 --defects 0.02

    Then: tessera land made_up_shop shop
    """
    from tessera import clock, settings
    from tessera.shop import make_shop

    limits = settings.load()
    with _progress() as progress:
        made = make_shop(
            directory, customers=customers, days=days, seed=seed, defect_share=defects,
            duplicates=duplicates, start=clock.parse_day(start, "--start"), trial=trial, file_format=file_format.value,
            memory=limits.duckdb_memory, threads=limits.threads, progress=progress,
        )  # fmt: skip
    print_json(made) if json else _print(made)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Reports files done to a bar on a terminal, and to nobody elsewhere."""
    if not is_terminal():
        yield lambda _done, _all: None
        return
    import sys

    with typer.progressbar(length=1, label="Making the shop", file=sys.stderr) as bar:

        def show(done: int, files: int) -> None:
            bar.length = files
            bar.update(done - bar.pos)

        yield show


def _print(made: Made) -> None:
    print_table([{"feed": feed, "rows": rows} for feed, rows in made.rows.items()])
    typer.echo(
        f"\n{made.files} files, {made.bytes:,} bytes in {made.directory}; "
        f"{made.days} days from {made.start}; {made.defects:,} bad rows planted."
    )
    typer.echo(f"Next: tessera land made_up_shop {shlex.quote(str(made.directory))}")
