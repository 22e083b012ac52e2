"""What is said when not the work but what it stands on gave way: the disk, a place, the store."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from tessera.errors import BadInput, OutOfSpace, TesseraError
from tessera.store import lost

NO_PLACE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EROFS)
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_DISK_WORDS = ("no space left on device", "database or disk is full", "file too large")


def told(error: BaseException) -> TesseraError | None:
    """The sentence for the user, with its exit code; None where `error` is a bug."""
    if isinstance(error, TesseraError):
        return error
    if is_full(error):
        return OutOfSpace(" of the PostgreSQL server" if _is_servers(error) else "")
    said = _misplaced(error) or lost(error) or _damaged(error) or _cramped(error)
    return BadInput(said) if said else None


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind `error`, whichever library met it first."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return True
        if says_full(str(error)) or _is_servers(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def says_full(text: str) -> bool:
    """Whether what a library says is that the disk is full."""
    return any(words in text.lower() for words in FULL_DISK_WORDS)


def _is_servers(error: BaseException) -> bool:
    """Whether it is PostgreSQL's disk, which may be another machine's."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) == "53100"  # disk_full


def _misplaced(error: BaseException) -> str | None:
    """What is said of a place where nothing can be read or written."""
    if not isinstance(error, OSError) or not error.filename or error.errno not in NO_PLACE:
        return None
    return f"{error.filename} cannot be used: {error.strerror}. Choose another place or fix it."


DAMAGED = re.compile(r'(?:read file|Parquet file) "([^"]+\.parquet)": *(.*)')
ANEW = {  # by the folder of the home, what to delete of it
    "validated": "Delete it, and 'tessera run' makes it anew from landing/",
    "marts": "Delete the home's folder dbt/, and 'tessera run' makes it anew",
}


def _damaged(error: BaseException) -> str | None:
    """What is said of a Parquet file that DuckDB found damaged inside; its ends are looked at before."""
    found = DAMAGED.search(str(error)) if type(error).__module__.endswith("duckdb") else None
    if found is None:
        return None
    path, why = Path(found[1]), found[2].strip().rstrip(".")
    advice = next((ANEW[part] for part in path.parts if part in ANEW), "Put it back from a copy")
    return f"{path} is damaged{f' ({why})' if why else ''}. {advice}."


def _cramped(error: BaseException) -> str | None:
    """What is said where DuckDB may not take the memory that it needs."""
    if type(error).__name__ != "OutOfMemoryException":
        return None
    return (
        "DuckDB needs more memory than TESSERA_DUCKDB_MEMORY allows; allow more and run it again."
    )
