"""The files at a path: one file, a folder, or any fsspec URL."""

from __future__ import annotations

import errno
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from tessera.errors import BadInput
from tessera.settings import environment
from tessera.urls import filled, without_password

UNREADABLE = (PermissionError, FileNotFoundError)
# Of archives (zip://…::…): damaged, or locked and packed in an unknown way.
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError)
# What the web answers where nothing is, and where there may be something a little later.
GONE, PASSING = (404, 410), (408, 425, 429, *range(500, 600))


class Unreachable(BadInput):
    """A remote place that does not answer; trying again may help."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a retailer's export."""

    fs: Any  # fsspec ships no types
    path: str
    name: str  # below the landed folder, with forward slashes
    bytes: int | None  # None where the place does not say

    @property
    def shown(self) -> str:
        """The name as text, also where it came from a machine with another code page."""
        return self.name.encode(errors="surrogateescape").decode(errors="replace")

    def check_name(self) -> None:
        """BadInput where the name is no text: no store keeps it."""
        if self.shown != self.name:
            raise BadInput(f"{self.shown}: its name is not in UTF-8; rename it.")

    def beside(self, name: str) -> SourceFile:
        """The file called `name` in the same folder; BadInput where there is none."""
        path = f"{self.path.removesuffix(PurePosixPath(self.name).name)}{PurePosixPath(name).name}"
        try:
            if self.fs.isfile(path):
                return SourceFile(self.fs, path, name, self.fs.size(path))
        except (OSError, *DAMAGED) as error:
            raise trouble(self.fs, name, error) from error
        raise BadInput(
            f"{self.name} needs {name} beside it, which is not there; land it when both are."
        )


def find(path: str, home: Path) -> tuple[list[SourceFile], list[str]]:
    """The files at `path` in natural order, and a sentence for each folder that cannot be read.

    `truth/` folders, hidden files and our own `home`, if it lies in there, are not looked at.
    BadInput when there is no such path.
    """
    if not path.rpartition("://")[2].strip():  # as a shell's unset variable leaves it
        raise BadInput(f"'{path}' names no file or folder; write '.' for the one you are in.")
    fs, root = _filesystem(path)
    try:
        if fs.isfile(root):
            return [SourceFile(fs, root, _own_name(fs, root), fs.size(root))], []
        if not fs.exists(root):
            raise _absent(fs, root, path)
        unreadable: list[OSError] = []
        walked = _walk(fs, root, "", unreadable)
        others = (file for file in walked if not _lies_between(home, root, file.path))
        found = sorted(others, key=lambda file: _natural(file.name))
    except (OSError, *DAMAGED) as error:
        raise trouble(fs, path, error) from error
    return found, [str(trouble(fs, path, error)) for error in unreadable]


def _absent(fs: Any, root: str, path: str) -> BadInput:
    """That there is nothing, or what a web address answered: whatever it is, fsspec finds nothing there."""
    if "http" in fs.protocol:
        try:
            fs.info(root)
        except OSError as error:
            if _answer(error)[0] not in GONE:
                return trouble(fs, path, error)
    return BadInput(f"There is nothing at {without_password(path)}; check the path.")


def _lies_between(home: Path, root: str, file: str) -> bool:
    return home in Path(file).parents and home not in (Path(root), *Path(root).parents)


def _own_name(fs: Any, root: str) -> str:
    """What the one file at `root` is called; what a web address asks with may be a secret."""
    return PurePosixPath(root.partition("?")[0] if "http" in fs.protocol else root).name


def trouble(fs: Any, path: str, error: Exception) -> BadInput:
    """What kept us from reading `path`, as a sentence. Places have libraries of their own, with errors
    of their own."""
    where = without_password(getattr(error, "filename", None) or path)
    if isinstance(error, DAMAGED):
        return BadInput(f"{where} cannot be read: {_reason(error)}; copy it again or unpack it.")
    if "http" in fs.protocol and (error.__cause__ or _answer(error)[0]):
        return _unanswered(where, error)
    if "local" not in fs.protocol and not isinstance(error, FileNotFoundError | PermissionError):
        return _unreachable(where, error)
    return BadInput(f"{where} cannot be read: {_reason(error)}.")


def _answer(error: Exception) -> tuple[int | None, str]:
    """What a web address said, as a number and in its own words; not in those of the library, which quote
    the address with its password."""
    said = error.__cause__ or error
    return getattr(said, "status", None), getattr(said, "message", "")


def _unanswered(where: str, error: Exception) -> BadInput:
    status, words = _answer(error)
    if status is None:
        return _unreachable(where, error.__cause__ or error)
    said = f"it answered {status} {words}".rstrip()
    if status in PASSING:
        return Unreachable(f"{where} cannot be reached: {said}; try again later.")
    return BadInput(f"{where} cannot be read: {said}.")


def _unreachable(where: str, error: BaseException) -> Unreachable:
    return Unreachable(f"{where} cannot be reached: {_reason(error)}; try again later.")


def _reason(error: BaseException) -> str:
    """The error's first line, as the end of a sentence."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).splitlines()[0].rstrip(".").lower()


def _filesystem(path: str) -> tuple[Any, str]:
    where = without_password(path)
    try:
        fs, root = fsspec.core.url_to_fs(filled(path, environment()))
    except BadInput:
        raise
    except ImportError as error:
        raise BadInput(f"{where} needs another Python package: {error}.") from error
    except (ConnectionError, TimeoutError) as error:
        raise _unreachable(where, error) from error
    except Exception as error:  # whatever the place's own library raises
        raise BadInput(f"{where} cannot be opened: {_reason(error)}.") from error
    fs.invalidate_cache()
    return fs, root


def _walk(fs: Any, folder: str, below: str, unreadable: list[OSError]) -> Iterator[SourceFile]:
    """Not fsspec's own walk: below the first level it keeps what went wrong to itself."""
    for info in _listing(fs, folder, unreadable):
        own = PurePosixPath(info["name"]).name
        name = f"{below}{own}"
        if info["name"].rstrip("/") == folder.rstrip("/"):
            continue
        if info["type"] == "file":
            yield SourceFile(fs, info["name"], name, info["size"])
        elif info["type"] == "directory" and own != "truth":
            yield from _walk(fs, info["name"], f"{name}/", unreadable)


def _listing(fs: Any, folder: str, unreadable: list[OSError]) -> Iterator[dict[str, Any]]:
    """What is in `folder` and not hidden, linked files as what they link to. Linked folders are left
    out: they may lead round in a circle."""
    try:
        found = fs.ls(folder, detail=True)
    except UNREADABLE as error:
        unreadable.append(error)
        return
    for info in found:
        if PurePosixPath(info["name"]).name.startswith("."):
            continue
        target = _target(fs, info, unreadable) if info.get("islink") else info
        if target is info or (target and target["type"] == "file"):
            yield target


def _target(fs: Any, link: dict[str, Any], unreadable: list[OSError]) -> Any:
    """What `link` leads to; None when it leads nowhere, which hides none of the other files."""
    try:
        return fs.info(link["name"])
    except OSError as error:
        if not isinstance(error, UNREADABLE) and error.errno != errno.ELOOP:
            raise
        unreadable.append(error)
        return None


def _natural(name: str) -> list[tuple[int, int, str]]:
    """receipts_2 before receipts_10: a later file's rows win over an earlier one's."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
