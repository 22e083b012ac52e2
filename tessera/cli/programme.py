"""`tessera programme`: whether its file is sound, its schema, and what other rules would have done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json, print_table

programme = typer.Typer(
    help="The loyalty programme: check its file, try other rules on past receipts."
)


def register(app: typer.Typer) -> None:
    app.add_typer(programme, name="programme")


@programme.command()
def check(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Point at every mistake in deployments/programme.yml, by line and key; and at points that are in the
    ledger of another programme, and other programmes' files.

    Example: tessera programme check
    """
    from dataclasses import asdict

    from tessera import documents
    from tessera.errors import BadInput
    from tessera.reward.ledger import elsewhere
    from tessera.reward.programme import FILE, Programme
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    named, problems, source = documents.read(ws.project / FILE, Programme, project=ws.project)
    said = elsewhere(ws.store, named) if named else []
    said += [
        f"{one} is not read: this file is the programme." for one in _others(ws.project / FILE)
    ]
    warnings = [source.problem(("programme",), one) for one in said]
    if as_json:
        told = {"problems": problems, "warnings": warnings}
        print_json({"ok": not problems, **{k: [asdict(one) for one in v] for k, v in told.items()}})
    else:
        for one in (*problems, *warnings):
            typer.echo(str(one), err=True)
        if not problems:
            typer.echo("The programme is sound.")
    if problems:
        raise typer.Exit(BadInput.exit_code)


def _others(file: Path) -> list[str]:
    """Files beside it that look like a programme too."""
    found = sorted(file.parent.glob(f"{file.stem}*.y*ml"))
    return [str(one.relative_to(file.parent.parent)) for one in found if one.name != file.name]


@programme.command()
def schema() -> None:
    """Print the JSON Schema of the programme file, for an editor.

    Example: tessera programme schema > programme.schema.json
    """
    from tessera.reward.programme import Programme

    print_json(Programme.model_json_schema())


@programme.command()
def simulate(
    changed: Annotated[Path, typer.Option("--programme", help="The changed programme file.")],
    first: Annotated[str, typer.Option("--from", help="The first day of receipts, 2025-01-01.")],
    last: Annotated[str, typer.Option("--to", help="The last day of receipts.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the receipts of a span would have brought by the rules in force and by changed ones.

    Example: tessera programme simulate --programme new.yml --from 2025-01-01 --to 2025-12-31
    """
    from dataclasses import asdict

    from tessera import clock, documents
    from tessera.reward.programme import Programme, load
    from tessera.reward.replay import replay
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    days = clock.parse_day(first, "--from"), clock.parse_day(last, "--to")
    new = documents.load(changed.resolve(), Programme, project=ws.project)
    before, after = (asdict(replay(ws, one, *days)) for one in (load(ws.project), new))
    if as_json:
        print_json({"before": before, "after": after})
        return
    for found in (before, after):
        found |= {f"tier {name}": count for name, count in found.pop("tiers").items()}
    names = list(dict.fromkeys([*before, *after]))
    rows = [{"what": n, "now": before.get(n, 0), "changed": after.get(n, 0)} for n in names]
    print_table([row | {"difference": row["changed"] - row["now"]} for row in rows])
