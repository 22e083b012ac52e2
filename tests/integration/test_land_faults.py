"""Whatever happens while files are landed, nothing is lost and nothing is half-done."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.validate import judge
from tessera.errors import BadInput
from tessera.land import land, spool
from tessera.land.erased import Keyring
from tessera.land.files import Unreachable
from tessera.settings import CHECKOUT
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.landing import (
    HEADER,
    RECEIPTS,
    csv_text,
    landed,
    leftovers,
    manifest,
    project,
    put,
    receipt,
    till,
)

# A process that lands and is killed, with no chance to tidy up, at the moment named.
MOMENTS = {
    "while it copies": "spool._chunks = lambda file: (die() for _ in 'x')",
    "after it converted": "convert.write = lambda *a, w=convert.write: (w(*a), die())",
    "after the row is written": "manifest.path = lambda *a: die()",
    "after the file is moved": "Path.replace = lambda *a, r=Path.replace: (r(*a), die())",
}
LAND = """
import os, signal, sys
from pathlib import Path
from tessera.land import convert, land, manifest, spool
from tessera.testing import workspace
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
home, project, files = map(Path, sys.argv[1:])
{moment}
land(workspace(home, project=project), "till", files)
"""


def start(
    tmp_path: Path, files: Path, moment: str = "", **options: object
) -> subprocess.Popen[str]:
    folders = [tmp_path / "home", project(tmp_path / "project"), files]
    return subprocess.Popen(
        [sys.executable, "-c", LAND.format(moment=moment), *map(str, folders)],
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_landing_killed_at_any_moment_is_made_good_by_the_next(
    tmp_path: Path, moment: str
) -> None:
    files = put(tmp_path / "in", day__csv=csv_text(receipt(1), receipt(2)))
    killed = start(tmp_path, files, MOMENTS[moment])
    assert killed.wait(60) == -signal.SIGKILL, killed.communicate()[1]
    ws = till(tmp_path)
    assert manifest(ws) == []
    assert leftovers(ws) != []
    assert land(ws, "till", files).landed == 1
    assert [row["transaction_id"] for row in landed(ws)] == ["R1", "R2"]
    assert leftovers(ws) == []


def test_landings_killed_at_random_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    names = {
        f"day_{i}.csv": csv_text(*(receipt(j, line=str(i)) for j in range(99))) for i in range(9)
    }
    files = put(tmp_path / "in", **names)
    for after in (0.9, 1.2, 1.6):
        killed = start(tmp_path, files)
        time.sleep(after)
        killed.kill()
        killed.communicate()
    ws = till(tmp_path)
    land(ws, "till", files)
    assert len({(row["transaction_id"], row["line_id"]) for row in landed(ws)}) == 9 * 99
    assert len(landed(ws)) == 9 * 99
    assert len(manifest(ws)) == 9
    assert leftovers(ws) == []


def test_two_processes_land_the_same_files_once(tmp_path: Path) -> None:
    files = put(tmp_path / "in", **{f"day_{i}.csv": csv_text(receipt(i)) for i in range(12)})
    till(tmp_path).store.close()
    both = [start(tmp_path, files) for _ in range(2)]
    assert [(one.communicate()[1], one.returncode) for one in both] == [("", 0), ("", 0)]
    ws = till(tmp_path)
    assert sorted(row["transaction_id"] for row in landed(ws)) == sorted(f"R{i}" for i in range(12))
    assert len(manifest(ws)) == 12
    assert leftovers(ws) == []


def test_a_landing_that_ends_while_another_looks_for_leftovers_is_none(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found_and_gone(folder: Path, pattern: str) -> list[Path]:
        found = list(glob(folder, pattern))
        shutil.rmtree(ws.home.landing / ".spool" / "ending", ignore_errors=True)
        return found

    ending = ws.home.landing / ".spool" / "ending" / "lock"
    ending.parent.mkdir(parents=True)
    ending.touch()
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", found_and_gone)
    with spool.spool(ws) as folder:
        assert [*folder.parent.iterdir()] == [folder]


def test_an_empty_store_beside_a_home_that_has_landed_is_refused_and_nothing_is_swept(
    tmp_path: Path,
) -> None:
    """A slip in TESSERA_STORE_URL, or a copy without the store's -wal file, would have landed all that there
    is removed, and everybody written to again."""
    ws = till(tmp_path)
    land(ws, "till", put(tmp_path / "in", day__csv=csv_text(receipt())))
    judge(ws)
    another = till(tmp_path, store_url=f"sqlite:///{tmp_path}/another.sqlite")
    for stage in (judge, lambda ws: land(ws, "till", tmp_path / "in")):
        with pytest.raises(BadInput, match="it is not the store of this home, or an older one"):
            stage(another)
    assert len(landed(ws)) == 1
    shutil.rmtree(ws.home.validated)  # as the sentence says
    again = land(another, "till", tmp_path / "in")
    assert (again.landed, judge(another).rows_good) == (1, 1)


@BOTH_STORES
@pytest.mark.parametrize("damage", ["lost", "cut short"])
def test_landed_files_that_went_away_come_back_when_they_are_landed_again(
    tmp_path: Path, store_url: str, damage: str
) -> None:
    """A disk that was lost, and no copy of it: the shop has its exports still, and the store its numbers."""
    ws = till(tmp_path, store_url=store_url)
    project(ws.project, transactions={**RECEIPTS, "whole": True})
    monday, sunday = csv_text(receipt(1), receipt(2, sold="never")), csv_text(receipt(3))
    for content in (monday, sunday, monday):  # the third is the first once more
        land(ws, "till", put(tmp_path / "files", till__csv=content))
    judge(ws)
    before = landed(ws), manifest(ws)
    for path in ws.home.landing.glob("*/*/rows.parquet"):
        path.unlink() if damage == "lost" else path.write_bytes(path.read_bytes()[:-9])
    shutil.rmtree(ws.home.validated)
    shutil.rmtree(ws.home.quarantine)
    for content, times in ((monday, 2), (sunday, 1)):
        for _ in range(times):
            assert land(ws, "till", put(tmp_path / "files", till__csv=content)).landed == 1
    judge(ws)
    assert landed(ws) == before[0]
    assert [without_reason(row) for row in manifest(ws)] == [
        without_reason(row) for row in before[1]
    ]
    assert land(ws, "till", tmp_path / "files").landed == 1, (
        "the last was another, so it counts anew"
    )


def test_what_a_lost_file_would_be_now_is_held_against_what_it_was(tmp_path: Path) -> None:
    ws = till(tmp_path)
    files = put(tmp_path / "files", till__csv=csv_text(receipt(1), receipt(2)))
    land(ws, "till", files)
    next(ws.home.landing.glob("*/*/rows.parquet")).unlink()
    project(ws.project, transactions={**RECEIPTS, "where": "receipt = 'R1'"})
    (said,) = land(ws, "till", files).refused
    assert said.startswith(
        "till.csv was landed before and is lost here. It had 2 rows then and has 1 by"
    )
    assert landed(ws) == []


def test_a_lost_file_does_not_bring_back_who_was_erased_since(tmp_path: Path) -> None:
    ws = till(tmp_path)
    project(
        ws.project, cards={"files": "*", "columns": {"card_id": "card", "customer_id": "owner"}}
    )
    header = ["card", "owner"]
    files = put(tmp_path / "files", till__csv=csv_text(["K1", "ann"], ["K2", "bob"], header=header))
    land(ws, "till", files)
    judge(ws)
    for folder in (ws.home.landing / "cards", ws.home.validated):
        shutil.rmtree(folder)
    with ws.store.write() as store:
        Keyring.of(ws).add(store, [("card", "K1")])
    land(ws, "till", files)
    judge(ws)
    assert [row["card_id"] for row in landed(ws, "cards")] == ["K2"]
    (row,) = manifest(ws)
    assert (row["rows"], row["good_rows"], row["verdict"]) == (1, 1, "accepted")


def without_reason(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "verdict_reason"}


def test_what_was_killed_while_it_removed_its_folder_is_removed_by_the_next(ws: Workspace) -> None:
    """Its lock may be gone before the rest."""
    left = ws.home.landing / ".spool" / "left" / "copy"
    left.parent.mkdir(parents=True)
    left.touch()
    with spool.spool(ws) as folder:
        assert [*folder.parent.iterdir()] == [folder]


COMMAND = "from tessera.cli import main; main()"


def small_files_only(size: int) -> None:
    """What a full disk looks like to one process: a write past `size` bytes fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("where", ["while it copies", "while it converts"])
