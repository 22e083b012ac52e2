"""`tessera audit`: who did what, and when."""

from __future__ import annotations

import json
from textwrap import shorten
from typing import Annotated

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json, print_table

SHOWN = 100
WIDTH = 80  # --json has all of it


def register(app: typer.Typer) -> None:
    app.command()(audit)


def audit(
    *,
    action: Annotated[str | None, typer.Option(help="Only this, such as approve.")] = None,
    since: Annotated[str | None, typer.Option(help="From this day on, as 2026-03-31.")] = None,
    person: Annotated[
        str | None, typer.Option(metavar="CUSTOMER", help="Only what was done to this customer.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = SHOWN,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What operators did, the latest first: approvals, pauses, erasures and the like.

    People are named by a hash; --person finds the one of a customer.

    Example: tessera audit --action approve --since 2026-03-01
    """
    from tessera import clock
    from tessera.audit import entries
    from tessera.land.erased import Keyring
    from tessera.workspace import open_workspace

    day = clock.parse_day(since, "--since")
    ws = open_workspace(home=home)
    subject = Keyring.of(ws).person(person) if person else None
    found = entries(ws, action=action, subject=subject, since=day, limit=limit)
    if as_json:
        print_json(found)
    else:
        print_table([{**row, "detail": shorten(json.dumps(row["detail"]), WIDTH)} for row in found])
