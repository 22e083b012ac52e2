"""Landing, from a retailer's file to canonical rows and their manifest."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import os
import random
import shutil
import sys
import zipfile
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from string import ascii_letters
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from fsspec.implementations.memory import MemoryFileSystem

from flows.land import land_engine as land_engine_flow
from tessera.cli import main
from tessera.errors import BadInput, Refused
from tessera.feeds import FEEDS
from tessera.land import land
from tessera.land.files import Unreachable
from tessera.testing import workspace
from tessera.urls import holds_password, without_password
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.landing import (
    HEADER,
    RECEIPTS,
    at,
    csv_text,
    landed,
    leftovers,
    manifest,
    project,
    put,
    receipt,
    till,
)

SKIPPABLE = bytes.fromhex("502a4d1804000000") + b"size"  # a frame as pzstd writes it
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda text: SKIPPABLE + zstandard.compress(text[:9]) + zstandard.compress(text[9:]),
}
NAMED = csv_text(receipt(1, card="Ελένη"), receipt(2, card="Müller"), delimiter=";")


def as_json(*rows: list[str]) -> str:
    lines = (json.dumps(dict(zip(HEADER, row, strict=True))) for row in rows)
    return "".join(f"{line}\n" for line in lines)


def as_parquet(path: Path, **columns: Any) -> bytes:
    pq.write_table(pa.table(columns), path)
    return path.read_bytes()


# --- what comes in ---------------------------------------------------------------------------


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("kind", ["csv", "tsv", "txt", "jsonl", "ndjson", "parquet"])
def test_every_format_and_packing_lands_the_same_rows(
    tmp_path: Path, kind: str, packing: str
) -> None:
    ws, rows = till(tmp_path), [receipt(1), receipt(2, card="Ελένη", total="0.285")]
    content = {
        "csv": csv_text(*rows).encode(),
        "tsv": csv_text(*rows, delimiter="\t").encode(),
        "txt": csv_text(*rows, delimiter="|").encode(),
        "parquet": as_parquet(
            tmp_path / "x", **dict(zip(HEADER, zip(*rows, strict=True), strict=True))
        ),
    }.get(kind, as_json(*rows).encode())
    put(tmp_path / "in", **{f"day.{kind}{packing}": PACKED[packing](content)})
    report = land(ws, "till", tmp_path / "in")
    assert (report.landed, report.rows, report.unreadable_rows) == (1, 2, 0)
    first, second = landed(ws)
    assert first == {
        **dict.fromkeys(FEEDS["transactions"].columns),
        "transaction_id": "R1",
        "line_id": "1",
        "card_id": "C1",
        "sold_at": at("2026-03-01 10:00:00"),
        "timezone": "UTC",
        "product_id": "P1",
        "quantity": Decimal("2.000"),
        "amount": 1234,
        "kind": "sale",
        "currency": "EUR",
        "_row_number": 1,
        "_cast_errors": None,
        "file_id": 1,
    }
    assert (second["card_id"], second["amount"], second["_row_number"]) == ("Ελένη", 29, 2)


@pytest.mark.parametrize(
    ("encoding", "delimiter", "names"),
    [
        ("utf-8", ",", "Ελένη Müller Иван"),
        ("utf-8-sig", ";", "Ελένη Müller Иван"),
        ("utf-16", "\t", "Ελένη Müller Иван"),
        ("utf-16-le", ",", "Ελένη Müller Иван"),
        ("utf-16-be", "|", "Ελένη Müller Иван"),
        ("cp1253", ";", "Γιώργος Παπαδόπουλος"),
        ("cp1251", "\t", "Мария Сидорова"),
        ("cp1252", ",", "François Lefèvre, Dürer"),
        ("latin-1", ";", "Renée Dûpont"),
    ],
)
def test_every_encoding_and_delimiter_lands_the_same_text(
    tmp_path: Path, encoding: str, delimiter: str, names: str
) -> None:
    ws = till(tmp_path)
    content = csv_text(*(receipt(i, card=f'"{names}"') for i in range(9)), delimiter=delimiter)
    put(tmp_path / "in", day__csv=content.encode(encoding))
    report = land(ws, "till", tmp_path / "in")
    assert {row["card_id"] for row in landed(ws)} == {names}
    guess = encoding.startswith(("cp", "latin"))
    assert [("which is a guess" in note) for note in report.notes] == [True] * guess


def test_a_spreadsheet_s_announcement_and_empty_rows_cost_nothing(tmp_path: Path) -> None:
    empty, bad = [""] * len(HEADER), receipt(3, total="x")
    content = "sep=;\r\n" + csv_text(receipt(1), empty, bad, empty, empty, delimiter=";")
    report = land(till(tmp_path), "till", put(tmp_path / "in", day__csv="\ufeff" + content))
    assert (report.rows, report.unreadable_rows, report.refused) == (2, 1, ())
    found = landed(till(tmp_path))
    assert [row["transaction_id"] for row in found] == ["R1", "R3"]
    assert [row["_row_number"] for row in found] == [1, 3]


def test_a_sheet_that_was_cleared_has_no_rows(tmp_path: Path) -> None:
    content = csv_text(*[[""] * len(HEADER)] * 3, delimiter=";")
    report = land(till(tmp_path), "till", put(tmp_path / "in", day__csv=content))
    assert report.refused == ("day.csv names its columns and has no rows; export it again.",)


def test_a_file_of_fixed_widths_without_a_header_lands(tmp_path: Path) -> None:
    columns = {
        "transaction_id": "trim(line[1:6])",
        "line_id": "'1'",
        "card_id": "string_split_regex(trim(line), '\\s+')[2]",
        "sold_at": "strptime(line[12:20], '%Y%m%d')",
        "product_id": "'cd'",
        "quantity": "line[21:23]",
        "amount": "line[24:31]",
        "kind": "'sale'",
    }
    entry = {"files": "*.txt", "header": ["line"], "columns": columns}
    ws = workspace(tmp_path / "home", project=project(tmp_path / "project", transactions=entry))
    lines = [" 00004 0001 19970101  2   29.33", " 00021 0002 19970231  3   63.34"]
    report = land(ws, "till", put(tmp_path / "in", old__txt="\n".join(lines)))
    one, two = landed(ws)
    assert (report.rows, report.unreadable_rows) == (2, 1)
    assert (one["transaction_id"], one["card_id"], one["amount"]) == ("00004", "0001", 2933)
    assert (one["sold_at"], one["quantity"]) == (at("1997-01-01 00:00:00"), Decimal("2.000"))
    assert (two["sold_at"], two["_cast_errors"]) == (None, {"sold_at": lines[1].strip()})


def test_a_blank_file_without_a_header_has_no_rows(tmp_path: Path) -> None:
    entry = {**RECEIPTS, "header": HEADER}
    ws = workspace(tmp_path / "home", project=project(tmp_path / "project", transactions=entry))
    report = land(ws, "till", put(tmp_path / "in", day__csv="\n\n"))
    assert [said.partition(";")[0] for said in report.refused] == ["day.csv has no rows"]


def test_columns_the_parquet_file_types_are_taken_by_their_types(tmp_path: Path) -> None:
    ws = till(tmp_path)
    instant = at("2026-03-01T10:00:00+02:00")
    as_parquet(
        tmp_path / "day.parquet",
        receipt=["R1", "R2"],
        line=pa.array([1, 2], pa.int32()),
        card=pa.array([7.0, None]),
        sold=pa.array([instant, None], pa.timestamp("us", tz="UTC")),
        sku=[None, " P2 "],
        qty=pa.array([0.5, float("nan")]),
        total=pa.array([Decimal("0.285"), Decimal("-1.00")], pa.decimal128(20, 9)),
    )
    land(ws, "till", tmp_path / "day.parquet")
    first, second = landed(ws)
    assert (first["line_id"], first["card_id"], first["product_id"]) == ("1", "7", None)
    assert (first["sold_at"], first["quantity"]) == (at("2026-03-01 08:00:00"), Decimal("0.500"))
    assert (first["amount"], first["_cast_errors"]) == (29, None)
    assert (second["sold_at"], second["product_id"], second["amount"]) == (None, "P2", -100)
    assert second["_cast_errors"] == {"quantity": "nan"}


def test_parquet_that_sql_would_misread_is_refused_or_made_good(tmp_path: Path) -> None:
    """Wide decimals came out as other numbers, bytes as escapes, and a time past all years cost the file."""
    ws, years = till(tmp_path), [2**63 - 2, -(2**63) + 2, 2**62, 1_772_359_200_000_000]
    folder = put(tmp_path / "in")
    rows = [receipt(number) for number in range(4)]
    columns: dict[str, Any] = dict(zip(HEADER, map(list, zip(*rows, strict=True)), strict=True))
    columns["sku"] = pa.array([b"\xc3\xa9", b"\xff", b"P", None], pa.binary())
    kinds = {"naive": pa.timestamp("us"), "utc": pa.timestamp("us", tz="UTC"), "day": pa.date32()}
    for name, kind in kinds.items():
        days = [2**31 - 2, -(2**31) + 2, 2**29, 20513] if name == "day" else years
        as_parquet(folder / f"{name}.parquet", **columns | {"sold": pa.array(days, kind)})
    land(ws, "till", folder)
    for taken in (landed(ws)[start : start + 4] for start in (0, 4, 8)):
        assert [row["sold_at"] is None for row in taken] == [True, True, True, False]
        assert ["sold_at" in (row["_cast_errors"] or {}) for row in taken] == [True] * 3 + [False]
        assert [row["product_id"] for row in taken] == ["é", "\\xFF", "P", None]
    wide = pa.array([Decimal("12.3456")] * 4, pa.decimal256(50, 10))
    as_parquet(folder / "wide.parquet", **columns | {"total": wide})
    said = "wide.parquet has more than 38 digits in column 'total', which cannot be read; "
    assert land(ws, "till", folder).refused[0].startswith(said)
    twice = pa.table(columns).append_column("Card", pa.array(columns["card"]))
    pq.write_table(twice, folder / "wide.parquet")
    said = "wide.parquet has several columns 'Card'; rename all but the one that is meant."
    assert land(ws, "till", folder).refused == (said,)


def test_numbers_of_cards_are_the_same_texts_whether_or_not_some_are_missing(
    tmp_path: Path,
) -> None:
    """Whole numbers with gaps among them are written as floating point by many an export."""
    ws = till(tmp_path)
    numbers = [2900000040503, 7, -3]
    for day, card in enumerate((numbers, [*map(float, numbers[:2]), None], [0.5, math.inf, 1e300])):
        as_parquet(
            tmp_path / f"day_{day}.parquet", receipt=[f"{day}{n}" for n in range(3)], line=["1"] * 3,
            card=card, sold=["2026-03-01 10:00:00"] * 3, sku=["P1"] * 3, qty=[1] * 3, total=[1] * 3,
        )  # fmt: skip
    land(ws, "till", tmp_path)
    found = [row["card_id"] for row in landed(ws)]
    assert found == ["2900000040503", "7", "-3", "2900000040503", "7", None, "0.5", "inf", "1e+300"]


def test_files_of_one_size_are_not_taken_for_each_other(tmp_path: Path) -> None:
    """What is spooled lies at one path, and DuckDB keeps what it has read by path, time and size."""
    ws, lots, sizes = till(tmp_path), random.Random(1), defaultdict(list)
    for _ in range(40):
        cards = ["".join(lots.choices(ascii_letters, k=12)) for _ in range(20)]
        rows = [receipt(number, card=card, sku=card[::-1]) for number, card in enumerate(cards)]
        columns = dict(zip(HEADER, zip(*rows, strict=True), strict=True))
        sizes[len(data := as_parquet(tmp_path / "one.parquet", **columns))].append((cards, data))
    several = max(sizes.values(), key=len)
    put(tmp_path / "in", **{f"{n:02}__parquet": data for n, (_, data) in enumerate(several)})
    assert len(several) > 2
    assert land(ws, "till", tmp_path / "in").refused == ()
    assert [row["card_id"] for row in landed(ws)] == [
        card for cards, _ in several for card in cards
    ]


def test_several_feeds_from_one_file_and_one_row_per_key(tmp_path: Path) -> None:
    products = {
        "files": "*",
        "distinct": True,
        "columns": {"product_id": "sku", "name": "nullif(card, '-')"},
    }
    home = project(tmp_path / "project", transactions=RECEIPTS, products=products)
    ws = workspace(tmp_path / "home", project=home)
    rows = [
        receipt(1, card="Tea"),
        receipt(2, card="Black tea"),
        receipt(3, card="-"),
        receipt(4, sku="P2", card="-"),
    ]
    report = land(ws, "till", put(tmp_path / "in", day__csv=csv_text(*rows)))
    assert report.feeds == {"transactions": 4, "products": 2}
    assert [(r["product_id"], r["name"], r["_row_number"]) for r in landed(ws, "products")] == [
        ("P1", "Black tea", 2),  # the last of those with a name
        ("P2", None, 4),
    ]
    assert [r["currency"] for r in landed(ws, "products")] == ["EUR", "EUR"]


def test_times_are_local_to_the_row_and_money_to_its_currency(tmp_path: Path) -> None:
    entry = {
        **RECEIPTS,
        "timezone": "nullif(sku, '?')",
        "columns": {**RECEIPTS["columns"], "currency": "card", "product_id": "'P'"},
    }
    home = project(tmp_path / "project", timezone="Europe/Athens", transactions=entry)
    ws = workspace(tmp_path / "home", project=home)
    rows = [
        receipt(1, sku="Europe/Athens", card="EUR", total="12.5"),
        receipt(2, sku="America/New_York", card="JPY", total="12.5"),
        receipt(3, sku="?", card="kwd", total="12.5"),
        receipt(4, sku="Mars/Base", card="EUR", total="12.5"),
    ]
    land(ws, "till", put(tmp_path / "in", day__csv=csv_text(*rows)))
    one, two, three, four = landed(ws)
    assert [r["sold_at"] and r["sold_at"].hour for r in (one, two, three)] == [8, 15, 8]
    assert [r["amount"] for r in (one, two, three)] == [1250, 13, 12500]
    assert [r["timezone"] for r in (one, two, three)] == [
        "Europe/Athens",
        "America/New_York",
        "Europe/Athens",
    ]
    assert (four["sold_at"], four["_cast_errors"]) == (None, {"sold_at": "2026-03-01 10:00:00"})


def test_a_missing_column_of_zones_is_named(tmp_path: Path) -> None:
    home = project(tmp_path / "project", transactions={**RECEIPTS, "timezone": "upper(place)"})
    ws = workspace(tmp_path / "home", project=home)
    report = land(ws, "till", put(tmp_path / "in", day__csv=csv_text(receipt())))
    assert report.refused[0].startswith(
        "day.csv has no column 'place' (for transactions.(timezone)"
    )


def test_a_zone_that_is_none_is_no_time(tmp_path: Path) -> None:
    home = project(tmp_path / "project", transactions={**RECEIPTS, "timezone": "sku"})
    ws = workspace(tmp_path / "home", project=home)
    land(ws, "till", put(tmp_path / "in", day__csv=csv_text(receipt(sku="Mars/Base"))))
    (row,) = landed(ws)
    assert (row["sold_at"], row["timezone"]) == (None, "Mars/Base")
    assert row["_cast_errors"] == {"sold_at": "2026-03-01 10:00:00"}


def test_money_stated_in_minor_units_is_not_scaled(tmp_path: Path) -> None:
    home = project(tmp_path / "project", transactions={**RECEIPTS, "money": "minor"})
    ws = workspace(tmp_path / "home", project=home)
    rows = [receipt(1, total="1234"), receipt(2, total="12.34")]
    land(ws, "till", put(tmp_path / "in", day__csv=csv_text(*rows)))
    one, two = landed(ws)
    assert (one["amount"], two["amount"], two["_cast_errors"]) == (1234, None, {"amount": "12.34"})


def test_an_optional_column_may_be_missing(tmp_path: Path) -> None:
    columns = {**RECEIPTS["columns"], "coupon_code": "upper(coupon)"}
    entry = {**RECEIPTS, "columns": columns, "optional": ["coupon_code"]}
    ws = workspace(tmp_path / "home", project=project(tmp_path / "project", transactions=entry))
    with_coupon = csv_text([*receipt(2), "x5"], header=[*HEADER, "coupon"])
    files = put(tmp_path / "in", a__csv=csv_text(receipt(1)), b__csv=with_coupon)
    land(ws, "till", files)
    assert [row["coupon_code"] for row in landed(ws)] == [None, "X5"]


def test_an_expression_may_number_rows(tmp_path: Path) -> None:
    number = "row_number() over (partition by receipt order by _row_number)"
    entry = {**RECEIPTS, "columns": {**RECEIPTS["columns"], "line_id": number}}
    ws = workspace(tmp_path / "home", project=project(tmp_path / "project", transactions=entry))
    rows = [receipt(n, line="") for n in (1, 2, 1, 1)]
    land(ws, "till", put(tmp_path / "in", day__csv=csv_text(*rows)))
    assert [row["line_id"] for row in landed(ws)] == ["1", "1", "2", "3"]


def entry(**changed: Any) -> dict[str, Any]:
    """The till's entry, with what is changed of it and of its columns."""
    return {**RECEIPTS, **changed, "columns": RECEIPTS["columns"] | changed.get("columns", {})}