def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(tmp_path: Path, where: str) -> None:
    home = project(
        tmp_path / "project",
        transactions={
            **RECEIPTS,
            "columns": {**RECEIPTS["columns"], "store_id": "md5(card)", "coupon_code": "md5(sku)"},
        },
    )
    first = put(tmp_path / "in", day__csv=csv_text(receipt()))
    ws = workspace(tmp_path / "home", project=home)
    land(ws, "till", first)
    if where == "while it copies":
        big = put(tmp_path / "big", day__csv=csv_text(*(receipt(i) for i in range(60_000))))
    else:  # it packs well, and its md5 do not
        rows = list(
            zip(*(receipt(i, card=str(i), sku=str(-i)) for i in range(60_000)), strict=True)
        )
        big = put(tmp_path / "big")
        table = pa.table(dict(zip(HEADER, rows, strict=True)))
        pq.write_table(table, big / "day.parquet", compression="brotli")
        assert (big / "day.parquet").stat().st_size < 1_000_000
    full = subprocess.run(
        [sys.executable, "-c", COMMAND, "land", "till", str(big), "--home", str(ws.home.root)],
        cwd=CHECKOUT,
        env={**os.environ, "TESSERA_PROJECT": str(home), "TESSERA_THREADS": "1"},
        preexec_fn=lambda: small_files_only(1_500_000),
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 6, full.stderr
    assert (
        full.stderr == "error: The disk is full; free some space and run the same command again.\n"
    )
    assert [row["transaction_id"] for row in landed(ws)] == ["R1"]
    land(ws, "till", big)
    assert len(landed(ws)) == 60_001
    assert leftovers(ws) == []


def test_a_file_that_changes_while_it_is_read_is_refused_until_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "CHUNK", 1 << 14)  # so that the other thread has its turn meanwhile
    ws = till(tmp_path)
    files = put(tmp_path / "in", day__csv=csv_text(*(receipt(i) for i in range(200_000))))
    done = threading.Event()

    def export() -> None:
        with (files / "day.csv").open("a") as file:
            while not done.is_set():
                file.write(",".join(receipt(7)) + "\n")
                file.flush()

    exporting = threading.Thread(target=export)
    exporting.start()
    try:
        report = land(ws, "till", files)
    finally:
        done.set()
        exporting.join()
    assert report.refused == (
        "day.csv changed while it was being read; land it again when its export is finished.",
    )
    assert manifest(ws) == []
    assert land(ws, "till", files).landed == 1


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("day.csv", "", ""),
        ("day.csv", csv_text(receipt(2)), ""),  # at its end DuckDB passes over it in silence
        ("day.csv", csv_text(receipt(2)), "\n" + csv_text(receipt(3))),
        ("day.jsonl", '{"receipt": "R2"}\n', ""),
    ],
)
def test_a_line_of_a_hundred_megabytes_is_a_sentence(
    tmp_path: Path, name: str, before: str, after: str
) -> None:
    ws = till(tmp_path)
    long = before.encode() + b"x" * 100_000_000 + after.encode()
    files = put(tmp_path / "in", good__csv=csv_text(receipt()), **{name: long})
    report = land(ws, "till", files)
    number = before.count("\n") + 1
    assert report.refused == (
        f"{name} has a line longer than 8 MB (line {number}); export it with one record per line.",
    )
    assert (report.landed, leftovers(ws)) == (1, [])


