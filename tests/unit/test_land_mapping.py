"""A mapping that is wrong says where, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera.errors import BadInput
from tessera.land import mapping
from tessera.land.mapping import Mapping
from tessera.settings import CHECKOUT
from tests.landing import RECEIPTS, project

GOOD = """\
source: till
timezone: Europe/Athens
currency: EUR
feeds:
  stores:
    - files: [stores*.csv, "shops/*"]
      columns:
        store_id: number
        name: coalesce(title, 'no name')
"""


def load(folder: Path, text: str) -> Mapping:
    path = project(folder) / "deployments" / "sources" / "till.yml"
    path.write_text(text, encoding="utf-8")
    return mapping.load(folder, "till")


def test_the_committed_mappings_are_right() -> None:
    names = [path.stem for path in (CHECKOUT / mapping.FOLDER).glob("*.yml")]
    assert {"complete_journey", "engine", "online_retail"} <= set(names)
    assert [mapping.load(CHECKOUT, name).source for name in names] == names


def test_an_unknown_source_names_the_nearest(tmp_path: Path) -> None:
    project(tmp_path)
    with pytest.raises(BadInput, match=r"There is no source 'tll' in .* Did you mean 'till'\?"):
        mapping.load(tmp_path, "tll")


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ("source: till", "source: tiller", 1, "'source' must be 'till', the file's own name"),
        ("Europe/Athens", "Europe/Sparta", 2, "'Europe/Sparta' is not a time zone"),
        ("EUR", "EURO", 3, "'EURO' is not a currency"),
        ("  stores:", "  shops:", 5, "'shops' is not a feed"),
        ("files:", "file:", 6, "'file' is not a key here. Did you mean 'files'?"),
        ("      columns:", "      format: xlsx\n      columns:", 7, "'format' cannot be 'xlsx'"),
        ("name: coal", "title: coal", 9, "'title' is not a column of stores"),
        ("store_id: number", "city: town", 7, "stores needs 'store_id'; say how to get it"),
        ("number", "order", 8, "'order' is a word of SQL; write '\"order\"' for the column"),
        (
            "title, 'no name')",
            "at, 'x')",
            9,
            "'at' is a word of SQL; write '\"at\"' for the column",
        ),
        ("title, 'no name')", "title, order.no)", 9, "'order' is a word of SQL; write"),
        ("      columns:", "      where: number >\n      columns:", 7, "'where' is not an SQL"),
        (
            "      columns:",
            "      beside: {file: heads.csv, key: number}\n      columns:",
            7,
            "'beside.file' needs as many * as each pattern of 'files'",
        ),
        ("title, 'no name')", "title", 9, "'name' is not an SQL expression: syntax error"),
        ("number", "unnest([1])", 8, "'store_id': unnest makes several rows of one"),
        ("number", "1 + trim(unlist(['1']))", 8, "unlist makes several rows of one"),
        ('"shops/*"]', '"shops/*"', 6, "this is not YAML"),
        ("      columns:", "      header: [n, t, N]\n      columns:", 7, "'N' stands twice; each"),
        ("      columns:", "      header: []\n      columns:", 7, "'header': write 1 at least."),
        (
            "      columns:",
            "      optional: [titel]\n      columns:",
            7,
            "'titel' is not a column of",
        ),
        (
            "      columns:",
            "      encoding: klingon\n      columns:",
            7,
            "'klingon' is not an encoding",
        ),
        ("      columns:", "      encoding: hex\n      columns:", 7, "'hex' is not an encoding"),
        ("      columns:", "      encoding: idna\n      columns:", 7, "'idna' is not an encoding"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, right: str, wrong: str, line: int, said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        load(tmp_path, GOOD.replace(right, wrong, 1))
    assert f"deployments/sources/till.yml:{line}: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("timezone", "expression", "is_right"),
    [
        ("Europe/Athens", "epoch_ms(cast(ts as bigint))", False),
        ("Europe/Athens", "case when ts > '' then make_timestamp_ms(ts::bigint) end", False),
        ("Europe/Athens", "make_timestamp(ts::bigint)", False),
        ("Europe/Athens", "make_timestamp(2026, 3, 31, 12, 0, 0)", True),
        ("Europe/Athens", "epoch_ms(ts::bigint) at time zone 'UTC'", True),
        ("Europe/Athens", "to_timestamp(ts::bigint / 1000)", True),
        ("Europe/Athens", "epoch_ms(ts::bigint)::date", False),
        ("UTC", "epoch_ms(ts::bigint)", True),
    ],
)
def test_a_time_since_1970_is_none_of_a_zone(
    tmp_path: Path, timezone: str, expression: str, is_right: bool
) -> None:
    entry = {**RECEIPTS, "columns": RECEIPTS["columns"] | {"sold_at": expression}}
    home = project(tmp_path, timezone=timezone, transactions=entry)
    if is_right:
        assert mapping.load(home, "till").timezone == timezone
        return
    with pytest.raises(
        BadInput, match=r"till.yml:\d+: 'sold_at': \w+ gives a time of UTC .* Europe/Athens"
    ):
        mapping.load(home, "till")


def test_numbers_and_nothing_are_sql_too(tmp_path: Path) -> None:
    entry = load(tmp_path, GOOD.replace("title, 'no name'", "1").replace("number", "")).feeds
    assert entry["stores"][0].columns["store_id"] == "null"


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("stores_1.csv", True),
        ("2026/03/stores.csv", True),  # wherever it lies
        ("shops/one.tsv", True),
        ("old/shops/one.tsv", False),  # a pattern with a folder means that folder
        ("stores.csv.gz", False),
        ("STORES.csv", False),
    ],
)
def test_a_pattern_means_the_path_or_the_name(tmp_path: Path, name: str, taken: bool) -> None:
    assert bool(load(tmp_path, GOOD).entries(name)) is taken


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "csv"),
        ("a.TSV.gz", "csv"),
        ("a.txt.zst", "csv"),
        ("a.b.parquet", "parquet"),
        ("a.ndjson", "jsonl"),
        ("a.jsonl.gz", "jsonl"),
        ("A.CSV.GZ", "csv"),
    ],
)
def test_the_extension_says_the_format(tmp_path: Path, name: str, kind: str) -> None:
    (entry,) = load(tmp_path, GOOD).feeds["stores"]
    assert entry.format_of(name) == kind


def test_a_name_without_an_extension_needs_a_format(tmp_path: Path) -> None:
    (entry,) = load(tmp_path, GOOD).feeds["stores"]
    with pytest.raises(BadInput, match="export has no extension that says its format"):
        entry.format_of("export")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("day.zip", "day.zip is a zip archive; unpack it."),
        ("day.csv.bz2", "day.csv.bz2 is packed with bzip2"),
        ("Day.XLSX", "Day.XLSX is an Excel workbook; save it as CSV."),
        ("day.json.gz", "with an object on each line it is JSON lines, so name it .jsonl"),
    ],
)
def test_what_is_not_read_is_called_by_its_name(tmp_path: Path, name: str, said: str) -> None:
    """A person told to write a format for a zip archive would do so."""
    (entry,) = load(tmp_path, GOOD).feeds["stores"]
    with pytest.raises(BadInput) as caught:
        entry.format_of(name)
    assert said in str(caught.value)


def test_lists_within_one_row_may_be_taken_apart(tmp_path: Path) -> None:
    inner = "(select string_agg(t.u, '+') from unnest(['a', 'b']) as t(u))"
    (entry,) = load(tmp_path, GOOD.replace("number", inner)).feeds["stores"]
    assert entry.columns["store_id"] == inner


def test_the_first_entry_that_takes_a_file_has_it(tmp_path: Path) -> None:
    folder = project(tmp_path, stores=RECEIPTS | {"columns": {"store_id": "first"}})
    path = folder / "deployments" / "sources" / "till.yml"
    second = "  - {files: '*', columns: {store_id: second}}\n"
    path.write_text(path.read_text(encoding="utf-8") + second, encoding="utf-8")
    ((feed, entry),) = mapping.load(folder, "till").entries("x.csv")
    assert (feed.name, entry.columns["store_id"]) == ("stores", "first")
