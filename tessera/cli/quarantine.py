"""`tessera quarantine`: the bad rows, why they are bad, and the way back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.options import AsOfOption, HomeOption, JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tessera.land.quarantine import Choice
    from tessera.land.readmission import Readmitted
    from tessera.workspace import Workspace

FeedOption = Annotated[str | None, typer.Option("--feed", help="Rows of this feed only.")]
RuleOption = Annotated[str | None, typer.Option("--rule", help="Rows that break this rule only.")]
FileOption = Annotated[
    int | None, typer.Option("--file", help="Rows of the file with this number only.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most so many rows.")]


def _open(home: Path | None, as_of: str | None = None) -> Workspace:
    from tessera.workspace import open_workspace

    return open_workspace(as_of, home=home)


def _open_for_flows(home: Path | None, as_of: str | None) -> Workspace:
    from flows import server

    ws = _open(home, as_of)
    server.keep_to(ws)
    return ws


def _choice(feed: str | None, rule: str | None, file: int | None) -> Choice:
    from tessera.land.quarantine import Choice

    return Choice(feed=feed, rule=rule, file_id=file)


def list_groups(
    *,
    feed: FeedOption = None,
    rule: RuleOption = None,
    file: FileOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count the rows in quarantine by feed, file, column and rule.

    Example: tessera quarantine list --feed transactions
    """
    from tessera.land import quarantine

    found = quarantine.groups(_open(home), _choice(feed, rule, file))
    print_json(found) if as_json else print_table(found)


def show(
    *,
    feed: FeedOption = None,
    rule: RuleOption = None,
    file: FileOption = None,
    limit: LimitOption = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show rows in quarantine with their reasons.

    Example: tessera quarantine show --rule duplicate_key --limit 5
    """
    from tessera.land import quarantine

    found = quarantine.rows(_open(home), _choice(feed, rule, file), limit=limit)
    if as_json:
        print_json(found)
        return
    for row in found:
        row["reasons"] = "; ".join(_said(reason) for reason in row["reasons"])
    print_table(found)


def _said(reason: dict[str, Any]) -> str:
    value = "" if reason["value"] is None else f" ({reason['value']})"
    return f"{reason['column']}: {reason['rule']}{value}"


def summary(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Say where the landed rows of each feed are, and which files were refused whole.

    Example: tessera quarantine summary
    """
    from tessera.land import quarantine

    ws = _open(home)
    counts = [asdict(each) for each in quarantine.counts(ws)]
    refused = quarantine.refused(ws)
    if as_json:
        print_json({"feeds": counts, "refused": refused})
        return
    print_table(counts)
    if refused:
        typer.echo("\nRefused whole:")
        print_table(refused)


def export(
    path: Annotated[Path, typer.Argument(help="The CSV to write.")],
    *,
    feed: FeedOption = None,
    rule: RuleOption = None,
    file: FileOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write rows in quarantine to a CSV, to be set right and re-admitted.

    Example: tessera quarantine export bad-receipts.csv --feed transactions
    """
    from tessera import audit
    from tessera.land import quarantine

    ws = _open(home)
    rows = quarantine.export(ws, _choice(feed, rule, file), path)
    audit.note(ws, "export quarantine", f"file {path.name}", rows=rows)
    if as_json:
        print_json({"path": str(path), "rows": rows})
        return
    said = ", ".join(f"{number:,} of {its}" for its, number in rows.items())
    typer.echo(
        f"The rows are in {path}: {said}. Set them right there, then run "
        f"'tessera quarantine readmit {path}'."
    )


def readmit(
    path: Annotated[Path, typer.Argument(help="A CSV of 'export' that was set right.")],
    *,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge corrected rows again; those that pass leave quarantine for the models.

    Example: tessera quarantine readmit bad-receipts.csv
    """
    ws = _open_for_flows(home, as_of)
    from flows import validate

    _print_readmitted(validate.readmit(ws, path), as_json)


def retry(
    *,
    feed: FeedOption = None,
    rule: RuleOption = None,
    file: FileOption = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge rows in quarantine again as they are, after a suite has changed.

    Example: tessera quarantine retry --feed customers --rule format
    """
    ws = _open_for_flows(home, as_of)
    from flows import validate

    found = validate.retry(ws, _choice(feed, rule, file))
    _print_readmitted(found, as_json)


def _print_readmitted(found: Readmitted, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    before = f" {found.already:,} were re-admitted before." if found.already else ""
    typer.echo(
        f"{found.readmitted:,} of {found.rows:,} rows were re-admitted; "
        f"{found.still_quarantined:,} stay in quarantine.{before}"
    )
    for rule, times in found.reasons.items():
        typer.echo(f"  {rule}: {times:,}")
    if found.readmitted:
        typer.echo("They are in the models after the next 'tessera run'.")


def allow(
    file: Annotated[int, typer.Argument(help="The number of a refused file.")],
    *,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a file that was refused whole: it is judged again, row by row only.

    Example: tessera quarantine allow 12
    """
    from tessera.land import verdict

    verdict.allow(_open(home), file)
    if as_json:
        print_json({"file_id": file, "allowed": True})
    else:
        typer.echo(f"File {file} will be judged again, row by row only, by the next 'tessera run'.")


def register(app: typer.Typer) -> None:
    """Add `quarantine` and what is below it to `app`."""
    group = typer.Typer(
        help="List, export and re-admit the rows that broke a rule.", no_args_is_help=True
    )
    group.command("list")(list_groups)
    for command in (show, summary, export, readmit, retry, allow):
        group.command()(command)
    app.add_typer(group, name="quarantine")
