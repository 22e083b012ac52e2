"""A source mapping: which files feed which canonical columns, through which SQL expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase, translate
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import duckdb
from babel import Locale
from pydantic import BeforeValidator, Field

from tessera import clock
from tessera.documents import Document, Problem, Source, nearest, read, refuse
from tessera.errors import BadInput
from tessera.feeds import FEEDS, Feed
from tessera.quoting import literal

FOLDER = Path("deployments") / "sources"
FILLED = ("currency", "timezone")  # a mapping's own say where an entry maps none

Format = Literal["csv", "parquet", "jsonl"]
EXTENSIONS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
UNREAD = {  # what else exports come in, and what to do about it
    ".zip": "a zip archive; unpack it",
    ".bz2": "packed with bzip2; unpack it, or pack it with gzip or zstd",
    ".xz": "packed with xz; unpack it, or pack it with gzip or zstd",
    ".7z": "a 7-Zip archive; unpack it",
    ".xlsx": "an Excel workbook; save it as CSV",
    ".xls": "an Excel workbook; save it as CSV",
    ".json": "JSON: with an object on each line it is JSON lines, so name it .jsonl or write "
    "'format: jsonl' in the mapping; else write it so first",
}
KEYWORDS = "select keyword_name from duckdb_keywords()"
EPOCHS = frozenset({"epoch_ms", "make_timestamp", "make_timestamp_ms", "make_timestamp_ns"})
SPREADING = frozenset({"unnest", "unlist"})  # make several rows of one


class Spreads(ValueError):
    """An expression makes several rows of one."""


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _sql(value: object) -> object:
    """YAML reads `quantity: 1` as a number and `line_id:` as nothing; both are SQL here."""
    return "null" if value is None else str(value)


Expression = Annotated[str, BeforeValidator(_sql)]


def _pairs(value: object) -> object:
    """A key's columns, which the other file calls the same unless it is said otherwise."""
    return value if isinstance(value, dict) else {c: c for c in _several(value)}  # type: ignore[attr-defined]


class Beside(Document):
    """Another file that tells more of the same rows, as of receipts' heads beside their lines."""

    file: str  # its name; each `*` is what it is in the name of the file it lies beside
    key: Annotated[dict[str, str], BeforeValidator(_pairs), Field(min_length=1)]  # own column: its
    header: Annotated[list[str], Field(min_length=1)] | None = None


class Entry(Document):
    """How the files of some names become rows of one feed."""

    files: Annotated[list[str], BeforeValidator(_several), Field(min_length=1)]
    format: Format | None = None
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    quote: str = Field('"', max_length=1)  # empty: quotes are letters like any other
    skip: int = Field(0, ge=0, le=1000, strict=True)  # lines above the names, of delimited text
    header: Annotated[list[str], Field(min_length=1)] | None = None  # of files without their own
    encoding: str | None = None
    timezone: Expression | None = None
    money: Literal["major", "minor"] = "major"
    distinct: bool = False
    may_be_empty: bool = False
    # Each file says all there is: what comes back as it was before counts again.
    whole: bool = False
    beside: Beside | None = None
    each: str | None = None  # the column that holds a list: a row for each element
    where: Expression | None = None  # rows of which it is false are none of the feed's
    columns: dict[str, Expression]
    optional: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether the file called `name` (its path below the landed folder) is meant."""
        own = PurePosixPath(name).name
        return any(fnmatchcase(n, pattern) for pattern in self.files for n in (name, own))

    def name_beside(self, name: str) -> str | None:
        """What the file is called that lies beside the one called `name`."""
        if self.beside is None:
            return None
        folder, own = PurePosixPath(name).parent, PurePosixPath(name).name
        for pattern in self.files:
            stars = re.fullmatch(_capturing(PurePosixPath(pattern).name), own)
            if stars:
                parts = self.beside.file.split("*")
                filled = zip(parts, [*stars.groups(), *[""] * len(parts)], strict=False)
                return str(folder / "".join(map("".join, filled)))
        return None

    def format_of(self, name: str) -> Format:
        """The stated format, else the one its extension means; BadInput when neither says."""
        suffixes = [s.lower() for s in PurePosixPath(name).suffixes]
        meant = [s for s in suffixes if s not in (".gz", ".zst")]
        found = self.format or EXTENSIONS.get(meant[-1] if meant else "")
        if found is None and meant and meant[-1] in UNREAD:
            raise BadInput(f"{name} is {UNREAD[meant[-1]]}.")
        if found is None:
            raise BadInput(
                f"{name} has no extension that says its format; write 'format: csv', 'parquet' or "
                "'jsonl' in the mapping."
            )
        return found


def _capturing(pattern: str) -> str:
    """The pattern as a regular expression with a group for each `*`."""
    return "(.*)".join(
        translate(part).removesuffix(r"\Z").removesuffix(r"\z") for part in pattern.split("*")
    )


class Mapping(Document):
    """One retailer's export, and what its columns mean."""

    source: str
    timezone: str
    currency: str
    feeds: dict[str, list[Entry]]

    def entries(self, name: str) -> list[tuple[Feed, Entry]]:
        """What the file called `name` feeds; in each feed the first entry that takes it."""
        first = {
            feed: next((entry for entry in entries if entry.takes(name)), None)
            for feed, entries in self.feeds.items()
        }
        return [(FEEDS[feed], entry) for feed, entry in first.items() if entry is not None]


