"""Who is still alive: every sender holds a lock on a file of its own for as long as it lives.

The kernel lets go of the lock when a process dies, however it dies, so that the next sender on this
machine takes over at once; on another machine it waits until the lease has run out.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from tessera import clock
from tessera.locks import is_held


class Lifeline:
    """This sender's lock, held between `with` and the end of the block."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.owner = secrets.token_hex(8)

    def __enter__(self) -> Lifeline:
        self._descriptor = os.open(self.folder / self.owner, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.utime(self._descriptor, (clock.now().timestamp(),) * 2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:  # else its leases may stand, and without a lock it is known to be dead
            (self.folder / self.owner).unlink(missing_ok=True)
        os.close(self._descriptor)

    def dead(self) -> set[str]:
        """Senders of this home whose process is gone."""
        return {path.name for path in self.folder.iterdir() if _is_free(path)}

    def bury(self, dead: Iterable[str]) -> None:
        """Forget senders whose leases have been dealt with."""
        for owner in dead:
            (self.folder / owner).unlink(missing_ok=True)


def at_work(folder: Path) -> bool:
    """Whether a sender of this machine is alive in `folder`."""
    return bool(_alive(folder))


def at_work_since(folder: Path) -> datetime:
    """When the sender of this machine that has been at work the longest began; now where none is."""
    began = [clock.now()]
    for path in _alive(folder):
        with suppress(FileNotFoundError):  # it has just ended
            began.append(datetime.fromtimestamp(path.stat().st_mtime, UTC))
    return min(began)


def _alive(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not _is_free(path)] if folder.is_dir() else []


def _is_free(path: Path) -> bool:
    try:
        return not is_held(path)
    except FileNotFoundError:
        return False
