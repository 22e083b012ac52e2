"""Delimited text: its header, its delimiter, and a careful reading of files that break the rules."""

from __future__ import annotations

import csv
import re
import shutil
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from tessera import quoting
from tessera.errors import BadInput

DELIMITERS = (",", ";", "\t", "|")
MAX_LINE = 8 << 20  # characters; DuckDB reads with buffers of a few such lines
CHUNK = 1 << 20  # bytes
MAX_QUOTED = 1 << 20  # characters after which a quote is taken for one that nobody closes
BATCH_ROWS, BATCH_LENGTH = 20_000, 32 << 20
NO_LINE = -1, ""
MARK = "\ufeff"  # a second one stands where files that each had theirs were put together
RESERVED = ("_row_number", "_row", "_zone")

ANNOUNCED = re.compile(r'"?sep=([\t!#-~])"?(?:\r\n?|\n)', re.IGNORECASE)

Row = list[int | str | None]

csv.field_size_limit(MAX_LINE)


@dataclass(frozen=True)
class Dialect:
    """How the lines of one file are cut, and its columns' names."""

    delimiter: str
    quote: str  # empty: none
    names: tuple[str, ...]
    is_headed: bool = True  # its first line is their names

    def reader(self, lines: Lines, *, strict: bool) -> Iterator[list[str]]:
        """The records of `lines`."""
        return csv.reader(
            lines, delimiter=self.delimiter, quotechar=self.quote or None, strict=strict,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )  # fmt: skip


def below_titles(path: Path, titles: int) -> tuple[Path, str | None]:
    """The UTF-8 file at `path`, or a copy without what is above its names: so many lines, blank ones,
    which DuckDB would take for the names, and Excel's `sep=;`; and the delimiter that this line tells."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        lines = islice(enumerate(iter(text.readline, "")), titles, None)
        told = ((place, line) for place, line in lines if line.strip("\r\n"))
        place, first = next(told, NO_LINE)
        if found := ANNOUNCED.fullmatch(first):
            _, first = next(told, NO_LINE)
        elif place == 0:
            return path, None
        rest = path.with_name("rest")
        with rest.open("w", encoding="utf-8", newline="") as copy:
            copy.write(first)
            shutil.copyfileobj(text, copy, CHUNK)
    return rest, found[1] if found else None


def any_value(columns: Collection[str]) -> str:
    """DuckDB's condition on rows that hold something; a spreadsheet's empty ones, all delimiters, do not."""
    return f"coalesce({', '.join(map(quoting.name, columns))}) is not null"


def dialect(
    path: Path, name: str, *, wanted: Collection[str], delimiter: str | None, quote: str
) -> Dialect:
    """The dialect of the UTF-8 file at `path`; BadInput when it has no header.

    Unless it is stated, the delimiter is the one under which the header names most of the columns
    `wanted`: surer than statistics, since the mapping knows what it asks for.
    """
    needed = {column.casefold() for column in wanted}
    found = _first_lines(path, name, delimiter, quote)
    best, header = max(
        found.items(), key=lambda its: (len(needed & set(map(str.casefold, its[1]))), len(its[1]))
    )
    if not header:
        raise BadInput(f"{name} has no header line; export it with its column names.")
    refuse_repeated(header, needed, name)
    return Dialect(best, quote, distinct(header))


def without_header(
    path: Path, name: str, *, header: Sequence[str], delimiter: str | None, quote: str
) -> Dialect:
    """The dialect of a UTF-8 file whose columns are called `header`; BadInput when no delimiter cuts its first
    line into as many. A single column is the whole line, whatever stands in it."""
    names = distinct(header)
    if len(names) == 1 and delimiter is None:
        return Dialect(NOTHING, "", names, is_headed=False)
    found = _first_lines(path, name, delimiter, quote)
    best = max(found, key=lambda mark: (_fits(found[mark], len(names)), len(found[mark])))
    if delimiter is None and found[best] and not _fits(found[best], len(names)):
        raise BadInput(
            f"{name} has {len(found[best])} columns in its first line, and 'header' names {len(names)}; "
            "correct it in the mapping, or state the 'delimiter'."
        )
    return Dialect(best, quote, names, is_headed=False)


NOTHING = "\x01"  # what no text holds


def refuse_repeated(header: list[str], needed: set[str], name: str) -> None:
    """BadInput names a column of `needed` (case folded) that `header` has several of."""
    seen: set[str] = set()
    for column in header:
        folded = column.casefold()
        if folded in needed & seen:
            raise BadInput(
                f"{name} has several columns '{column}'; rename all but the one that is meant."
            )
        seen.add(folded)


def _first_lines(path: Path, name: str, delimiter: str | None, quote: str) -> dict[str, list[str]]:
    """The first line as each delimiter that may be the file's cuts it."""
    marks = (delimiter,) if delimiter else DELIMITERS
    return {mark: _header(path, name, mark, quote) for mark in marks}


def _header(path: Path, name: str, delimiter: str, quote: str) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as text:
        first = _first(Lines(text, name), Dialect(delimiter, quote, ()))
    return [
        unicodedata.normalize("NFC", column).replace(MARK, "").strip() for column in first or []
    ]