def test_rows_that_are_not_meant_are_left_out_and_counted(tmp_path: Path) -> None:
    kept = entry(where="sku <> 'PAYMENT' and cast(qty as bigint) > 0")
    ws = workspace(tmp_path / "home", project=project(tmp_path / "project", transactions=kept))
    rows = [receipt(1), receipt(2, sku="PAYMENT"), receipt(3, qty="0"), receipt(4, qty="x")]
    text = csv_text(*rows, receipt(5)) + "torn,line\n"
    report = land(ws, "till", put(tmp_path / "day", receipts__csv=text))
    assert [row["transaction_id"] for row in landed(ws)] == ["R1", "R4", "R5", None]  # in doubt, in
    assert [row["_row_number"] for row in landed(ws)] == [1, 4, 5, 6]
    assert "receipts.csv: rows left out by 'where': 2." in report.notes
    put(tmp_path / "next", receipts__csv=csv_text(receipt(9, sku="PAYMENT")))
    assert land(ws, "till", tmp_path / "next").refused == ()


BASKET = {
    "transaction_id": "no",
    "line_id": "row_number() over (partition by no order by _row_number)",
    "card_id": "who",
    "sold_at": "sold",
    "product_id": "items->>'$.sku'",
    "quantity": "items->>'$.n'",
    "amount": "items->>'$.paid'",
}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_receipt_that_holds_its_lines_becomes_a_row_for_each(tmp_path: Path, kind: str) -> None:
    lists = [[("P1", "2", "1.50"), ("P2", "1", "3.00")], [], [("P3", "4", "9.99")]]
    baskets: list[dict[str, Any]] = [
        {
            "no": f"R{number}",
            "who": "C1",
            "sold": "2026-03-01 10:00:00",
            "items": [dict(zip(("sku", "n", "paid"), line, strict=True)) for line in lines],
        }
        for number, lines in enumerate(lists, start=1)
    ]
    folder = tmp_path / "day"
    folder.mkdir()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(baskets), folder / "baskets.parquet")
    else:
        text = "".join(json.dumps(basket) + "\n" for basket in baskets)
        (folder / "baskets.jsonl").write_text(text + "[torn\n")
    columns = (
        BASKET
        if kind == "jsonl"
        else {k: v.replace("->>'$", "").replace("'", "") for k, v in BASKET.items()}
    )
    spread = entry(each="items", columns=columns)
    ws = workspace(tmp_path / "home", project=project(tmp_path / "project", transactions=spread))
    land(ws, "till", folder)
    found = [(r["transaction_id"], r["line_id"], r["product_id"], r["amount"]) for r in landed(ws)]
    assert found[:4] == [
        ("R1", "1", "P1", 150),
        ("R1", "2", "P2", 300),
        ("R2", "1", None, None),  # a receipt without a line is there to be seen
        ("R3", "1", "P3", 999),
    ]
    assert [row["_row_number"] for row in landed(ws)] == list(range(1, len(found) + 1))
    torn = [row["_cast_errors"] for row in landed(ws)[4:]]
    assert torn == ([{"_row": "[torn"}] if kind == "jsonl" else [])


