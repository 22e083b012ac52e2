"""The command line: parses, calls a stage, prints. Heavy imports wait inside the commands."""

from __future__ import annotations

import sys

import typer

from tessera import __version__
from tessera.cli import commands
from tessera.cli.options import visible
from tessera.errors import TesseraError

app = typer.Typer(
    name="tessera",
    help="Till receipts in; personal, capped, explainable messages and loyalty points out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tessera {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command; a user's mistake is one sentence and a non-zero exit, not a traceback."""
    try:
        app()
    except TesseraError as error:
        _say(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        from tessera.outage import told  # heavy, and only after something went wrong

        if (said := told(error)) is None:
            raise
        _say(said)
        sys.exit(said.exit_code)


def _say(error: object) -> None:
    typer.echo(f"error: {visible(str(error), but=LINE_END)}", err=True)


LINE_END = "\n"  # of a list of mistakes