def load(project: Path, source: str) -> Mapping:
    """The mapping called `source`; BadInput when there is none, or one line per mistake in it."""
    path = project / FOLDER / f"{source}.yml"
    if not path.is_file():
        known = [found.stem for found in (project / FOLDER).glob("*.yml")]
        raise BadInput(f"There is no source '{source}' in {FOLDER}/.{nearest(source, known)}")
    mapping, problems, where = read(path, Mapping, project=project)
    refuse(problems)
    assert mapping is not None  # noqa: S101 - there are no problems
    refuse(list(_problems(mapping, where)))
    return mapping


@lru_cache(maxsize=1024)
def references(expression: str) -> tuple[str, ...]:
    """The column names in an SQL expression, in its order; ValueError says why it is not one."""
    tree = _tree(expression)
    if spread := _spreads(tree):
        raise Spreads(
            f"{spread} makes several rows of one, and a row that cannot be read would be none; "
            "write 'each' for the elements of a list, or a file with a record for each row"
        )
    return tuple(dict.fromkeys(_columns(tree)))


@lru_cache(maxsize=1024)
def _tree(expression: str) -> Any:
    query = f"select (\n{expression}\n)"
    row = _parser().cursor().execute(f"select json_serialize_sql({literal(query)})").fetchone()
    tree = json.loads(row[0] if row else "{}")
    if tree["error"]:
        raise ValueError(tree["error_message"])
    return tree["statements"][0]["node"]["select_list"]


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def _spreads(node: Any) -> str | None:
    """The function that makes several rows of one; within a query of its own it may."""
    if isinstance(node, dict):
        if node.get("class") == "SUBQUERY":
            return None
        if node.get("function_name") in SPREADING:
            return str(node["function_name"])
        node = list(node.values())
    return next(filter(None, map(_spreads, node)), None) if isinstance(node, list) else None


def _epoch(node: Any) -> str | None:
    """The function that makes a time of UTC of a number since 1970, and does not say that it is one."""
    if isinstance(node, dict):
        called = node.get("function_name")
        if called == "timezone":  # at time zone
            return None
        if called in EPOCHS and len(node["children"]) == 1:
            return str(called)
        node = list(node.values())
    return next(filter(None, map(_epoch, node)), None) if isinstance(node, list) else None


def _columns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][0]
        for value in node.values():
            yield from _columns(value)
    elif isinstance(node, list):
        for value in node:
            yield from _columns(value)


