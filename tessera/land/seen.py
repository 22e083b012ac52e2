"""What lay in a source's folders when it was landed last: a file that is as it was then need not be read
again to know its content. Our own folder `engine/` has some more files every day, and none is taken away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from os import stat_result
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from tessera.home import Home
from tessera.land.files import SourceFile
from tessera.land.spool import Spooled
from tessera.warehouse.inputs import replace_text


@dataclass(frozen=True)
class Seen:
    """Files on disks of this machine, by number, size and times. It may be deleted: all are read again."""

    path: Path
    before: Mapping[str, str]  # state of a file -> content hash
    now: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Home, source: str) -> Seen:
        path = home.landing / ".seen" / f"{source}.json"
        with suppress(FileNotFoundError, ValueError):
            return cls(path, dict(json.loads(path.read_text(encoding="utf-8"))))
        return cls(path, {})

    def content(self, file: SourceFile) -> str | None:
        """The hash of its content; None where it was changed since, or was not there."""
        state = _state(file)
        if state is None or (found := self.before.get(_said(state))) is None:
            return None
        self.now[_said(state)] = found
        return found

    def add(self, file: SourceFile, spooled: Spooled) -> None:
        """Remember what was just read, unless the file system's clock could not tell a later change from it."""
        state, copied = _state(file), spooled.path.stat()
        if state is not None and state.st_ctime_ns < copied.st_ctime_ns:
            self.now[_said(state)] = spooled.content_hash

    def keep(self) -> None:
        if self.now != self.before:
            self.path.parent.mkdir(exist_ok=True)
            replace_text(self.path, json.dumps(self.now))


def _state(file: SourceFile) -> stat_result | None:
    """None of a file elsewhere, whose place may not say when it changes."""
    if not isinstance(file.fs, LocalFileSystem):
        return None
    try:
        return Path(file.path).stat()
    except OSError:  # whoever reads it says why
        return None


def _said(state: stat_result) -> str:
    return f"{state.st_dev}-{state.st_ino}-{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}"
