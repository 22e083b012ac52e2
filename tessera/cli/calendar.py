"""`tessera calendar`: what is scheduled, and about how many messages that will be."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

DAYS = 14  # that are shown when nothing else is asked for


def calendar(
    *,
    first: Annotated[
        str | None, typer.Option("--from", help="The first day (default today).")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help=f"The last day (default {DAYS} days in all).")
    ] = None,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which campaigns run on which day, with the messages to be expected and the blackouts.

    A campaign's volume is the median of its runs of the last four weeks, on the same weekday if it
    ran on any; of one that has never run, what it would plan today.

    Example: tessera calendar --from 2026-12-01 --to 2026-12-31
    """
    from dataclasses import asdict
    from datetime import timedelta

    from tessera import clock
    from tessera.decide.agenda import agenda
    from tessera.workspace import open_workspace

    ws = open_workspace(as_of, home=home)
    begin = clock.parse_day(first, "--from") or ws.business_date
    end = clock.parse_day(last, "--to") or begin + timedelta(DAYS - 1)
    found = agenda(ws, begin, end)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        print_table(map(asdict, found))


def register(app: typer.Typer) -> None:
    """Add `calendar` to `app`."""
    app.command()(calendar)
