"""Planted bad rows: each is where the list says, spoilt as it says, and nothing else is touched."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from tessera.feeds import FEEDS
from tessera.shop import Made, make_shop
from tessera.shop.defects import Defect, catalogue

SHARE = 0.04
Rows = dict[str, list[dict[str, str]]]


def rows(folder: Path) -> Rows:
    """The rows of every landing file of CSV, by file name."""
    return {path.name: read(path) for path in sorted(folder.glob("*.csv"))}


def read(path: Path, delimiter: str = ";") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Made]:
    """The same shop twice: as it is, and with bad rows."""
    folder = tmp_path_factory.mktemp("shops")
    make_shop(folder / "good", customers=1_500, days=65, seed=3)
    made = make_shop(folder / "bad", customers=1_500, days=65, seed=3, defect_share=SHARE)
    return folder / "good", folder / "bad", made


@pytest.fixture(scope="module")
def good(shops: tuple[Path, Path, Made]) -> Rows:
    return rows(shops[0])


@pytest.fixture(scope="module")
def bad(shops: tuple[Path, Path, Made]) -> Rows:
    return rows(shops[1])


@pytest.fixture(scope="module")
def planted(shops: tuple[Path, Path, Made]) -> list[dict[str, str]]:
    return read(shops[1] / "truth" / "defects.csv", ",")


def defect_of(row: dict[str, str]) -> Defect:
    [found] = [
        d
        for d in catalogue()
        if (d.feed, d.column, d.rule, d.kind)
        == (row["feed"], row["column"], row["rule"], row["kind"])
    ]
    return found


def test_the_share_is_kept_in_every_file(good: Rows, planted: list[dict[str, str]]) -> None:
    counted = Counter(row["file"] for row in planted)
    assert counted == {f: int(len(r) * SHARE) for f, r in good.items() if int(len(r) * SHARE)}


def test_the_list_is_counted(shops: tuple[Path, Path, Made], planted: list[dict[str, str]]) -> None:
    assert shops[2].defects == len(planted) > 500
    places = [(row["file"], row["row_number"]) for row in planted]
    assert len(set(places)) == len(places)


def test_every_listed_row_is_spoilt_in_one_field_only(
    good: Rows, bad: Rows, planted: list[dict[str, str]]
) -> None:
    for row in planted:
        place, defect = int(row["row_number"]) - 1, defect_of(row)
        if row["rule"] == "duplicate_key":
            continue
        before, after = good[row["file"]][place], bad[row["file"]][place]
        changed = [field for field in before if before[field] != after[field]]
        assert changed == [defect.field], row
        assert after[defect.field] == row["value"], row


def test_a_second_row_stands_at_the_end_and_its_first_is_good(
    good: Rows, bad: Rows, planted: list[dict[str, str]]
) -> None:
    seconds = [row for row in planted if row["rule"] == "duplicate_key"]
    spoilt = {(row["file"], int(row["row_number"]) - 1) for row in planted}
    for row in seconds:
        place, file = int(row["row_number"]) - 1, row["file"]
        assert place >= len(good[file])
        first = good[file].index(bad[file][place])
        assert (file, first) not in spoilt
        key = defect_of(row).field.split()
        assert "|".join(bad[file][place][field] for field in key) == row["key"]
    assert len({row["file"] for row in seconds}) > 5


def test_all_other_rows_are_as_good_as_ever(
    good: Rows, bad: Rows, planted: list[dict[str, str]]
) -> None:
    spoilt = {(row["file"], int(row["row_number"]) - 1) for row in planted}
    assert list(good) == list(bad)
    for file, before in good.items():
        for place, row in enumerate(bad[file]):
            if (file, place) not in spoilt:
                assert row == before[place]


def test_every_kind_is_planted_where_there_are_rows_enough(
    good: Rows, planted: list[dict[str, str]]
) -> None:
    for feed in ("transactions", "customers", "cards", "consents", "interactions", "products"):
        kinds = {(d.column, d.rule, d.kind) for d in catalogue() if d.feed == feed}
        found = {(r["column"], r["rule"], r["kind"]) for r in planted if r["feed"] == feed}
        assert found == kinds, feed


def test_parquet_has_the_same_bad_rows(tmp_path: Path) -> None:
    for file_format in ("csv", "parquet"):
        make_shop(
            tmp_path / file_format,
            customers=200,
            days=20,
            seed=3,
            defect_share=0.05,
            file_format=file_format,  # type: ignore[arg-type]
        )
    with duckdb.connect() as db:
        for path in (tmp_path / "csv").glob("*.csv"):
            other = tmp_path / "parquet" / f"{path.stem}.parquet"
            as_csv = db.execute(f"from read_csv('{path}', delim=';', all_varchar=true)").fetchall()
            assert db.execute(f"from '{other}'").fetchall() == as_csv
    lists = [read(tmp_path / f / "truth" / "defects.csv", ",") for f in ("csv", "parquet")]
    for row in lists[1]:
        row["file"] = row["file"].replace(".parquet", ".csv")
    assert lists[0] == lists[1]


OWN = {
    *("messages", "message_events", "point_transfers", "preferences", "person_merges"),
    *("lots", "lot_moves", "point_balances", "tier_moves"),
}


def test_required_values_and_types_can_be_missing_in_every_feed() -> None:
    """Whatever a feed requires, some bad row lacks; whatever type it has, some value is not of it."""
    feeds = {defect.feed for defect in catalogue()}
    assert feeds == set(FEEDS) - OWN
    for feed in feeds:
        lacking = {d.column for d in catalogue() if (d.feed, d.rule) == (feed, "not_null")}
        assert lacking == set(FEEDS[feed].required)
        mistyped = {d.column for d in catalogue() if (d.feed, d.rule) == (feed, "type")}
        columns = FEEDS[feed].columns
        assert {columns[column] for column in mistyped} >= set(columns.values()) - {"text"}
