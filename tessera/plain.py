"""What pydantic finds wrong with a value, in plain words."""

from __future__ import annotations

import re

from pydantic_core import ErrorDetails

MEMORY = r"(?i)^[0-9]+(\.[0-9]+)? ?([kmgt]i?b?|b)$"  # as DuckDB takes it
# What pydantic says in the words of Python, by its type or the beginning of it.
PLAIN = {
    "tuple": "write a list",
    "list": "write a list",
    "dict": "write keys with values",
    "model": "write keys with values",
    "int": "write a whole number",
    "float": "write a number",
    "finite_number": "write a number",
    "bool": "write true or false",
    "string_type": "write a text, in quotes if it looks like a number",
    "date": "write a date as 2026-12-31",
    "datetime": "write a date as 2026-12-31, or an instant as 2026-12-31T18:00",
    "greater_than_equal": "{ge} is the least",
    "greater_than": "it must be more than {gt}",
    "less_than_equal": "{le} is the most",
    "less_than": "it must be less than {lt}",
    "literal_error": "write {expected}",
    "too_short": "write {min_length} at least",
    "too_long": "write {max_length} values at most",
    "string_too_short": "it has too few characters; {min_length} are the least",
    "string_too_long": "it has too many characters; {max_length} are the most",
}
# What models and settings ask of texts.
PATTERNS = {
    r"^[a-z][a-z0-9_-]*$": "write small letters, digits, - and _, a letter first",
    r"^[a-z][a-z0-9_-]*(/[a-z][a-z0-9_-]*)*$": "name a folder of templates/, such as winback/reminder",
    r"^[A-Z]{3}$": "write a currency as EUR",
    r"^([A-Z]{3}|any)$": "write a currency as EUR, or any",
    r"^[1-9]\d{0,3}(/[1-9]\d{0,3})?$": "write a whole number, or a fraction as 3/2",
    r"^[1-9]\d{0,5}(/[1-9]\d{0,5})?$": "write a whole number, or a fraction as 3/2",
    r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d": "write an instant as 2026-12-31T18:00",
    r"^\d\d-\d\d$": "write a day of the year as 12-31",
    r"^[0-9]{1,3}d$": "write whole days as 7d",
    MEMORY: "write an amount of memory as 4GB",
}
SHARE = re.compile(r"([0-9]+)(?:[.,]([0-9]+))? ?(%?)")


def reason(error: ErrorDetails) -> str:
    """What is to be written instead, without an end of sentence."""
    kind, given = error["type"], error["input"]
    said = {k: f"{v:g}" if isinstance(v, float) else v for k, v in error.get("ctx", {}).items()}
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(said["pattern"], f"it must match {said['pattern']}")
    if kind == "float_type" and (share := SHARE.fullmatch(str(given))):
        return _share(*share.groups())
    plain = PLAIN.get(kind) or PLAIN.get(kind.split("_")[0])
    found = plain.format(**said) if plain else error["msg"]
    return found.removeprefix("Value error, ").rstrip(".")


def _share(whole: str, rest: str | None, percent: str) -> str:
    """To write '10%' as 0.1, '0,25' as 0.25; there is no share of '101%'."""
    number = float(f"{whole}.{rest or 0}")
    if percent and number > 100:  # noqa: PLR2004
        return "100 % is the most, which is written as 1"
    return f"write it as {number / 100 if percent else number:g}"
