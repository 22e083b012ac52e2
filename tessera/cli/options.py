"""Options that most commands share, and the two ways a result is printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

# Control characters, ends of lines, and what turns the direction of all that follows.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The project home (default TESSERA_HOME or ./var)."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Act as on this date: 2026-03-31 is the morning of that day."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object or array.")]


@contextmanager
def only_the_answer() -> Iterator[None]:
    """What others print meanwhile goes to standard error: dbt says some things at any log level, and
    standard output is a document that a machine may read."""
    with redirect_stdout(sys.stderr):
        yield


def print_json(value: object) -> None:
    """One JSON document on standard output; dataclasses become objects."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    typer.echo(json.dumps(value, default=str, ensure_ascii=False, indent=2))


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Aligned plain columns, numbers to the right; 'nothing' when there are no rows."""
    found = list(rows)
    if not found:
        typer.echo("(nothing)")
        return
    names = list(columns or found[0])
    cells = [[_cell(row.get(name)) for name in names] for row in found]
    widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(names)]
    right = [all(isinstance(row.get(name), int | float | None) for row in found) for name in names]
    for line in [names, ["-" * width for width in widths], *cells]:
        typer.echo(
            "  ".join(
                text.rjust(width) if to_right else text.ljust(width)
                for text, width, to_right in zip(line, widths, right, strict=True)
            ).rstrip()
        )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return visible(str(value))


def visible(text: str, *, but: str = "") -> str:
    """Text with what would command the terminal it is shown in written out, `but` these: it may be
    a stranger's."""
    return UNSEEN.sub(lambda it: it[0] if it[0] in but else ascii(it[0])[1:-1], text)


def is_terminal() -> bool:
    """Whether progress bars and colour make sense: standard error is a terminal."""
    return sys.stderr.isatty()
