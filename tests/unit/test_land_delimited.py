"""How delimited text is cut into records, in the fast reading and in the careful one."""

from __future__ import annotations

import csv
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import BadInput
from tessera.land import delimited
from tessera.land.delimited import DELIMITERS
from tessera.land.encoding import Evidence
from tessera.land.mapping import Entry
from tessera.land.spool import Spooled
from tessera.land.table import Table, open_table


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def opened(duck: duckdb.DuckDBPyConnection, folder: Path, data: bytes, **entry: object) -> Table:
    path = folder / "content"
    path.write_bytes(data)
    evidence = Evidence()
    evidence.add(data)
    how = Entry.model_validate({"files": "*", "format": "csv", "columns": {}, **entry})
    return open_table(
        duck, Spooled(path, "", evidence, 0), how, file="x.csv", wanted=["a", "b", "c"]
    )


def rows(duck: duckdb.DuckDBPyConnection, table: Table) -> list[tuple[object, ...]]:
    return duck.execute(f"select * from {table.relation} order by _row_number").fetchall()


def careful(duck: duckdb.DuckDBPyConnection, table: Table) -> list[tuple[object, ...]]:
    assert table.careful is not None
    return rows(duck, table.careful())


def read(duck: duckdb.DuckDBPyConnection, folder: Path, text: str) -> list[tuple[object, ...]]:
    """The careful reading of `text`, which must be what the fast one says when it can read it."""
    table = opened(duck, folder, text.encode())
    slow = careful(duck, table)
    try:
        fast = rows(duck, table)
    except duckdb.InvalidInputException:
        return slow
    assert [[v or None for v in row] for row in slow] == [list(row) for row in fast]
    return slow


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_delimiter_is_the_one_that_shows_the_columns_asked_for(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, delimiter: str
) -> None:
    others = "".join(d for d in DELIMITERS if d != delimiter)
    text = delimiter.join(["a", f'"x{others}y"', "c"]) + "\n" + delimiter.join(["1", "2", "3"])
    table = opened(duck, tmp_path, text.encode())
    assert list(table.columns) == ["a", f"x{others}y", "c"]
    assert rows(duck, table) == [(1, None, "1", "2", "3")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_ends_a_line(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, end: str
) -> None:
    text = end.join(["a,b,c", "1,2,3", "", '4,"5', '5",6', ""])
    assert [row[2] for row in read(duck, tmp_path, text)] == ["1", "4"]


def test_mixed_line_ends_are_read_too(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    found = read(duck, tmp_path, "a,b,c\r\n1,2,3\n4,5,6\r\n7,8,9\r")
    assert [row[2] for row in found] == ["1", "4", "7"]


def test_a_header_is_cleaned_and_a_repeated_name_gets_a_number(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    table = opened(duck, tmp_path, '\ufeff a ,"x",X,,_row\n1,2,3,4,5\n'.encode())
    assert list(table.columns) == ["a", "x", "X_3", "column_4", "_row_5"]
    assert rows(duck, table) == [(1, None, "1", "2", "3", "4", "5")]
    twice = opened(duck, tmp_path, "\ufeff\ufeffa,x_4,x,x\n1,2,3,4\n".encode())
    assert list(twice.columns) == ["a", "x_4", "x", "x_4_4"]


def test_very_many_columns_are_named_in_time_that_grows_with_them() -> None:
    began = time.process_time()
    assert len(set(delimited.distinct(["x"] * 20_000))) == 20_000
    assert time.process_time() - began < 5


@pytest.mark.parametrize("delimiter", [None, ","])
def test_a_column_asked_for_must_not_stand_twice(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, delimiter: str | None
) -> None:
    with pytest.raises(BadInput, match=r"x.csv has several columns 'B'; rename all but the one"):
        opened(duck, tmp_path, b"a,b,c,B\n1,2,3,4\n", delimiter=delimiter)


def test_rows_with_too_many_or_too_few_fields_keep_their_text_and_their_number(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert read(duck, tmp_path, 'a,b,c\n1,2,3\n4,5\n"6",7,8,9\n\n10,11,12\n13\n') == [
        (1, None, "1", "2", "3"),
        (2, "4,5", None, None, None),
        (3, '"6",7,8,9', None, None, None),
        (4, None, "10", "11", "12"),
        (5, "13", None, None, None),
    ]


def test_a_trailing_delimiter_is_no_field(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert read(duck, tmp_path, "a,b,c\n1,2,3,\n") == [(1, None, "1", "2", "3")]


def test_lines_of_nothing_but_delimiters_are_passed_over_and_keep_their_number(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    kept = [(1, None, "1", "2", "3"), (4, None, "4", "", "")]
    assert read(duck, tmp_path, 'a,b,c\n1,2,3\n,,\n"","",""\n4,,\n,,\n') == kept
    assert read(duck, tmp_path, "a,b,c\n1,2,3\n,,,,,\n,\n4,,\n,,\n") == kept


ANNOUNCED = ["sep=|", '"sep=|"', "SEP=|", "\ufeffsep=|", '\ufeff"sep=|"']


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("line", ANNOUNCED)
def test_a_first_line_that_announces_the_delimiter_is_obeyed(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, line: str, end: str
) -> None:
    text = end.join([line, "a|b,c;d|c", "1|2|3", "||", "4|5|6", ""])
    table = opened(duck, tmp_path, text.encode(), delimiter=",")
    assert list(table.columns) == ["a", "b,c;d", "c"]
    assert rows(duck, table) == [(1, None, "1", "2", "3"), (3, None, "4", "5", "6")]
    assert careful(duck, table) == rows(duck, table)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("between", [[], [""], ["sep=;"]])
def test_titles_above_the_names_are_skipped_and_blank_lines_are_no_names(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, between: list[str], end: str
) -> None:
    above = ['\ufeffSales report; "March', "2026, all stores;;"]
    text = end.join([*above, *between, "a;b;c", "1;2;3", ""])
    table = opened(duck, tmp_path, text.encode(), skip=2)
    assert rows(duck, table) == careful(duck, table) == [(1, None, "1", "2", "3")]
    with pytest.raises(BadInput, match=r"x.csv has no header line"):
        opened(duck, tmp_path, text.encode(), skip=9)
    table = opened(
        duck, tmp_path, end.join([*between, "", "a,b,c", "1,2,3"]).replace(";", ",").encode()
    )
    assert rows(duck, table) == careful(duck, table) == [(1, None, "1", "2", "3")]


def test_a_delimiter_may_be_announced_where_columns_are_not_named(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    table = opened(duck, tmp_path, b"sep=^\n1^2^3\n", **HEADER)
    assert careful(duck, table) == rows(duck, table) == [(1, None, "1", "2", "3")]


def test_a_quote_that_nobody_closes_costs_its_own_line_only(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert read(duck, tmp_path, 'a,b,c\n1,"two,3\n4,5,6\n7,8,9\n') == [
        (1, '1,"two,3', None, None, None),
        (2, None, "4", "5", "6"),
        (3, None, "7", "8", "9"),
    ]


def test_a_quote_closed_in_a_wrong_place_costs_its_own_line_only(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert read(duck, tmp_path, 'a,b,c\n1,"two"x,3\n4,"5\n5",6\n7,8" TV,"9 ""inch"""\n') == [
        (1, '1,"two"x,3', None, None, None),
        (2, None, "4", "5\n5", "6"),
        (3, None, "7", '8" TV', '9 "inch"'),
    ]


def test_a_stray_quote_does_not_swallow_the_lines_up_to_the_next(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    found = read(duck, tmp_path, 'a,b,c\n1,"2,3\n4,5,6\n7,8,"9\n10,11,12\n')
    assert [(row[1], row[2]) for row in found] == [
        ('1,"2,3', None),
        (None, "4"),
        ('7,8,"9', None),
        (None, "10"),
    ]


def test_a_quote_open_for_a_megabyte_is_not_waited_for(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    good = "".join(f"{i},b,c\n" for i in range(300_000))
    found = careful(duck, opened(duck, tmp_path, f'a,b,c\nx,"y,z\n{good}'.encode()))
    assert len(found) == 300_001
    assert found[0][1] == 'x,"y,z'


def test_a_line_without_end_is_refused(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    text = b"a,b,c\n1,2,3\n4," + b"x" * delimited.MAX_LINE + b",6\n"
    with pytest.raises(BadInput, match=r"x.csv has a line longer than 8 MB \(line 3\)"):
        opened(duck, tmp_path, text)


def test_a_line_is_measured_in_characters(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    long = "\N{GRINNING FACE}" * (delimited.MAX_LINE - 9)  # four bytes each
    table = opened(duck, tmp_path, f"a,b,c\n1,2,3\n4,{long},6\n".encode())
    assert [row[4] for row in careful(duck, table)] == ["3", "6"]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_a_file_without_a_header_says_so(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, text: str
) -> None:
    with pytest.raises(BadInput, match=r"x.csv has no header line"):
        opened(duck, tmp_path, text.encode())


HEADER = {"header": ["a", "b", "c"]}


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_columns_may_be_named_where_the_file_does_not(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, delimiter: str
) -> None:
    text = delimiter.join(["1", '"2"', "3"]) + "\n\n" + delimiter.join(["4", "5", "6", "\n"])
    table = opened(duck, tmp_path, text.encode(), **HEADER)
    assert rows(duck, table) == [(1, None, "1", "2", "3"), (2, None, "4", "5", "6")]
    assert careful(duck, table) == rows(duck, table)


def test_a_file_without_header_whose_first_line_is_another_says_so(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    said = r"x.csv has 2 columns in its first line, and 'header' names 3; correct it in the mapping"
    with pytest.raises(BadInput, match=said):
        opened(duck, tmp_path, b"1;2\n3;4;5\n", **HEADER)
    table = opened(duck, tmp_path, b"1;2\n3;4;5\n", delimiter=";", **HEADER)
    assert careful(duck, table) == [(1, "1;2", None, None, None), (2, None, "3", "4", "5")]


def test_a_single_column_is_the_whole_line(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lines = [' 00004 "0001,x', '"', "  ;b|\t", "last"]
    for end in ("\n", "\r\n", "\n\n"):
        table = opened(duck, tmp_path, end.join(lines).encode(), header=["line"])
        assert rows(duck, table) == [(i, None, line) for i, line in enumerate(lines, start=1)]
        assert careful(duck, table) == rows(duck, table)


@pytest.mark.parametrize("header", [{}, HEADER])
def test_quotes_may_be_letters_like_any_other(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, header: dict[str, object]
) -> None:
    text = "" if header else "a\tb\tc\n"
    text += '1\t"Best" jam\t3"\n4\t"\t6\n'
    table = opened(duck, tmp_path, text.encode(), quote="", **header)
    assert rows(duck, table) == [(1, None, "1", '"Best" jam', '3"'), (2, None, "4", '"', "6")]
    assert careful(duck, table) == rows(duck, table)


texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\ufeff", exclude_categories=["Cs"]),
    max_size=12,
) | st.text(st.sampled_from(list("a1 ,;\t|'\"\r\n")), max_size=12)


dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(DELIMITERS),
        "quotechar": st.sampled_from("\"'"),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
    }
)


@settings(max_examples=80, deadline=None)
@given(
    table=st.lists(st.tuples(st.just("k"), texts, texts), min_size=1, max_size=6), dialect=dialects
)
def test_any_table_of_texts_survives(
    duck: duckdb.DuckDBPyConnection,
    table: list[tuple[str, str, str]],
    dialect: dict[str, Any],
) -> None:
    if any("\r" in value for row in table for value in row):
        dialect["quoting"] = csv.QUOTE_ALL  # Python would leave it bare
    written = io.StringIO()
    writer = csv.writer(written, **dialect)
    writer.writerows([("a", "b", "c"), *table])
    expected = [(i, None, *(v or None for v in row)) for i, row in enumerate(table, start=1)]
    with tempfile.TemporaryDirectory() as folder:
        marks = {"delimiter": dialect["delimiter"], "quote": dialect["quotechar"]}
        opened_table = opened(duck, Path(folder), written.getvalue().encode(), **marks)
        try:
            fast = rows(duck, opened_table)
        except duckdb.InvalidInputException:
            fast = expected  # then the careful reading must know
        slow = [tuple(v or None for v in row) for row in careful(duck, opened_table)]
    assert slow == expected
    assert fast == expected
