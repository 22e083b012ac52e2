"""Child processes that end with the process that started them, however that one ends.

Run as a program (`python tether.py PARENT_PID COMMAND…`) it ties itself to its parent and becomes
the command: Linux then kills it the moment the parent is gone, `kill -9` included. Elsewhere a
child is stopped when its parent leaves by itself or by a signal it can catch.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def command(*words: str, parent: int | None = None) -> list[str]:
    """The command line that runs `words` tied to `parent` (None: whoever will start it)."""
    return [sys.executable, "-S", __file__, str(parent or 0), *words]


def start(
    *words: str, env: dict[str, str], output: Path, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start `words` tied to this process, in a group of its own, writing to the file `output`.

    Call it from the main thread: Linux ties a child to the thread that started it.
    """
    with output.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 -- our own command
            command(*words, parent=os.getpid()),
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(child: subprocess.Popen[bytes], *, patience_seconds: float = 5) -> None:
    """Ask `child` to end, then see that nothing of its group is left."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    # An empty group is as it should be.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def main(parent: int, words: list[str]) -> None:
    """Tie this process to its parent, then become `words`."""
    parent = parent or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")  # before the tie could hold
    os.execvp(words[0], words)  # noqa: S606 -- becoming the command is the point


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