def test_what_should_hold_the_lines_and_is_none_is_named(tmp_path: Path) -> None:
    spread = entry(each="itmes", columns=BASKET)
    ws = workspace(tmp_path / "home", project=project(tmp_path / "project", transactions=spread))
    put(
        tmp_path / "day",
        a__jsonl='{"no": "R1", "who": "C", "sold": "2026-03-01", "items": {"n": 1}}\n',
    )
    (said,) = land(ws, "till", tmp_path / "day").refused
    assert said.startswith("a.jsonl has no column 'itmes', which 'each' names.")
    assert said.endswith("Did you mean 'items'? Set the export or the mapping right.")


HEADS = ["receipt", "card", "sold", "line"]  # which the lines have too: theirs counts


def lines_of_heads(tmp_path: Path, **beside: Any) -> Workspace:
    """A workspace whose receipts have their heads in a file of their own."""
    told = {"file": "heads_*.csv*", "key": "receipt", **beside}
    apart = entry(files="lines_*.csv*", beside=told)
    return workspace(tmp_path / "home", project=project(tmp_path / "project", transactions=apart))


def lines(*rows: tuple[str, str]) -> str:
    told = [[no, line, "P1", "1", "2.00"] for no, line in rows]
    return csv_text(*told, header=["receipt", "line", "sku", "qty", "total"])


def heads(*numbers: str, sold: str = "2026-03-01 10:00:00", card: str = "C1") -> str:
    return csv_text(*[[no, card, sold, "x"] for no in numbers], header=HEADS)


