"""`tessera doctor`: the settings in force, and what is wrong with them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json, print_table, visible

if TYPE_CHECKING:
    from tessera.doctor import Problem, Value


def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print every setting with its source, and what is wrong. Exits with 1 when something is.

    Example: TESSERA_MESSENGER=smtp tessera doctor
    """
    from tessera import doctor as doctors
    from tessera import settings
    from tessera.errors import BadInput

    given = frozenset({"home"} if home else set())
    try:
        loaded = settings.load(home=home)
    except BadInput as error:
        values, problems = [], [doctors.Problem("settings", str(error))]
    else:
        values, problems = doctors.values(loaded, given=given), doctors.problems(loaded)
    is_wrong = any(not problem.advice for problem in problems)
    if as_json:
        print_json({"ok": not is_wrong, "settings": _dicts(values), "problems": _dicts(problems)})
    else:
        _print(values, problems)
    raise typer.Exit(1 if is_wrong else 0)


def _dicts(rows: list[Value] | list[Problem]) -> list[dict[str, object]]:
    return [asdict(row) for row in rows]


def _print(values: list[Value], problems: list[Problem]) -> None:
    if values:
        print_table(_dicts(values))
    for problem in problems:
        mark = "advice" if problem.advice else "wrong"
        typer.echo(f"\n{mark}: {problem.setting}: {visible(problem.problem)}")
    if not problems:
        typer.echo("\nNothing is wrong.")


def register(app: typer.Typer) -> None:
    """Add `doctor` to `app`."""
    app.command()(doctor)
