"""A spooled file as a table that SQL can read, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from tessera.errors import BadInput
from tessera.land import delimited
from tessera.land.delimited import MAX_LINE, RESERVED
from tessera.land.encoding import Text, as_utf8
from tessera.land.mapping import Entry, Format
from tessera.land.spool import Spooled
from tessera.quoting import literal, name

MAX_DIGITS = 38  # of a decimal in DuckDB


@dataclass(frozen=True)
class Table:
    """A relation in SQL: `_row_number`, `_row` (the raw line where nothing could be read, else
    null), then `columns`."""

    columns: dict[str, str]  # the file's own, with their SQL types
    relation: str
    careful: Callable[[], Table] | None = None  # to be read instead when `relation` fails
    may_break: bool = False  # `_row` is not always null
    text: Text | None = None  # None for formats that know their types


def open_table(
    duck: duckdb.DuckDBPyConnection,
    spooled: Spooled,
    entry: Entry,
    *,
    file: str,
    wanted: Collection[str],
) -> Table:
    """The spooled copy of `file` as `entry` says to read it; BadInput when it is something else."""
    kind: Format = entry.format_of(file)
    if kind == "parquet":
        return _parquet(duck, spooled.path, file, wanted)
    text = as_utf8(spooled.path, spooled.evidence, file, entry.encoding)
    delimited.refuse_long_lines(text.path, file)
    if kind == "jsonl":
        return _json_lines(duck, text, file, wanted)
    path, mark = delimited.below_titles(text.path, entry.skip)
    dialect = _dialect(path, file, entry, wanted, mark or entry.delimiter)
    return _delimited(replace(text, path=path), dialect, file)


def _dialect(
    path: Path, file: str, entry: Entry, wanted: Collection[str], delimiter: str | None
) -> delimited.Dialect:
    quote = entry.quote
    if entry.header is None:
        return delimited.dialect(path, file, wanted=wanted, delimiter=delimiter, quote=quote)
    return delimited.without_header(
        path, file, header=entry.header, delimiter=delimiter, quote=quote
    )


def _parquet(
    duck: duckdb.DuckDBPyConnection, path: Path, file: str, wanted: Collection[str]
) -> Table:
    source = f"read_parquet({literal(str(path))}, file_row_number = true)"
    try:
        described = duck.execute(f"describe from {source}").fetchall()
        _refuse_misread(duck, path, file, {column.casefold() for column in wanted})
    except duckdb.BinderException as error:
        raise BadInput(
            f"{file} has a column file_row_number, a name that DuckDB needs; call it something else."
        ) from error
    except duckdb.Error as error:
        raise BadInput(
            f"{file} is not a Parquet file, or it is cut short; export or copy it again."
        ) from error
    columns = {
        column: kind
        for column, kind, *_ in described
        if column not in (*RESERVED, "file_row_number")
    }
    listed = "".join(f", {_readable(column, kind)}" for column, kind in columns.items())
    return Table(
        {column: "VARCHAR" if kind == "BLOB" else kind for column, kind in columns.items()},
        f"(select file_row_number + 1 as _row_number, null::varchar as _row{listed} from {source})",
    )


def _refuse_misread(
    duck: duckdb.DuckDBPyConnection, path: Path, file: str, needed: set[str]
) -> None:
    """BadInput names a column of `needed` (case folded) that DuckDB would read wrongly and say nothing."""
    asked = f"select name, num_children, precision from parquet_schema({literal(str(path))})"
    names, within = [], 0  # a column's own columns follow it
    for column, children, precision in duck.execute(asked).fetchall()[1:]:
        if not within and column.casefold() in needed and (precision or 0) > MAX_DIGITS:
            raise BadInput(
                f"{file} has more than {MAX_DIGITS} digits in column '{column}', which cannot be read; "
                "export it with fewer, or as text."
            )
        names += [] if within else [column]
        within += (children or 0) - bool(within)
    delimited.refuse_repeated(names, needed, file)


def _readable(column: str, kind: str) -> str:
    """A column of the file; as text where it is bytes, which is how some write their texts."""
    own = name(column)
    if kind != "BLOB":
        return own
    return f"coalesce(try(decode({own})), cast({own} as varchar)) as {own}"


def _delimited(text: Text, dialect: delimited.Dialect, file: str) -> Table:
    columns = dict.fromkeys(dialect.names, "VARCHAR")

    def careful() -> Table:
        target = text.path.with_name("careful")
        delimited.write_carefully(text.path, target, file, dialect)
        return Table(
            columns, f"read_parquet({literal(str(target))})", None, may_break=True, text=text
        )

    rules = _read_csv(
        text.path, columns, delim=dialect.delimiter, quote=dialect.quote, header=dialect.is_headed
    )
    if len(columns) == 1:  # of several, DuckDB passes over a blank line by itself
        rules = f"(from {rules} where {name(dialect.names[0])} is not null)"
    numbered = f"select row_number() over () as _row_number, null::varchar as _row, * from {rules}"
    rows = f"(from ({numbered}) where {delimited.any_value(columns)})"
    return Table(columns, rows, careful, text=text)


def _read_csv(path: Path, columns: dict[str, str], *, delim: str, quote: str, header: bool) -> str:
    """DuckDB's strict reader, with nothing left to its own guesses."""
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in columns)
    return (
        f"read_csv({literal(str(path))}, auto_detect = false, strict_mode = true, "
        f"delim = {literal(delim)}, quote = {literal(quote)}, escape = {literal(quote)}, "
        f"header = {header}, columns = {{{types}}}, max_line_size = {MAX_LINE}, "
        f"buffer_size = {5 * MAX_LINE})"  # four bytes a character, and the line's end
    )


