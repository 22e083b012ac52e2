"""The spool: a folder of this process's own, where a file is copied and converted before it lands."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from tessera.errors import BadInput
from tessera.land import manifest
from tessera.land.encoding import Evidence
from tessera.land.files import SourceFile, trouble
from tessera.locks import is_held
from tessera.workspace import Workspace

CHUNK = 4 << 20
BLANK = 64  # bytes at most: some systems end the line that they did not write
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
COMPRESSIONS |= {bytes([own]) + b"\x2a\x4d\x18": "zstd" for own in range(0x50, 0x60)}  # as of pzstd


class Empty(BadInput):
    """A file without a byte."""


@dataclass(frozen=True)
class Spooled:
    """One source file, copied and unpacked."""

    path: Path
    content_hash: str  # SHA-256 of the unpacked content: packing and name do not matter
    evidence: Evidence
    bytes: int  # as the file lay there, if its place says

    @property
    def is_blank(self) -> bool:
        """Whether it holds the end of a line or two, and nothing else."""
        return self.path.stat().st_size <= BLANK and not self.path.read_bytes().strip()


@contextmanager
def spool(ws: Workspace) -> Iterator[Path]:
    """A scratch folder on the landing's own disk, gone at the end; what the dead left goes first."""
    folder = ws.home.landing / ".spool" / uuid.uuid4().hex
    with manifest.locked(ws.home):
        _sweep(folder.parent)
        manifest.sweep(ws)
        folder.mkdir(parents=True)
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def settle(ws: Workspace) -> None:
    """Wait for the landings that are under way, and remove what the dead left."""
    for lock in (ws.home.landing / ".spool").glob("*/lock"):
        with suppress(FileNotFoundError), lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
    with manifest.locked(ws.home):
        _sweep(ws.home.landing / ".spool")
        manifest.sweep(ws)


def _sweep(spools: Path) -> None:
    """Remove the folders whose process is dead: nobody holds their lock, or it is gone before the rest."""
    for folder in spools.glob("*"):
        if not _is_at_work(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_at_work(folder: Path) -> bool:
    try:
        return is_held(folder / "lock")
    except FileNotFoundError:  # its owner removes it just now, or was killed while it did
        return False


def fetch(file: SourceFile, folder: Path) -> Spooled:
    """Copy `file` into `folder`, unpacked, hashing what is copied.

    BadInput when it cannot be read, is damaged, is empty, or changes while it is read.
    """
    path, digest, evidence = folder / "content", hashlib.sha256(), Evidence()
    before = _state(file)
    with path.open("wb") as copy:
        for chunk in _chunks(file):
            digest.update(chunk)
            evidence.add(chunk)
            copy.write(chunk)
    size = path.stat().st_size
    if size == 0:
        raise Empty(f"{file.name} is empty (0 bytes); export it again.")
    if _state(file) != before:
        raise BadInput(
            f"{file.name} changed while it was being read; land it again when its export is finished."
        )
    return Spooled(path, digest.hexdigest(), evidence, size if file.bytes is None else file.bytes)


def _state(file: SourceFile) -> str:
    """Changes whenever the file does: its size and time, or whatever tag its place gives it."""
    try:
        file.fs.invalidate_cache()
        return str(file.fs.ukey(file.path))
    except OSError as error:
        raise trouble(file.fs, file.name, error) from error


def _chunks(file: SourceFile) -> Iterator[bytes]:
    """The unpacked content. Writing happens outside: a full disk is not the file's fault."""
    try:
        with file.fs.open(file.path, "rb") as handle:
            content = _unpacked(handle)
            while chunk := content.read(CHUNK):
                yield chunk
    except Exception as error:  # whatever the library of the file's place raises
        if _does_not_unpack(error):
            raise BadInput(
                f"{file.name} is cut short or damaged: it does not unpack; copy it again."
            ) from error
        raise trouble(file.fs, file.name, error) from error


def _does_not_unpack(error: Exception) -> bool:
    """Whether Arrow says it of a packed stream."""
    is_line = isinstance(error, ConnectionError | TimeoutError)
    return isinstance(error, OSError) and error.errno is None and not is_line


def _unpacked(handle: BinaryIO) -> Any:
    head = handle.read(4)
    handle.seek(0)
    packed = next((name for magic, name in COMPRESSIONS.items() if head.startswith(magic)), None)
    return pa.CompressedInputStream(pa.PythonFile(handle, mode="r"), packed) if packed else handle