def test_a_receipt_s_head_may_lie_in_a_file_beside_its_lines(tmp_path: Path) -> None:
    ws, day = lines_of_heads(tmp_path), tmp_path / "day"
    put(day, lines_1__csv=lines(("R1", "1"), ("R1", "2"), ("R2", "1"), ("R9", "1")))
    put(day, heads_1__csv=heads(" R1", "R2", "R3") + "torn\n")
    report = land(ws, "till", day)
    found = [
        (r["transaction_id"], r["line_id"], r["card_id"], r["_row_number"]) for r in landed(ws)
    ]
    assert found == [
        ("R1", "1", "C1", 1),
        ("R1", "2", "C1", 2),
        ("R2", "1", "C1", 3),
        ("R9", "1", None, 4),
    ]
    assert (report.rows, report.ignored, report.refused) == (4, (), ())
    assert "lines_1.csv: rows of heads_1.csv that no row here belongs to: 2." in report.notes
    assert land(ws, "till", day / "lines_1.csv").already_there == 1
    # A head that is told anew changes its lines, though their own file is the same.
    put(
        day,
        heads_1__csv=heads("R1", "R2", "R3", "R9", card="C7")
        + heads("R1", card="C8").split("\n", 1)[1],
    )
    land(ws, "till", day)
    cards = {r["transaction_id"]: r["card_id"] for r in landed(ws)}
    assert (cards, len(landed(ws))) == ({"R1": "C8", "R2": "C7", "R9": "C7"}, 8)


def test_heads_may_be_packed_and_call_their_key_otherwise_and_are_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, read = sys.modules["tessera.land.land"], list[str]()
    fetch = stage.fetch
    monkeypatch.setattr(stage, "fetch", lambda file, to: read.append(file.name) or fetch(file, to))
    ws = lines_of_heads(tmp_path, key={"receipt": "no"})
    text = heads("R1").replace("receipt", "no", 1)
    put(tmp_path / "day", lines_1__csv__gz=gzip.compress(lines(("R1", "1")).encode()))
    put(tmp_path / "day", heads_1__csv__gz=gzip.compress(text.encode()))
    land(ws, "till", tmp_path / "day")
    assert [row["card_id"] for row in landed(ws)] == ["C1"]
    assert sorted(read) == ["heads_1.csv.gz", "lines_1.csv.gz"]


def test_lines_without_the_file_of_their_heads_wait_for_it(tmp_path: Path) -> None:
    ws, day = lines_of_heads(tmp_path), tmp_path / "day"
    put(
        day,
        lines_1__csv=lines(("R1", "1")),
        lines_2__csv=lines(("R2", "1")),
        heads_2__csv=heads("R2"),
    )
    (said,) = land(ws, "till", day).refused
    assert (
        said
        == "lines_1.csv needs heads_1.csv beside it, which is not there; land it when both are."
    )
    put(day, heads_1__csv=csv_text(["R1"], header=["nr"]))
    (said,) = land(ws, "till", day).refused
    assert said.startswith("heads_1.csv has no column 'receipt', which 'beside' names.")
    put(day, heads_1__csv="")
    assert land(ws, "till", day).refused == ("heads_1.csv is empty (0 bytes); export it again.",)
    put(day, heads_1__csv=heads("R1"))
    assert land(ws, "till", day).rows == 1
    assert {row["transaction_id"] for row in landed(ws)} == {"R1", "R2"}


def test_json_lines_need_not_all_have_the_same_keys(tmp_path: Path) -> None:
    ws = till(tmp_path)
    lines = [
        json.dumps(dict(zip(HEADER, receipt(1), strict=True))),
        '{"receipt": "R2", "line": 1, "total": 10.10, "sku": null}',
        "",
        '{"receipt": "R3", "line": ',
        "[1, 2]",
    ]
    land(ws, "till", put(tmp_path / "in", day__jsonl="\n".join(lines)))
    rows = landed(ws)
    assert [row["_row_number"] for row in rows] == [1, 2, 4, 5]
    assert (rows[1]["amount"], rows[1]["product_id"], rows[1]["card_id"]) == (1010, None, None)
    assert [row["_cast_errors"] for row in rows[2:]] == [{"_row": lines[3]}, {"_row": "[1, 2]"}]
    assert rows[2]["kind"] is None


def test_json_keys_that_sql_cannot_tell_apart_take_nothing_from_the_others(tmp_path: Path) -> None:
    ws, row = till(tmp_path), dict(zip(HEADER, receipt(1), strict=True))
    odd = {"Receipt": "X", "RECEIPT": "Y", "": "Z", "a\0b": "no name"}
    lines = [json.dumps({**odd, **row}), "  ", json.dumps(row)]
    land(ws, "till", put(tmp_path / "in", day__jsonl="\n".join(lines)))
    assert [row["transaction_id"] for row in landed(ws)] == ["R1", "R1"]


def test_json_lines_of_any_number_are_read_with_a_bare_control_character_among_them(
    tmp_path: Path,
) -> None:
    lines = [json.dumps(dict(zip(HEADER, receipt(i), strict=True))) for i in range(15_000)]
    lines[7] = lines[7].replace("P1", "P\x01")
    ws = till(tmp_path)
    land(ws, "till", put(tmp_path / "in", day__jsonl="\n".join(lines)))
    found = landed(ws)
    assert (len(found), sum(row["_cast_errors"] is not None for row in found)) == (15_000, 1)
    assert found[7]["_cast_errors"] == {"_row": lines[7]}


# --- once each -------------------------------------------------------------------------------


@BOTH_STORES
def test_landing_the_same_content_again_does_nothing(tmp_path: Path, store_url: str) -> None:
    ws = till(tmp_path, store_url=store_url)
    files = put(tmp_path / "in", day__csv=csv_text(receipt()))
    assert land(ws, "till", files).landed == 1
    before, row = landed(ws), manifest(ws)
    put(
        files,
        copy__csv=csv_text(receipt()),
        packed__csv__gz=gzip.compress(csv_text(receipt()).encode()),
        packed__csv__zst=zstandard.compress(csv_text(receipt()).encode()),
    )
    report = land(ws, "till", files)
    assert (report.landed, report.already_there, report.rows) == (0, 4, 0)
    assert (landed(ws), manifest(ws)) == (before, row)
    assert leftovers(ws) == []


@BOTH_STORES
@pytest.mark.parametrize("names", [["day.csv"] * 3, ["day_1.csv", "day_2.csv", "day_3.csv"]])
def test_a_whole_export_that_is_as_it_was_before_the_last_one_counts_again(
    tmp_path: Path, store_url: str, names: list[str]
) -> None:
    """After an offer the price is the old one."""
    ws = till(tmp_path, store_url=store_url)
    project(tmp_path / "project", transactions={**RECEIPTS, "whole": True})
    files = tmp_path / "in"
    files.mkdir()
    for name, total in zip(names, ("3", "2", "3"), strict=True):
        (files / name).write_text(csv_text(receipt(1, total=total)), encoding="utf-8")
        assert land(ws, "till", files).landed == 1
    assert [row["amount"] for row in landed(ws)] == [300, 200, 300]
    assert land(ws, "till", files).landed == 0
    (files / names[-1]).rename(files / "day_4.csv")  # what was said last, under another name
    assert land(ws, "till", files).landed == 0
    with ws.store.write() as store:
        store.run("update landed_file set verdict = 'refused' where file_id = 3")
    assert land(ws, "till", files).landed == 1  # judged anew, under its number
    assert [row["file_id"] for row in manifest(ws)] == [1, 2, 3]


def test_the_manifest_says_what_landed(tmp_path: Path) -> None:
    ws = till(tmp_path)
    content = csv_text(receipt(1), receipt(2))
    land(ws, "till", put(tmp_path / "in" / "march", day__csv=content).parent)
    (row,) = manifest(ws)
    assert {key: row[key] for key in ("file_id", "source", "feed", "name", "rows", "bytes")} == {
        "file_id": 1,
        "source": "till",
        "feed": "transactions",
        "name": "march/day.csv",
        "rows": 2,
        "bytes": len(content),
    }
    assert (row["landed_at"], row["verdict"]) == ("2026-03-31T00:00:00+00:00", None)


