"""Which encoding a text file is in, and its text as UTF-8."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tessera.errors import BadInput

CHUNK = 4 << 20
HEAD = 1 << 16  # bytes looked at for NULs and control characters
SAMPLE = 1 << 16  # bytes of words beyond ASCII shown to the detector

DAMAGE = "\ufffd<"  # what stands where bytes were not text: U+FFFD<C3>
BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
KNOWN_BINARIES = {b"PK\x03\x04": "a zip or Excel file", b"PAR1": "a Parquet file", b"%PDF": "a PDF"}
MANY, A_FEW, ONE_SIDE = 0.05, 16, 0.2  # of the head; bytes; of the other side

# The code pages of Windows hold those of ISO 8859, and a shorter list is guessed better.
NOTHING = "ascii"  # the detector's word for words that fit no code page
GUESSED = [f"cp{page}" for page in range(1250, 1258)] + ["koi8-r"]
# Below this the detector has seen no language at all; single words of names score 0.005 and more.
FAITH = 0.005
# Half of Europe writes alike in these; West European wins unless another is clearly better.
LATIN = ("cp1250", "cp1254", "cp1257")
CLEARLY = 0.7

_WORDS = re.compile(rb"[A-Za-z' .\-]*[\x80-\xff][A-Za-z\x80-\xff' .\-]*")
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\r\f\x1a\x1b")


@dataclass
class Evidence:
    """What a content's bytes say about its encoding, gathered chunk by chunk."""

    head: bytes = b""
    nuls: int = 0
    words: bytes = b""
    is_utf8: bool = True
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=codecs.getincrementaldecoder("utf-8")
    )

    def add(self, chunk: bytes) -> None:
        if not self.head:
            self.head = chunk[:HEAD]
        if self.head.startswith(b"PAR1"):
            return
        self.nuls += chunk.count(0)
        if len(self.words) < SAMPLE and not chunk.isascii():
            lines = (line for line in chunk.split(b"\n") if not line.isascii())
            words = (word for line in lines for word in _WORDS.findall(line[:SAMPLE]))
            self.words += b"\n".join(islice(words, SAMPLE // 16)) + b"\n"
        if self.is_utf8:
            try:
                self._decoder.decode(chunk)
            except UnicodeDecodeError:
                self.is_utf8 = False

    @property
    def is_whole_utf8(self) -> bool:
        """Whether the content is UTF-8 to its last byte."""
        return self.is_utf8 and self._decoder.getstate()[0] == b""


@dataclass(frozen=True)
class Text:
    """A text content as a UTF-8 file."""

    path: Path
    encoding: str
    guessed: bool
    damaged: bool  # some values carry DAMAGE where bytes were not text


def as_utf8(path: Path, evidence: Evidence, name: str, stated: str | None) -> Text:
    """The content at `path` as UTF-8, in place when it is; BadInput when it is not text.

    Bytes that are not text, NUL among them, stay visible in their values as U+FFFD<C3>.
    """
    encoding, guessed = _encoding(evidence, name, stated)
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        if evidence.is_whole_utf8 and not evidence.nuls:
            return Text(path, encoding, guessed, damaged=False)
        encoding = "utf-8-sig"
    target = path.with_name("text")
    return Text(target, encoding, guessed, _transcode(path, target, encoding))


def _encoding(evidence: Evidence, name: str, stated: str | None) -> tuple[str, bool]:
    """The encoding, and whether it is a guess. A mark is surer than what is stated: it would make
    no sense in any other encoding."""
    for bom, encoding in BOMS.items():
        if evidence.head.startswith(bom):
            return encoding, False
    wide = _wide(evidence.head)
    if wide:
        return wide, False
    _refuse_binary(evidence.head, name, stated or "latin-1")
    if stated:
        return stated, False
    if evidence.is_whole_utf8 or _is_damaged_utf8(evidence.words):
        return "utf-8", False
    guess = _guess(evidence.words)
    return (guess, True) if guess else ("utf-8", False)


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: Latin letters and digits have a NUL each, all on the same side."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < MANY * len(head) or min(even, odd) > ONE_SIDE * max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _refuse_binary(head: bytes, name: str, encoding: str) -> None:
    what = next((w for magic, w in KNOWN_BINARIES.items() if head.startswith(magic)), None)
    text = head.decode(encoding, "ignore").encode()
    controls = len(text) - len(text.translate(None, _CONTROLS))
    if what or controls > max(A_FEW, MANY * len(head)):
        said = what or "not text but binary"
        raise BadInput(
            f"{name} is {said}; export it as CSV, JSON lines or Parquet, and name it so."
        )


def _is_damaged_utf8(words: bytes) -> bool:
    """Old code pages hardly ever spell valid UTF-8; a UTF-8 file with damage does, mostly."""
    letters = sum(not c.isascii() for c in words.decode("utf-8", "ignore"))
    return letters > len(words) - len(words.decode("utf-8", "ignore").encode())


def _guess(words: bytes) -> str | None:
    """The code page these words are most likely written in; None when it makes no language."""
    import chardet

    if not words:
        return None
    guesses = chardet.detect_all(
        words,
        ignore_threshold=True,
        include_encodings=[*GUESSED, NOTHING],
        no_match_encoding=NOTHING,
        compat_names=False,
    )
    found = {g["encoding"]: g["confidence"] for g in guesses if g["encoding"] in GUESSED}
    best = max(found, key=lambda name: found[name], default=None)
    if best in LATIN and found.get("cp1252", 0) >= CLEARLY * found[best]:
        best = "cp1252"
    return best if best and found[best] >= FAITH else None


def _visible(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    damaged = error.object[error.start : error.end]
    return "".join(f"{DAMAGE}{byte:02X}>" for byte in damaged), error.end


codecs.register_error("tessera.visible", _visible)


def _transcode(path: Path, target: Path, encoding: str) -> bool:
    """Write `path` to `target` as UTF-8; whether anything in it was not text."""
    decoder = codecs.getincrementaldecoder(encoding)("tessera.visible")
    damaged = False
    with path.open("rb") as source, target.open("wb") as copy:
        while True:
            chunk = source.read(CHUNK)
            text = decoder.decode(chunk, final=not chunk).replace("\0", f"{DAMAGE}00>")
            damaged = damaged or DAMAGE in text
            copy.write(text.encode())
            if not chunk:
                return damaged