def _first(lines: Lines, dialect: Dialect) -> list[str] | None:
    """The first line that is not blank."""
    try:
        return next((row for row in dialect.reader(lines, strict=False) if row), None)
    except csv.Error:
        return None


def distinct(header: Sequence[str]) -> tuple[str, ...]:
    """Names of their own: a repeated one gets a number, as SQL could not tell the two apart."""
    names, taken = [], set(RESERVED)
    for i, column in enumerate(header, start=1):
        clean = column or f"column_{i}"
        while clean.casefold() in taken:
            clean = f"{clean}_{i}"
        taken.add(clean.casefold())
        names.append(clean)
    return tuple(names)


@dataclass
class Lines:
    """The physical lines of a text, which can be given back."""

    text: TextIO
    name: str
    taken: list[str] = field(default_factory=list)  # by the record being read
    given_back: list[str] = field(default_factory=list)  # the next one last
    number: int = 0
    length: int = 0  # characters in `taken`

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.length > MAX_QUOTED:
            raise csv.Error("a quote is not closed")
        line = self.given_back.pop() if self.given_back else self._read()
        self.number += 1
        self.length += len(line)
        self.taken.append(line)
        return line

    def begin(self) -> None:
        """Forget the lines of the record before."""
        self.taken.clear()
        self.length = 0

    def each(self) -> Iterator[str]:
        """Line by line, as records of their own."""
        for line in self:
            self.begin()
            yield line

    def _read(self) -> str:
        line = self.text.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise BadInput(
                f"{self.name} has a line longer than {MAX_LINE >> 20} MB (line {self.number + 1}); "
                "export it with one record per line."
            )
        if not line:
            raise StopIteration
        return line

    def give_back_all_but_one(self) -> None:
        self.given_back.extend(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1


def refuse_long_lines(path: Path, name: str) -> None:
    """BadInput names the first line that is too long. DuckDB cannot be asked: one that does not fit
    its buffer it passes over in silence when it is the last."""
    if _has_long_line(path):
        with path.open(encoding="utf-8-sig", newline="") as text:
            for _ in Lines(text, name).each():  # counts characters, and lines
                pass


def _has_long_line(path: Path) -> bool:
    """Whether any line has more bytes than a line may have characters."""
    length = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            ends = [end for end in (chunk.find(b"\n"), chunk.find(b"\r")) if end >= 0]
            if length + min(ends, default=len(chunk)) > MAX_LINE:
                return True
            last = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
            length = len(chunk) - last - 1 if ends else length + len(chunk)
    return False


def write_carefully(path: Path, target: Path, name: str, dialect: Dialect) -> None:
    """Write every record of a file that breaks the rules to Parquet, none lost.

    Columns: `_row_number` (1-based), `_row` (the raw line of a record that cannot be cut into the
    header's columns, else null), then the header's columns as text. A quote that is never closed,
    or closed in a wrong place, costs its own line and not the lines after it.
    """
    schema = pa.schema(
        [("_row_number", pa.int64()), ("_row", pa.string())]
        + [(column, pa.string()) for column in dialect.names]
    )
    with path.open(encoding="utf-8-sig", newline="") as text:
        _write(target, schema, _records(Lines(text, name), dialect))


def write_lines(path: Path, target: Path, name: str) -> None:
    """Write every line to Parquet, with its number: `_row_number`, `line`."""
    schema = pa.schema([("_row_number", pa.int64()), ("line", pa.string())])
    with path.open(encoding="utf-8-sig", newline="") as text:
        lines = enumerate(Lines(text, name).each(), start=1)
        _write(target, schema, ([number, line.strip() or None] for number, line in lines))


def _write(target: Path, schema: pa.Schema, rows: Iterator[Row]) -> None:
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            columns = zip(*batch, strict=True)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows in batches of bounded memory, however long their texts are."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, str))
        if len(batch) == BATCH_ROWS or size > BATCH_LENGTH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _records(lines: Lines, dialect: Dialect) -> Iterator[Row]:
    """[number, raw line or null, *values] of each record after the header, if there is one. What holds
    no value is no record, but counts."""
    width, number = len(dialect.names), 0
    if dialect.is_headed:
        _first(lines, dialect)
    while True:
        values = _record(lines, dialect)
        if values is None and not lines.taken:
            return
        if values == []:
            continue
        number += 1
        if values is not None and not any(values):
            continue  # delimiters alone: a spreadsheet's empty row
        if values is not None and _fits(values, width):
            yield [number, None, *values[:width]]
        else:
            lines.give_back_all_but_one()
            yield [number, lines.taken[0].rstrip("\r\n"), *[None] * width]


def _record(lines: Lines, dialect: Dialect) -> list[str] | None:
    """The next record's values, [] for a blank line; None at the end or when it breaks the rules."""
    lines.begin()
    try:
        return next(dialect.reader(lines, strict=True), None)
    except csv.Error:
        return None


def _fits(values: list[str], width: int) -> bool:
    """Empty fields too many are a trailing delimiter, which many exports write."""
    return len(values) == width or (len(values) > width and not any(values[width:]))
