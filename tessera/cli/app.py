"""The command line: parses, calls a stage, prints. Heavy imports wait inside the commands."""

from __future__ import annotations

import errno
import sys

import typer

from tessera import __version__
from tessera.cli import commands
from tessera.cli.options import visible
from tessera.errors import BadInput, OutOfSpace, TesseraError

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
        if _disk_is_full(error):
            _say("The disk is full; free some space and run the same command again.")
            sys.exit(OutOfSpace.exit_code)
        if (said := _misplaced(error) or _lost(error)) is None:
            raise
        _say(said)
        sys.exit(BadInput.exit_code)


def _say(error: object) -> None:
    typer.echo(f"error: {visible(str(error), but=LINE_END)}", err=True)


LINE_END = "\n"  # of a list of mistakes
NO_PLACE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EROFS)
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_DISK_WORDS = ("no space left on device", "database or disk is full", "file too large")


def _misplaced(error: Exception) -> str | None:
    """What is said of a place where nothing can be read or written."""
    if not isinstance(error, OSError) or not error.filename or error.errno not in NO_PLACE:
        return None
    return f"{error.filename} cannot be used: {error.strerror}. Choose another place or fix it."


def _lost(error: Exception) -> str | None:
    from tessera.store import lost  # heavy, and only after something went wrong

    return lost(error)


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind `error`, whichever library met it first."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return True
        if any(words in str(error).lower() for words in FULL_DISK_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False
