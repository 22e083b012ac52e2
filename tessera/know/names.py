"""A name in Latin letters, by its sound, and by what else its bearer is called, whatever script it
was written in."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib import resources

import pyarrow as pa
from anyascii import anyascii

# What one letter after another would get wrong: Greek pairs, and Arabic letters as Persian says them.
_PAIRS = {"γγ": "ng", "ου": "ou", "αυ": "av", "ευ": "ev"}
_LETTERS = str.maketrans(
    {"ض": "z", "ظ": "z", "ذ": "z", "ث": "s", "ق": "gh", "و": "v", "χ": "ch", "\u200c": ""}
)
_UMLAUT = re.compile("([aou])e")  # ü is u to the one and ue to the other
# One letter for all spellings of a consonant; vowels, and what is often not written, go.
_SOUNDS = (
    ("x", "ks"), ("ph", "f"), ("mp", "b"), ("sch|sh", "s"), ("zh", "z"), ("ch|kh|gh|ck|[gqc]", "k"),
    ("w", "v"), ("[aeiouyhj]", ""), (r"(.)\1+", r"\1"),
)  # fmt: skip


def latin(name: str) -> str:
    """In small Latin letters and nothing else: `Müller`, `MUELLER` and `Мюллер` come close."""
    parts = unicodedata.normalize("NFKD", name.lower())
    plain = "".join(c if c.isalpha() else " " for c in parts if not unicodedata.combining(c))
    for pair, letters in _PAIRS.items():
        plain = plain.replace(pair, letters)
    words = anyascii(plain.translate(_LETTERS)).lower().split()
    return "".join(_UMLAUT.sub(r"\1", re.sub("[^a-z]", "", word)) for word in words)


def sound(latin_name: str) -> str:
    """The consonants of a name in Latin letters, as two scripts would agree on them."""
    for spelling, letter in _SOUNDS:
        latin_name = re.sub(spelling, letter, latin_name)
    return latin_name


def script(name: str) -> str:
    """Such as LATIN or GREEK: that of the first letter."""
    letter = next((c for c in name if c.isalpha()), None)
    return unicodedata.name(letter, "NONE").split()[0] if letter else "NONE"


@cache
def _calls() -> dict[str, list[int]]:
    """The groups of names that one bearer goes by, from nicknames.csv: one group a line."""
    text = resources.files(__package__).joinpath("nicknames.csv").read_text("utf-8")
    groups: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(csv.reader(text.splitlines())):
        for name in line:
            groups[latin(name)].append(number)
    return dict(groups)


def written(names: Iterable[str]) -> pa.Table:
    """One row per name: `name, latin, sound, script, calls`."""
    found = list(names)
    letters = [latin(name) for name in found]
    return pa.table(
        {
            "name": pa.array(found, pa.string()),
            "latin": pa.array(letters, pa.string()),
            "sound": pa.array(map(sound, letters), pa.string()),
            "script": pa.array(map(script, found), pa.string()),
            "calls": pa.array([_calls().get(one, []) for one in letters], pa.list_(pa.int32())),
        }
    )
