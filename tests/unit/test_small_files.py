"""A hundred stores send a small file each, each night: what that must not cost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from shutil import rmtree
from typing import Any

import duckdb
import pytest

from tessera.home import Home
from tessera.warehouse import packs
from tessera.warehouse.inputs import _files, spans
from tessera.warehouse.packs import FEED, Lines, Pack, gather
from tests.integration.model_home import line, validated


def test_new_files_are_told_by_their_bounds_however_many_there_are() -> None:
    files = range(7, 40_000, 3)  # other feeds have the numbers between
    assert spans(files, set(files)) == [(7, 39_997)]
    assert spans(files, {39_994, 39_997}) == [(39_994, 39_997)]
    late = {7, 10, 100, 39_997}  # refused at first, and allowed later
    assert spans(files, late) == [(7, 10), (100, 100), (39_997, 39_997)]
    assert spans(files, set()) == spans([], {7}) == []


def sent(home: Home, numbers: Iterable[int]) -> None:
    """A file of three lines each."""
    for number in numbers:
        validated(home, FEED, number, [line(f"T{number}-{n}", "C1") for n in range(3)])


def found(home: Home) -> tuple[Lines, list[tuple[Any, ...]]]:
    """Where the lines are, and whose number and row they have."""
    lines = gather(home, _files(home.validated / FEED))
    with duckdb.connect() as duck:
        read = [str(home.validated / FEED / f"file_id={n}/rows.parquet") for n in lines.loose]
        rows = [
            row
            for files in (read, list(map(str, lines.packs)))
            if files
            for row in duck.execute(
                f"select file_id, _row_number, transaction_id from read_parquet({files})"
            ).fetchall()
        ]
    return lines, sorted(rows)


def expected(numbers: Iterable[int]) -> list[tuple[Any, ...]]:
    return sorted((n, row, f"T{n}-{row - 1}") for n in numbers for row in (1, 2, 3))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(packs, "LOOSE", 3)
    return Home(tmp_path)


def test_many_small_files_are_put_together_and_few_are_not(home: Home) -> None:
    assert gather(home, {}) == Lines([], [])
    sent(home, range(1, 4))
    assert found(home) == (Lines([], [1, 2, 3]), expected(range(1, 4)))
    sent(home, [4])
    lines, rows = found(home)
    assert (len(lines.packs), lines.loose, rows) == (1, [], expected(range(1, 5)))
    sent(home, [9])
    assert found(home) == (Lines(lines.packs, [9]), expected([1, 2, 3, 4, 9]))


def test_packs_stay_few_and_are_seldom_written_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = packs._write

    def counted(*given: Any) -> tuple[str, Pack]:
        name, pack = write(*given)
        written.append(len(pack))
        return name, pack

    monkeypatch.setattr(packs, "_write", counted)
    sizes = {n: f"{1000 + n % 7}-0" for n in range(1, 401)}
    sent(home, [1])
    one = (home.validated / FEED / "file_id=1").rename(home.root / "one")
    for night in range(100):
        for n in range(4 * night + 1, 4 * night + 5):
            (home.validated / FEED / f"file_id={n}").symlink_to(one)
        lines = gather(home, {n: sizes[n] for n in range(1, 4 * night + 5)})
        assert (len(lines.packs) <= 8, lines.loose) == (True, [])
    assert sum(written) < 400 * 8


def test_a_pack_is_good_while_its_files_are_what_they_were(home: Home) -> None:
    sent(home, range(1, 9))
    (before,) = found(home)[0].packs
    rmtree(home.validated / FEED / "file_id=1")  # refused after all
    validated(home, FEED, 2, [line("T2-0", "C2")])  # without somebody who was erased
    again, rows = found(home)
    assert not before.exists()
    assert len(again.packs) == 1
    assert rows == [(2, 1, "T2-0"), *expected(range(3, 9))]
    again.packs[0].write_bytes(again.packs[0].read_bytes()[:-20])
    assert found(home) == (again, rows)
    rmtree(home.packs)
    assert found(home) == (again, rows)


def test_so_many_files_that_memory_would_not_do_are_put_together_by_and_by(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "AT_ONCE", 5)
    sent(home, range(1, 24))
    lines, rows = found(home)
    assert rows == expected(range(1, 24))
    assert (len(lines.packs) < 5, lines.loose) == (True, [])
    assert found(home) == (lines, rows)


def test_a_large_file_is_read_where_it_lies(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(home, range(1, 6))
    size = (home.validated / FEED / "file_id=1/rows.parquet").stat().st_size
    validated(home, FEED, 3, [line(f"A longer number {n}") for n in range(100)])
    monkeypatch.setattr(packs, "SMALL", size + 100)
    assert gather(home, _files(home.validated / FEED)).loose == [3]


@pytest.mark.parametrize("at", ["copy", "replace", "replace_text", "_sweep"])
def test_whoever_is_killed_while_packing_loses_no_line_and_counts_none_twice(
    home: Home, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    sent(home, range(1, 5))
    found(home)
    sent(home, range(5, 10))

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        if at == "copy":
            patch.setattr(packs, "literal", killed)
        else:
            patch.setattr(Path if at == "replace" else packs, at, killed)
        with pytest.raises(Killed):
            found(home)
    assert not list(home.packs.glob(".*")), "on a full disk, each trial would leave one"
    lines, rows = found(home)
    assert (len(lines.packs), lines.loose, rows) == (1, [], expected(range(1, 10)))
    assert {path.suffix for path in home.packs.iterdir()} == {".json", ".parquet"}
    assert len(list(home.packs.iterdir())) == 2
