"""What can go wrong for a user, said in one sentence, with the exit code it means."""

from __future__ import annotations


class TesseraError(Exception):
    """A sentence for the user: what is wrong, where, and what to do. Never a bug."""

    exit_code = 3


class BadInput(TesseraError):
    """A file, argument or configuration that cannot be used as it is."""


class Refused(TesseraError):
    """Whole files were refused at the door; nothing of them reached the models."""

    exit_code = 4


class RedBuild(TesseraError):
    """The dbt build failed, so nothing was published."""

    exit_code = 5


class OutOfSpace(TesseraError):
    """The disk is full; what was finished before is kept, the rest can be run again."""

    exit_code = 6

    def __init__(self, of: str = "") -> None:
        super().__init__(f"The disk{of} is full; free some space and run the same command again.")
