"""One customer's decisions are found at once among everybody's, and never out of date."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tessera.decide import index
from tessera.decide.decisions import Question, find
from tessera.home import Home
from tessera.locks import alone_in

MONDAY = date(2026, 3, 2)
PEOPLE = ["ann", "bob", "Ζωή", "C'7", ""]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Decisions on two campaigns of nine days: a whole week and two days of the next."""
    found = Home(tmp_path)
    for number in range(9):
        for campaign in ("hello", "weekly"):
            write(found, MONDAY + timedelta(number), campaign)
    return found


def write(home: Home, day: date, campaign: str, reason: str = "capped") -> None:
    rows = [
        {
            "business_date": day,
            "decided_at": datetime.combine(day, datetime.min.time()),
            "campaign": campaign,
            "step": "first",
            "customer_id": person,
            "occurrence": "1",
            "reason": reason,
            "decided_by": None,
            "send_at": None,
        }
        for person in PEOPLE
    ]
    path = home.decisions / f"date={day}" / f"{campaign}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"decided_by": pa.string(), "send_at": pa.timestamp("us")}
    table = pa.Table.from_pylist(rows)
    for name, kind in columns.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    pq.write_table(table, path)


def answers(home: Home) -> list[object]:
    return [
        find(home, Question(customer_id=person, campaign=campaign, since=since))
        for person in [*PEOPLE, "nobody"]
        for campaign, since in ((None, MONDAY + timedelta(3)), ("hello", None), ("nothing", None))
    ]


@pytest.mark.parametrize("rows", [1, 20_000])
def test_the_answers_are_the_same_with_and_without_an_index(
    home: Home, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "ROWS", rows)
    before = answers(home)
    assert len(find(home, Question(customer_id="Ζωή"))) == 18
    assert index.refresh(home, before=MONDAY + timedelta(9)) == 1
    assert answers(home) == before
    assert index.refresh(home, before=MONDAY + timedelta(9)) == 0


def test_an_indexed_week_is_read_from_one_file_and_the_open_week_from_its_own(home: Home) -> None:
    index.refresh(home, before=MONDAY + timedelta(9))
    for path in home.decisions.glob("date=2026-03-0[2-8]/*"):
        state = path.stat()
        path.write_bytes(b"x" * state.st_size)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert len(find(home, Question(customer_id="ann"))) == 18


def test_a_day_decided_again_makes_its_weeks_index_void(home: Home) -> None:
    index.refresh(home, before=MONDAY + timedelta(9))
    write(home, MONDAY, "hello", reason="planned")
    asked = Question(customer_id="ann", on=MONDAY, campaign="hello")
    assert [row["reason"] for row in find(home, asked)] == ["planned"]
    assert index.refresh(home, before=MONDAY + timedelta(9)) == 1
    assert [row["reason"] for row in find(home, asked)] == ["planned"]
    assert len(list((home.decision_index / f"week={MONDAY}").iterdir())) == 1


def test_what_was_deleted_is_not_told_from_the_index(home: Home) -> None:
    index.refresh(home, before=MONDAY + timedelta(9))
    (home.decisions / f"date={MONDAY}" / "hello.parquet").unlink()
    assert find(home, Question(customer_id="ann", on=MONDAY, campaign="hello")) == []


def test_the_open_week_is_not_indexed(home: Home) -> None:
    assert index.refresh(home, before=MONDAY + timedelta(6)) == 0
    assert not list(home.decision_index.glob("week=*"))


def test_an_indexing_that_was_killed_is_done_again(home: Home) -> None:
    code = (
        "import os, sys; from pathlib import Path; from datetime import date\n"
        "from tessera.decide import index; from tessera.home import Home\n"
        "copy = index._copy\n"
        "def killed(*given, **named):\n"
        "    copy(*given, **named); os.kill(os.getpid(), 9)\n"
        "index._copy = killed\n"
        "index.refresh(Home(Path(sys.argv[1])), before=date(2026, 3, 31))\n"
    )
    words = [sys.executable, "-c", code, str(home.root)]
    assert subprocess.run(words, check=False).returncode == -9
    before = answers(home)
    assert index.refresh(home, before=MONDAY + timedelta(9)) == 1
    assert answers(home) == before
    assert len(list((home.decision_index / f"week={MONDAY}").iterdir())) == 1


def test_of_two_processes_one_indexes(home: Home) -> None:
    with alone_in(home.decision_index):
        assert index.refresh(home, before=MONDAY + timedelta(7)) == 0
    assert index.refresh(home, before=MONDAY + timedelta(7)) == 1