def test_a_line_that_grows_too_long_by_what_is_shown_of_its_damage_is_a_sentence(
    tmp_path: Path,
) -> None:
    ws = till(tmp_path)
    long = csv_text(*(receipt(i) for i in range(2_000))).encode() + b"\xff" * 6_000_000
    files = put(tmp_path / "in", day__csv=long)
    assert "a line longer than 8 MB (line 2002)" in land(ws, "till", files).refused[0]


@contextmanager
def nobody() -> Iterator[Path]:
    """A folder of somebody who is not root: root may read everything."""
    folder = Path(tempfile.mkdtemp(prefix="tessera-"))
    folder.chmod(0o777)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(folder)


def test_a_file_or_folder_without_permission_is_named(tmp_path: Path) -> None:
    land(till(tmp_path), "till", put(tmp_path / "in", day__csv=csv_text(receipt())))  # all imported
    with nobody() as folder:
        files = put(folder / "in", good__csv=csv_text(receipt()), secret__csv="x")
        put(files / "closed", day__csv=csv_text(receipt(2)))
        (files / "secret.csv").chmod(0)
        (files / "closed").chmod(0)
        ws = till(folder)
        report = land(ws, "till", files)
        (files / "closed").chmod(0o700)
        assert (report.landed, len(report.refused)) == (1, 2)
        assert f"{files}/closed cannot be read: permission denied." in report.refused
        assert f"{files}/secret.csv cannot be read: permission denied." in report.refused
        ws.store.close()


def test_a_place_that_does_not_answer_is_worth_another_try(tmp_path: Path) -> None:
    from flows.land import _is_worth_another_try

    with pytest.raises(Unreachable, match=r"cannot be reached: .*; try again later") as caught:
        land(till(tmp_path), "till", "ftp://127.0.0.1:1/exports")
    assert isinstance(caught.value, Unreachable)

    class Failed:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def result(self, *, raise_on_failure: bool) -> Exception:
            assert not raise_on_failure
            return self.error

    assert _is_worth_another_try(None, None, Failed(caught.value))
    assert not _is_worth_another_try(None, None, Failed(ValueError()))