def test_a_later_file_has_a_higher_number(tmp_path: Path) -> None:
    """So that a corrected row, of the same key, wins."""
    ws = till(tmp_path)
    files = put(
        tmp_path / "in",
        day_10__csv=csv_text(receipt(1, total="3")),
        day_2__csv=csv_text(receipt(1, total="2")),
        day_1__csv=csv_text(receipt(1, total="1")),
    )
    land(ws, "till", files)
    land(ws, "till", put(tmp_path / "fixed", day_1__csv=csv_text(receipt(1, total="4"))))
    assert [(row["file_id"], row["amount"]) for row in landed(ws)] == [
        (1, 100),
        (2, 200),
        (3, 300),
        (4, 400),
    ]


def test_a_file_that_is_as_it_was_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is landed every night, and only grows: what is new is read, and what was changed, also in
    place, without another size or time."""
    ws, stage, read = till(tmp_path), sys.modules["tessera.land.land"], list[str]()
    fetch = stage.fetch
    monkeypatch.setattr(stage, "fetch", lambda file, to: read.append(file.name) or fetch(file, to))

    def names_read() -> list[str]:
        read.clear()
        land(ws, "till", tmp_path / "in")
        return read

    files = put(tmp_path / "in", a__csv=csv_text(receipt(1)), b__csv=csv_text(receipt(2)))
    assert names_read() == ["a.csv", "b.csv"]
    assert names_read() == []
    put(tmp_path / "in", c__csv=csv_text(receipt(3)))
    assert names_read() == ["c.csv"]
    before = (files / "a.csv").stat()
    put(tmp_path / "in", a__csv=csv_text(receipt(4)))
    os.utime(files / "a.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (files / "a.csv").stat().st_size == before.st_size
    assert names_read() == ["a.csv"]
    assert [row["transaction_id"] for row in landed(ws)] == ["R1", "R2", "R3", "R4"]
    with ws.store.write() as store:  # an older store was brought back
        store.run("delete from landed_file where name = 'c.csv'")
    shutil.rmtree(ws.home.landing / "transactions" / "file_id=3")
    assert names_read() == ["c.csv"]
    (ws.home.landing / ".seen" / "till.json").write_text("{")
    assert names_read() == ["a.csv", "b.csv", "c.csv"]


@BOTH_STORES
def test_a_refused_file_landed_again_is_judged_anew(tmp_path: Path, store_url: str) -> None:
    ws = till(tmp_path, store_url=store_url)
    files = put(tmp_path / "in", day__csv=csv_text(receipt(), receipt(2)))
    land(ws, "till", files)
    with ws.store.write() as store:
        store.run(
            "update landed_file set verdict = 'refused', verdict_reason = 'why', bad_rows = 2"
        )
    # The mapping was at fault, and is set right before the file is landed again.
    right = {**RECEIPTS, "columns": {**RECEIPTS["columns"], "card_id": "'C' || card"}}
    project(tmp_path / "project", transactions=right)
    report = land(ws, "till", files)
    (row,) = manifest(ws)
    assert (report.landed, row["file_id"], row["verdict"], row["bad_rows"]) == (1, 1, None, None)
    assert [r["card_id"] for r in landed(ws)] == ["CC1", "CC1"]


# --- where it lies ---------------------------------------------------------------------------


def test_folders_are_searched_but_not_truth_nor_hidden_ones(tmp_path: Path) -> None:
    home = project(tmp_path / "project", transactions={**RECEIPTS, "files": "*.csv"})
    ws, top = workspace(tmp_path / "home", project=home), tmp_path / "in"
    for i, folder in enumerate(["", "a/b", "truth", "a/truth/c", ".git", "a/.x/b"]):
        put(top / folder, day__csv=csv_text(receipt(i)))
    put(top, __hidden__csv=csv_text(receipt(7)), readme__md="Hello")
    report = land(ws, "till", top)
    assert sorted(row["name"] for row in manifest(ws)) == ["a/b/day.csv", "day.csv"]
    assert report.ignored == ("readme.md",)


def test_a_folder_may_lie_below_a_hidden_one(tmp_path: Path) -> None:
    ws = till(tmp_path)
    assert land(ws, "till", put(tmp_path / ".in", day__csv=csv_text(receipt()))).landed == 1


def test_linked_files_are_landed_and_circles_are_not_walked(tmp_path: Path) -> None:
    ws, files = till(tmp_path), put(tmp_path / "in" / "a", day__csv=csv_text(receipt()))
    other = put(tmp_path / "elsewhere", other__csv=csv_text(receipt(2)))
    (files / "linked.csv").symlink_to(other / "other.csv")
    (files / "up").symlink_to(tmp_path / "in")
    os.mkfifo(files / "pipe.csv")
    assert land(ws, "till", tmp_path / "in").landed == 2


def test_a_broken_link_is_named_and_hides_no_other_file(tmp_path: Path) -> None:
    days = {f"day_{i}__csv": csv_text(receipt(i)) for i in range(9)}
    ws, files = till(tmp_path), put(tmp_path / "in", **days)
    (files / "broken.csv").symlink_to("nowhere.csv")
    (files / "round.csv").symlink_to("round.csv")
    (files / ".#day.csv").symlink_to("nobody@nowhere.1")  # an editor's mark
    report = land(ws, "till", files)
    assert report.landed == len(days)
    assert sorted(report.refused) == [
        f"{files}/broken.csv cannot be read: no such file or directory.",
        f"{files}/round.csv cannot be read: too many levels of symbolic links.",
    ]


def test_a_name_that_is_no_text_is_refused_and_hides_no_other_file(tmp_path: Path) -> None:
    home = project(tmp_path / "project", transactions={**RECEIPTS, "files": "*.csv"})
    ws, files = (
        workspace(tmp_path / "home", project=home),
        put(tmp_path / "in", day__csv=csv_text(receipt())),
    )
    for name in ("ώρα.csv", "ώρα.pdf"):  # as a Greek Windows writes it
        (files / os.fsdecode(name.encode("cp1253"))).write_text(csv_text(receipt(2)))
    report = land(ws, "till", files)
    assert report.landed == 1
    assert list(report.refused) == ["\ufffd\ufffd\ufffd.csv: its name is not in UTF-8; rename it."]
    assert report.ignored == ("\ufffd\ufffd\ufffd.pdf",)


@pytest.mark.parametrize("as_folder", [True, False])
def test_any_fsspec_url_will_do(tmp_path: Path, as_folder: bool) -> None:
    ws = till(tmp_path)
    memory = fsspec.filesystem("memory")
    folder = f"/{tmp_path.name}"
    memory.pipe(f"{folder}/day.csv.gz", gzip.compress(csv_text(receipt()).encode()))
    report = land(ws, "till", f"memory:/{folder}{'' if as_folder else '/day.csv.gz'}")
    local = put(tmp_path / "in", day__csv=csv_text(receipt(2))).as_uri()
    assert (report.landed, land(ws, "till", local).landed) == (1, 1)
    assert [row["name"] for row in manifest(ws)] == ["day.csv.gz", "day.csv"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{0}/nowhere", r"There is nothing at .*/nowhere; check the path"),
        ("nowhere://x/y", r"nowhere://x/y cannot be opened: protocol not known"),
        ("hdfs://x/y", r"hdfs://x/y (needs another|cannot be)"),
        ("reference://x", r"reference://x cannot be opened: "),
        ("hdfs://u:s3cret@x/y?token=s3cret", r"hdfs://u:\*{8}@x/y\?token=\*{8} (needs|cannot)"),
        ("", r"'' names no file or folder; write '\.' for the one you are in"),
        ("file://", r"'file://' names no file or folder"),
        ("zip://::{0}/cut.zip", r"cut\.zip cannot be opened: file is not a zip file"),
        ("tar://::{0}/cut.tar", r"cut\.tar cannot be opened: "),
        ("{0}/empty", r"No file at .*/empty is for the source 'till', which takes \*"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path, cut__zip=b"PK\x03\x04" + bytes(9), cut__tar=b"receipt" * 200)
    with pytest.raises(BadInput, match=said):
        land(till(tmp_path), "till", path.format(tmp_path))


def test_a_member_of_an_archive_that_is_damaged_or_locked_keeps_no_other_from_landing(
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.csv", csv_text(receipt(number)))
    data = bytearray((tmp_path / "day.zip").read_bytes())
    data[40] ^= 1  # in the first one's content
    data[data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1) + 8] |= 1  # the second is locked
    (tmp_path / "day.zip").write_bytes(data)
    ws = till(tmp_path)
    report = land(ws, "till", f"zip://::{tmp_path}/day.zip")
    assert report.refused == (
        "0.csv cannot be read: bad crc-32 for file '0.csv'; copy it again or unpack it.",
        "1.csv cannot be read: file '1.csv' is encrypted, password required for extraction; "
        "copy it again or unpack it.",
    )
    assert [row["transaction_id"] for row in landed(ws)] == ["R2"]


class Chunked(MemoryFileSystem):
    """As a web server that does not say how long its answers are."""

    protocol = "http-chunked"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("http-chunked:/")))

    def size(self, path: str) -> None:
        return None


def test_a_place_need_not_say_how_long_a_file_is_and_what_was_asked_with_is_no_name(
    tmp_path: Path,
) -> None:
    fsspec.register_implementation("http-chunked", Chunked, clobber=True)
    ws, content = till(tmp_path), csv_text(receipt()).encode()
    for name, data in {"day.csv?token=s3cret": content, "none.csv": b""}.items():
        Chunked().pipe(f"/{tmp_path.name}/{name}", data)
        report = land(ws, "till", f"http-chunked://{tmp_path.name}/{name}")
    assert report.refused == ("none.csv is empty (0 bytes); export it again.",)
    (row,) = manifest(ws)
    assert (row["name"], row["bytes"]) == ("day.csv", len(content))


class Answer(Exception):
    """As aiohttp says it: with the whole address in its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}, message='{message}', url='http://u:s3cret@till.example'")
        self.status, self.message = status, message