def _json_lines(
    duck: duckdb.DuckDBPyConnection, text: Text, file: str, wanted: Collection[str]
) -> Table:
    """One object per line; a line that holds none is a row that could not be read. Of keys that SQL
    cannot tell apart the one asked for keeps its name."""
    # No JSON text holds this delimiter bare: control characters are always escaped in it.
    whole = _read_csv(text.path, {"line": ""}, delim="\x01", quote="", header=False)
    lines = f"(select row_number() over () as _row_number, line from {whole})"
    try:
        keys = _keys(duck, lines)
    except duckdb.InvalidInputException:
        target = text.path.with_name("lines")
        delimited.write_lines(text.path, target, file)
        lines = f"read_parquet({literal(str(target))})"
        keys = _keys(duck, lines)
    if not keys:
        raise BadInput(
            f"{file} has no JSON object on a line of its own; JSON lines have one on each. "
            "(Of an array, 'jq -c .[]' makes them.)"
        )
    keys.sort(key=lambda key: key not in wanted)
    names = delimited.distinct(keys)
    pointers = ", ".join(literal("/" + key.replace("~", "~0").replace("/", "~1")) for key in keys)
    found = _of_object(f"json_extract_string(line, [{pointers}]::varchar[])")
    values = "".join(f", found[{i}] as {name(key)}" for i, key in enumerate(names, start=1))
    return Table(
        dict.fromkeys(names, "VARCHAR"),
        f"(select _row_number, case when found is null then line end as _row{values} from "
        f"(select _row_number, line, {found} as found from {lines} where trim(line) <> ''))",
        may_break=True,
        text=text,
    )


def _keys(duck: duckdb.DuckDBPyConnection, lines: str) -> list[str]:
    """Every key of any line's object."""
    query = (
        f"select distinct unnest({_of_object('json_keys(line)')}) as key from {lines} order by 1"
    )
    found = (key for (key,) in duck.execute(query).fetchall())
    return [key for key in found if key not in RESERVED and "\0" not in key]  # no name in SQL


def _of_object(expression: str) -> str:
    """`expression` of a line that is a JSON object, else null."""
    return f"case when starts_with(ltrim(line), '{{') then try({expression}) end"