def _problems(mapping: Mapping, where: Source) -> Iterator[Problem]:
    if mapping.source != where.path.stem:
        said = f"'source' must be '{where.path.stem}', the file's own name."
        yield where.problem(("source",), said)
    try:
        clock.zone(mapping.timezone)
    except BadInput as error:
        yield where.problem(("timezone",), str(error))
    if mapping.currency not in Locale("en").currencies:
        said = f"'{mapping.currency}' is not a currency; use an ISO 4217 code such as EUR."
        yield where.problem(("currency",), said)
    for name, entries in mapping.feeds.items():
        if name not in FEEDS:
            said = f"'{name}' is not a feed.{nearest(name, FEEDS)}"
            yield where.problem(("feeds", name), said)
            continue
        for i, entry in enumerate(entries):
            for loc, said in (*_mistakes(entry, FEEDS[name]), *_of_epochs(mapping, entry, name)):
                yield where.problem(("feeds", name, i, *loc), said)


def _of_epochs(mapping: Mapping, entry: Entry, feed: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Times of UTC that would be taken for those of another zone."""
    zone = literal(mapping.timezone) if entry.timezone is None else entry.timezone.strip()
    for column, expression in entry.columns.items():
        is_time = FEEDS[feed].columns.get(column) in ("timestamp", "date")
        called = _is_expression(expression) and _epoch(_tree(expression))
        if is_time and called and zone != "'UTC'":
            said = (
                f"'{column}': {called} gives a time of UTC without saying so, which would be taken for one of "
                f"{zone.strip(chr(39))}; write 'to_timestamp(seconds)', or \"at time zone 'UTC'\" behind it."
            )
            yield ("columns", column), said


def _mistakes(entry: Entry, feed: Feed) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where in the entry something is wrong, and what."""
    places = [("columns", column) for column in entry.columns]
    for key, column in (*places, *(("optional", column) for column in entry.optional)):
        if column not in feed.columns:
            said = f"'{column}' is not a column of {feed.name}.{nearest(column, feed.columns)}"
            yield (key, column), said
    for column in feed.required:
        if column not in entry.columns and column not in FILLED:
            yield ("columns",), f"{feed.name} needs '{column}'; say how to get it."
    yield from _of_reading(entry)
    for column, expression in entry.columns.items():
        yield from ((("columns", column), said) for said in _syntax(column, expression))
    for key, told in (("timezone", entry.timezone), ("where", entry.where)):
        yield from (((key,), said) for said in _syntax(key, told or "null"))


def _of_reading(entry: Entry) -> Iterator[tuple[tuple[str, ...], str]]:
    if twice := _twice(entry.header or []):
        yield ("header",), f"'{twice}' stands twice; each column needs a name of its own."
    if entry.beside and any(
        PurePosixPath(p).name.count("*") != entry.beside.file.count("*") for p in entry.files
    ):
        yield ("beside", "file"), "'beside.file' needs as many * as each pattern of 'files'."
    if entry.encoding and not _is_encoding(entry.encoding):
        yield ("encoding",), f"'{entry.encoding}' is not an encoding that Python knows."


def _twice(names: list[str]) -> str | None:
    """The first name that SQL cannot tell from one before it."""
    folded = [name.strip().casefold() for name in names]
    return next((name for i, name in enumerate(names) if folded[i] in folded[:i]), None)


def _syntax(column: str, expression: str) -> list[str]:
    try:
        references(expression)
    except Spreads as error:
        return [f"'{column}': {error}."]
    except ValueError as error:
        if word := next(_words_of_sql(expression), None):
            return [f"'{word}' is a word of SQL; write '\"{word}\"' for the column."]
        return [f"'{column}' is not an SQL expression: {error}."]
    return []


def _words_of_sql(expression: str) -> Iterator[str]:
    """The words without which it would be an expression, put in quotes as a column's name."""
    keywords = {word for (word,) in _parser().execute(KEYWORDS).fetchall()}
    for word in dict.fromkeys(re.findall(r"(?<![\w\"'])\w+(?![\w\"'])", expression)):
        quoted = re.sub(rf"(?<![\w\"']){word}(?![\w\"'])", f'"{word}"', expression)
        if word.casefold() in keywords and _is_expression(quoted):
            yield word


def _is_expression(text: str) -> bool:
    try:
        references(text)
    except ValueError:
        return False
    return True


def _is_encoding(name: str) -> bool:
    """Whether Python can read text in it, bad bytes and all: it also has codecs of other kinds."""
    try:
        b"a".decode(name, "ignore")
    except (LookupError, UnicodeError):
        return False
    return True
