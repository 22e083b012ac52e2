"""The rest of the home: pages, logs, mail and whatever else may have a person's name in it."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from html.entities import html5
from pathlib import Path
from typing import Any

import zstandard

from tessera.person.identity import Identity
from tessera.person.records import GONE
from tessera.workspace import Workspace

BY_LINE = (".csv", ".tsv", ".jsonl", ".log", ".txt")
DATABASE = b"SQLite format 3"
CODES = ("utf-8", "utf-16-le", "utf-16-be")


@dataclass(frozen=True)
class Sweep:
    """What is looked for in the files of a home, but for Parquet and the store, which have rows."""

    ws: Workspace
    identity: Identity
    spared: Path  # not looked at

    def clean(self) -> list[Path]:
        """Take the person out of every file that is not rows; those where it cannot be done."""
        return [path for path in self._files() if self._has(path) and not self._clean(path)]

    def _files(self) -> Iterator[Path]:
        store = str(self.ws.store.engine.url.database)  # and what SQLite keeps beside it
        for path in sorted(self.ws.home.root.rglob("*")):
            is_rows = path.suffix == ".parquet" or str(path).startswith(store)
            if path.is_file() and not path.is_symlink() and not is_rows and path != self.spared:
                yield path

    def _has(self, path: Path) -> bool:
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # somebody else's scratch file
            return False
        return any(self._is_in(form) for form in forms(path, content))

    def _is_in(self, content: bytes) -> bool:
        lowered = content.lower()
        return bool(self._texts and self._texts.search(content)) or any(
            text.lower().encode(code) in lowered
            for text in self.identity.unmistakable() | self.identity.send_keys
            for code in CODES
        )

    @cached_property
    def _texts(self) -> re.Pattern[bytes] | None:
        patterns = [spelled(text) for text in sorted(self.identity.unmistakable())]
        return re.compile("|".join(patterns).encode(), re.IGNORECASE) if patterns else None

    def _clean(self, path: Path) -> bool:
        """Whether the person could be taken out: a mail goes whole, a table loses its lines, a
        page its words."""
        if path.suffix in (".eml", ".gz", ".zst"):
            path.unlink()
            return True
        content = path.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            return False
        if content.startswith(DATABASE):
            return False
        beside = path.with_name(f".{path.name}.part")
        beside.write_text(self._without(path, text), encoding="utf-8", newline="")
        beside.replace(path)
        return True

    def _without(self, path: Path, text: str) -> str:
        if path.suffix in BY_LINE:
            lines = text.splitlines(keepends=True)
            return "".join(line for line in lines if not self._is_in(line.encode()))
        if path.suffix == ".json" and (entries := _entries(text)) is not None:
            return json.dumps([one for one in entries if not self._is_in(_spoken(one))])
        whole = sorted(self.identity.unmistakable(), key=len, reverse=True)
        for word in whole:
            text = re.sub(spelled(word), GONE, text, flags=re.IGNORECASE)
        for name in self.identity.names:
            text = re.sub(rf"(?<!\w){spelled(name)}(?!\w)", GONE, text, flags=re.IGNORECASE)
        return text


def spelled(text: str) -> str:
    """A pattern of `text` as it may stand in a page or a document: as it is, or escaped."""
    return "".join(one if one.isascii() and one.isalnum() else _spelled(one) for one in text)


def _spelled(letter: str) -> str:
    """In either case, by its number or name in HTML, by its number in JSON."""
    ways = {re.escape(letter)}
    for one in {letter, letter.lower(), letter.upper()}:
        ways |= {re.escape(one), re.escape(json.dumps(one)[1:-1])}
        ways |= {re.escape(f"&{name}") for name, its in html5.items() if its == one and ";" in name}
        if len(one) == 1:
            ways |= {f"&#0*{ord(one)};", f"&#x0*{ord(one):x};"}
    return f"(?:{'|'.join(sorted(ways))})"


def _entries(text: str) -> list[Any] | None:
    """The entries of a JSON list, such as a provider's batch of events; None when it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _spoken(entry: Any) -> bytes:
    return json.dumps(entry, ensure_ascii=False).encode()


def forms(path: Path, content: bytes) -> Iterator[bytes]:
    """The content as it lies there, and as a reader would see it."""
    yield content
    if path.suffix == ".eml":
        yield from _parts(content)
    elif path.suffix == ".json" and (entries := _entries(content.decode("utf-8", "replace"))):
        yield _spoken(entries)  # names may be written in ASCII
    elif path.suffix == ".gz":
        yield _unzipped(content)
    elif path.suffix == ".zst":
        yield _unpacked(content)


def _parts(content: bytes) -> Iterator[bytes]:
    message = email.message_from_bytes(content, policy=email.policy.default)
    yield "\n".join(f"{name}: {value}" for name, value in message.items()).encode()
    for part in message.walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            yield payload


def _unpacked(content: bytes) -> bytes:
    """All frames of it, as long as they are what the name says."""
    found = b""
    with suppress(zstandard.ZstdError):
        reader = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True)
        while more := reader.read(1 << 20):
            found += more
    return found


def _unzipped(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):  # not what its name says
        return b""