class Web(MemoryFileSystem):
    """As the web is read: whatever it answers instead of a file, there is none, for a reason."""

    protocol = ("http-answers", "http")
    why: Exception

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("http-answers:/")))

    def info(self, path: str, **kwargs: object) -> Any:
        raise FileNotFoundError(path) from self.why


def test_what_an_address_names_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no password stands on Prefect's pages, in a shell's history or in a list of processes."""
    ws, path = till(tmp_path), "memory://${TILL_PLACE}/day.csv"
    with pytest.raises(BadInput, match="the environment has no variable TILL_PLACE; set it"):
        land(ws, "till", path)
    monkeypatch.setenv("TILL_PLACE", f"{tmp_path.name}-place")
    MemoryFileSystem().pipe(f"/{tmp_path.name}-place/day.csv", csv_text(receipt()).encode())
    assert land(ws, "till", path).rows == 1
    (tmp_path / "${TILL_PLACE}").mkdir()  # a folder may be called anything
    put(tmp_path / "${TILL_PLACE}", day__csv=csv_text(receipt(2)))
    assert land(ws, "till", tmp_path / "${TILL_PLACE}").rows == 1


@pytest.mark.parametrize(
    ("url", "does"),
    [
        ("sftp://shop:s3cret@till.example/out/", True),
        ("sftp://shop:${TILL}@till.example/out/", False),
        ("zip://day.csv::sftp://shop:${TILL}@till.example/out.zip", False),
        ("https://till.example/day.csv?token=abc&day=1", True),
        ("https://till.example/day.csv?token=${TILL}&day=1", False),
        ("https://till.example/day.csv?token=${TILL}x&day=1", True),
        ("/exports/day.csv", False),
    ],
)
def test_an_address_holds_a_password_or_names_it(url: str, does: bool) -> None:
    assert holds_password(url) == does


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sftp://shop:p@s/s:w@till.example/out", "sftp://shop:********@till.example/out"),
        ("zip://a.csv::sftp://me:pw@till.example/a.zip", "zip://a.csv::sftp://me:********@till.example/a.zip"),
        ("https://till.example/a?day=1&X-Sig=abc", "https://till.example/a?day=1&X-Sig=********"),
        ("sftp://me:pw@till.example:port/a", "********"),
        ("https://till.example/a?day=1", "https://till.example/a?day=1"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("why", "said", "is_worth_another_try"),
    [
        (Answer(404, "Not Found"), "There is nothing at {}; check the path.", False),
        (Answer(403, "Forbidden"), "{} cannot be read: it answered 403 Forbidden.", False),
        (Answer(429, ""), "{} cannot be reached: it answered 429; try again later.", True),
        (Answer(500, "Oh"), "{} cannot be reached: it answered 500 Oh; try again later.", True),
        (
            ConnectionRefusedError(111, "Connect call failed"),
            "{} cannot be reached: connect call failed; try again later.",
            True,
        ),
    ],
)
def test_it_is_told_what_a_web_address_answers_instead_of_a_file(
    tmp_path: Path, why: Exception, said: str, is_worth_another_try: bool
) -> None:
    fsspec.register_implementation("http-answers", Web, clobber=True)
    Web.why = why
    with pytest.raises(BadInput) as caught:
        land(till(tmp_path), "till", "http-answers://u:s3cret@till.example/day.csv")
    assert str(caught.value) == said.format("http-answers://u:********@till.example/day.csv")
    assert isinstance(caught.value, Unreachable) == is_worth_another_try


# --- what is wrong with it -------------------------------------------------------------------


def test_values_that_are_not_of_their_type_keep_their_text(tmp_path: Path) -> None:
    columns = {**RECEIPTS["columns"], "sold_at": "strptime(sold, '%d/%m/%Y')"}
    home = project(tmp_path / "project", transactions={**RECEIPTS, "columns": columns})
    ws = workspace(tmp_path / "home", project=home)
    bad = {
        1: {"sold": "31/02/2026"},
        2: {"total": "NaN"},
        3: {"total": "1e400", "qty": "two"},
        4: {"total": ""},
        5: {"sold": "", "qty": " "},
    }
    rows = [receipt(i, **{"sold": "28/02/2026", **bad.get(i, {})}) for i in range(7)]
    report = land(ws, "till", put(tmp_path / "in", day__csv=csv_text(*rows)))
    assert [row["_cast_errors"] for row in landed(ws)] == [
        None,
        {"sold_at": "31/02/2026"},
        {"amount": "NaN"},
        {"quantity": "two", "amount": "1e400"},
        None,  # nothing is nothing, not a mistake
        None,
        None,
    ]
    assert landed(ws)[1]["sold_at"] is None
    assert (report.rows, report.unreadable_rows) == (7, 3)
    assert "rows with values that are not of their type: 3" in report.notes[0]


def test_what_an_expression_fails_on_is_named_by_the_columns_it_reads(tmp_path: Path) -> None:
    columns = {**RECEIPTS["columns"], "sold_at": "strptime(sold || ' ' || sku, '%d/%m/%Y %H:%M')"}
    home = project(tmp_path / "project", transactions={**RECEIPTS, "columns": columns})
    ws = workspace(tmp_path / "home", project=home)
    rows = [receipt(1, sold="1/3/2026", sku="10:30"), receipt(2, sold="1/3/2026", sku="noon")]
    land(ws, "till", put(tmp_path / "in", day__csv=csv_text(*rows)))
    one, two = landed(ws)
    assert (one["sold_at"], one["_cast_errors"]) == (at("2026-03-01 10:30:00"), None)
    assert (two["sold_at"], two["_cast_errors"]) == (None, {"sold_at": "1/3/2026 noon"})


def test_rows_that_cannot_be_cut_are_landed_with_their_line(tmp_path: Path) -> None:
    ws = till(tmp_path)
    good, short = ",".join(receipt(1)), ",".join(receipt(2)[:4])
    lines = [",".join(HEADER), good, short, f"{good},extra", f'"{good}', good.replace("R1", "R9")]
    report = land(ws, "till", put(tmp_path / "in", day__csv="\n".join(lines)))
    assert [row["_cast_errors"] for row in landed(ws)] == [
        None,
        {"_row": short},
        {"_row": f"{good},extra"},
        {"_row": f'"{good}'},
        None,
    ]
    assert [row["_row_number"] for row in landed(ws)] == [1, 2, 3, 4, 5]
    assert landed(ws)[1]["kind"] is None
    assert (report.rows, report.unreadable_rows) == (5, 3)


def test_invalid_utf_8_costs_the_row_it_is_in(tmp_path: Path) -> None:
    ws = till(tmp_path)
    rows = [receipt(i, card="Ελένη") for i in range(5)]
    content = csv_text(*rows).encode().replace("R3,1,Ελένη".encode(), b"R3,1,El\xffni")
    land(ws, "till", put(tmp_path / "in", day__csv=content))
    found = landed(ws)
    assert [row["card_id"] for row in found] == ["Ελένη", "Ελένη", "Ελένη", None, "Ελένη"]
    assert found[3]["_cast_errors"] == {"card_id": "El\ufffd<FF>ni"}
    assert found[3]["amount"] == 1234


BAD: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", r"empty.csv is empty \(0 bytes\); export it again"),
    "blank.csv": (b"\n\n", r"blank.csv has no header line"),
    "header.csv": (csv_text().encode(), r"header.csv names its columns and has no rows"),
    "binary.csv": (bytes(range(256)) * 9, r"binary.csv is not text but binary"),
    "cut.csv.gz": (gzip.compress(csv_text(receipt()).encode())[:-9], r"cut.csv.gz is cut short"),
    "cut.csv.zst": (zstandard.compress(csv_text(receipt()).encode())[:-3], r"is cut short"),
    "cut.parquet": (b"PAR1" + bytes(40), r"cut.parquet is not a Parquet file, or it is cut short"),
    "text.parquet": (csv_text(receipt(3)).encode(), r"text.parquet is not a Parquet file"),
    "book.csv": (b"PK\x03\x04" + bytes(99), r"book.csv is a zip or Excel file"),
    "array.jsonl": (b'[{"receipt": "R1"}]', r"array.jsonl has no JSON object on a line of its own"),
    "pretty.jsonl": (b'{\n "receipt": "R1"\n}\n', r"pretty.jsonl has no JSON object on a line"),
    "noformat": (csv_text(receipt(3)).encode(), r"noformat has no extension that says its format"),
    "letter.csv": (
        b'x,"' + b"Dear Maria,\n" * 99,
        r"it has x, Dear Maria, Dear Maria, [^\n]{,40}…\.",
    ),
    "other.csv": (
        ",".join(f"c{i}" for i in range(99)).encode() + b"\n1",
        r"has no column 'receipt' .*\), 'sku' .* and 2 more; it has c0, c1, .*, c19 and 79 more\. ",
    ),
    "headless.csv": (  # whose first line says who somebody is
        b"C1,Maria,maria@shop.example\nC2,Ivan,ivan@shop.example",
        r"and 2 more; its first line is not the names of columns \(which 'header' may give\)\. Set",
    ),
    "missing.csv": (
        csv_text([*receipt(1)[:6], "7"], header=[*HEADER[:6], "totals"]).encode(),
        r"missing.csv has no column 'total' \(for transactions.amount\); it has receipt, line, card, "
        r"sold, sku, qty, totals. Did you mean 'totals'\?",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_sentence_and_keeps_no_other_from_landing(
    tmp_path: Path, name: str
) -> None:
    ws, (content, said) = till(tmp_path), BAD[name]
    good = {"a_day.csv": csv_text(receipt(1)), "z_day.csv": csv_text(receipt(2))}
    files = put(tmp_path / "in", **good, **{name: content})
    report = land(ws, "till", files)
    assert (report.landed, len(report.refused)) == (2, 1)
    with pytest.raises(Refused, match=said):
        report.raise_if_refused()
    assert [row["transaction_id"] for row in landed(ws)] == ["R1", "R2"]
    assert leftovers(ws) == []


def test_a_parquet_file_without_rows_is_refused_unless_it_may_be_empty(tmp_path: Path) -> None:
    as_parquet(tmp_path / "day.parquet", **{name: pa.array([], pa.string()) for name in HEADER})
    report = land(till(tmp_path), "till", tmp_path / "day.parquet")
    assert report.refused == ("day.parquet names its columns and has no rows; export it again.",)
    project(tmp_path / "project", transactions={**RECEIPTS, "may_be_empty": True})
    ws = workspace(tmp_path / "home", project=tmp_path / "project")
    report = land(ws, "till", tmp_path / "day.parquet")
    assert (report.refused, report.landed, manifest(ws)) == ((), 0, [])
    assert report.notes == ("day.parquet has no rows for transactions; there was nothing to land.",)


def test_an_export_without_a_line_of_names_may_be_empty_to_the_last_byte(tmp_path: Path) -> None:
    files = put(tmp_path / "in", day__jsonl="", blank__jsonl=" \r\n\n", day__csv="", day__txt="")
    stated = {"line_id": "'1'"}
    whole = [
        entry(files="*.jsonl", may_be_empty=True),
        entry(files="*.txt", may_be_empty=True, header=[*HEADER], columns=stated),
        entry(files="*.csv", may_be_empty=True),
    ]
    home = project(tmp_path / "project", transactions=whole)
    report = land(workspace(tmp_path / "home", project=home), "till", files)
    assert report.refused == (
        "day.csv is empty (0 bytes); export it again.",
    )  # where are its names?
    said = "{} has no rows for transactions; there was nothing to land."
    assert report.notes == tuple(map(said.format, ("blank.jsonl", "day.jsonl", "day.txt")))


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    rows = [receipt(i, card=f"card {i * 7919}") for i in range(50_000)]
    content = bytearray(
        as_parquet(tmp_path / "x", **dict(zip(HEADER, zip(*rows, strict=True), strict=True)))
    )
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    ws = till(tmp_path)
    report = land(ws, "till", put(tmp_path / "in", day__parquet=bytes(content)))
    assert len(report.refused) == 1
    assert (manifest(ws), leftovers(ws)) == ([], [])


def test_an_expression_that_cannot_work_names_its_place(tmp_path: Path) -> None:
    columns = {**RECEIPTS["columns"], "amount": "no_such_function(total)"}
    home = project(tmp_path / "project", transactions={**RECEIPTS, "columns": columns})
    ws = workspace(tmp_path / "home", project=home)
    report = land(ws, "till", put(tmp_path / "in", day__csv=csv_text(receipt())))
    said = (
        "deployments/sources/till.yml: transactions.amount does not work on day.csv: Catalog Error"
    )
    assert report.refused[0].startswith(said)


@pytest.mark.parametrize(
    ("column", "bare"), [("receipt.no", "receipt.no"), ("no/date", "no/date"), ("Σ %", "Σ")]
)
def test_a_name_that_wants_quotes_is_told_so(tmp_path: Path, column: str, bare: str) -> None:
    columns = {**RECEIPTS["columns"], "transaction_id": bare}
    home = project(tmp_path / "project", transactions={**RECEIPTS, "columns": columns})
    ws = workspace(tmp_path / "home", project=home)
    text = csv_text(receipt(), header=[column, *HEADER[1:]])
    (said,) = land(ws, "till", put(tmp_path / "in", day__csv=text)).refused
    assert f"Write '\"{column}\"' for the column." in said


def test_many_files_with_one_fault_are_not_told_one_by_one(tmp_path: Path) -> None:
    ws = till(tmp_path)
    put(
        tmp_path / "in",
        **{f"day_{number}__csv": csv_text(["x"], header=["y"]) for number in range(30)},
    )
    report = land(ws, "till", tmp_path / "in")
    assert len(report.refused) == 30
    with pytest.raises(Refused, match=r"day_9.csv has [^\n]*\n *and 20 more; --json lists all\.$"):
        report.raise_if_refused()


# --- the mappings that are committed ---------------------------------------------------------


def test_the_complete_journey_is_landed(ws: Workspace, tmp_path: Path) -> None:
    head = (
        "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,"
        "coupon_match_disc,week,transaction_timestamp\n"
    )
    files = put(
        tmp_path / "in",
        transactions_sample__csv__gz=gzip.compress(
            f"{head}2261,309,316,940996,1,3.86,0.43,0.5,0.25,5,2017-01-28 19:06:53\n"
            "2131,368,317,873902,0,0.00,0.00,0.00,0.00,10,2017-07-01 03:31:57\n".encode()
        ),
        products__csv="product_id,manufacturer_id,department,brand,product_category,product_type,"
        "package_size\n25671,2,GROCERY,National,FRZN ICE,ICE - CRUSHED/CUBED,22 LB\n26081,2,MISC,"
        "National,,,\n",
        demographics__csv="household_id,age,income,home_ownership,marital_status,household_size,"
        "household_comp,kids_count\n2261,65+,35-49K,Homeowner,Married,2,2 Adults No Kids,0\n",
        coupons__csv="coupon_upc\n1\n",
    )
    report = land(ws, "complete_journey", files)
    assert report.feeds == {"customers": 1, "products": 2, "transactions": 2}
    assert report.ignored == ("coupons.csv",)
    one, two = landed(ws)
    assert (one["sold_at"], one["amount"], one["discount"], one["currency"]) == (
        at("2017-01-29 00:06:53"),  # New York in winter
        386,
        68,
        "USD",
    )
    assert (two["sold_at"], two["quantity"]) == (at("2017-07-01 07:31:57"), 0)
    assert [row["name"] for row in landed(ws, "products")] == ["ICE - CRUSHED/CUBED", "MISC"]


INVOICES: dict[str, list[Any]] = {
    "Invoice": ["489434", "489434", "C489449", "489463", "A506401", "489500"],
    "StockCode": ["85048", "22041", "22087 ", "71477", "B", "85048"],
    "Description": ["BALLS", "FRAME", "PAPER", "short", "Adjust bad debt", None],
    "Quantity": [12, 48, -12, -240, 1, 1],
    "InvoiceDate": ["2009-12-01 07:45:00"] * 5 + ["2010-07-01 07:45:00"],
    "Price": [6.95, 2.1, 2.95, 0.0, -53594.36, 0.125],
    "Customer ID": [13085.0, 13085.0, 16321.0, None, None, None],
    "Country": ["United Kingdom"] * 6,
}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_online_retail_is_landed(ws: Workspace, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"online_retail_ii.{kind}"
    as_parquet(tmp_path / "x.parquet", **INVOICES)
    duckdb.execute(f"copy (from '{tmp_path}/x.parquet') to '{path}'")
    assert land(ws, "online_retail", path).feeds == {"transactions": 6, "products": 5}
    rows = landed(ws)
    assert [(r["transaction_id"], r["line_id"], r["card_id"]) for r in rows] == [
        ("489434", "1", "13085"),
        ("489434", "2", "13085"),
        ("C489449", "1", "16321"),
        ("489463", "1", None),
        ("A506401", "1", None),
        ("489500", "1", None),
    ]
    assert [(r["kind"], r["quantity"], r["amount"]) for r in rows] == [
        ("sale", 12, 8340),
        ("sale", 48, 10080),
        ("return", -12, -3540),
        ("return", -240, 0),
        ("sale", 1, -5359436),  # a bad debt: for the sign rule to find
        ("sale", 1, 13),  # half away from zero
    ]
    assert [r["sold_at"].hour for r in rows] == [7, 7, 7, 7, 7, 6]
    names = {r["product_id"]: r["name"] for r in landed(ws, "products")}
    assert (names["85048"], names["22087"]) == ("BALLS", "PAPER")


def test_the_engine_lands_its_own_rows(ws: Workspace) -> None:
    assert land_engine_flow.fn(as_of="2026-03-31", home=str(ws.home.root))["landed"] == 0
    columns = {column: ["x"] for column in FEEDS["messages"].columns}
    instant = pa.array([at("2026-03-30 09:00:00")], pa.timestamp("us"))
    columns |= {"send_at": instant, "state_at": instant, "business_date": [date(2026, 3, 30)]}
    (ws.home.engine / "messages").mkdir(parents=True)
    as_parquet(ws.home.engine / "messages" / "2026-03-30.parquet", **columns)
    done = land_engine_flow.fn(as_of="2026-03-31", home=str(ws.home.root))
    assert (done["source"], done["feeds"]) == ("engine", {"messages": 1})
    (row,) = landed(ws, "messages")
    assert (row["send_at"], row["business_date"]) == (at("2026-03-30 09:00:00"), date(2026, 3, 30))


# --- the command -----------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tessera", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_the_command_prints_one_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TESSERA_PROJECT", str(project(tmp_path / "project")))
    files = put(tmp_path / "in", day__csv=csv_text(receipt()))
    home = tmp_path / "home"
    assert run(monkeypatch, "land", "till", files, "--home", home, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["landed"], printed["feeds"]) == (1, {"transactions": 1})
    assert run(monkeypatch, "land", "till", files, "--home", home) == 0
    assert "0 files landed, 1 there already" in capsys.readouterr().out


FAILING = [
    ("till", {"day.csv": ""}, 4, "day.csv is empty (0 bytes); export it again."),
    ("til", {}, 3, "There is no source 'til' in deployments/sources/. Did you mean 'till'?"),
    ("till", {}, 3, "No file at "),
]


@pytest.mark.parametrize("case", FAILING)
def test_the_command_fails_with_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, dict[str, str], int, str],
) -> None:
    source, files, code, said = case
    monkeypatch.setenv("TESSERA_PROJECT", str(project(tmp_path / "project")))
    folder = put(tmp_path / "in", **files)
    assert run(monkeypatch, "land", source, folder, "--home", tmp_path / "home") == code
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_the_report_is_plain_data(tmp_path: Path) -> None:
    report = land(till(tmp_path), "till", put(tmp_path / "in", day__csv=csv_text(receipt())))
    assert json.loads(json.dumps(dataclasses.asdict(report)))["rows"] == 1
