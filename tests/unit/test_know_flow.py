"""The know stage stops no day but on a full disk."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from tessera.errors import OutOfSpace
from tessera.testing import line, publish, workspace
from tests.unit.test_know_results import ENTRY, halve, who


def told(home: Path) -> dict[str, object]:
    from flows.know import know

    return dict(know.fn(as_of="2026-03-31", home=str(home)))


def test_a_young_shop_is_skipped_with_the_reason(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home")
    publish(ws, transactions=[line("t", "c", 900)])
    found = told(ws.home.root)
    assert found["customers"] == 0
    assert "too few to learn from" in str(found["skipped"])


def test_a_fault_is_told_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("customer c000017")

    monkeypatch.setattr("flows.know.score", broken)
    assert told(tmp_path / "home")["skipped"] == "failed: ZeroDivisionError"
    assert capsys.readouterr().err == "know: ZeroDivisionError\n"


def test_a_fault_in_judging_campaigns_is_told_without_its_words_and_stops_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.report import judge

    def broken(*_: object) -> None:
        raise ZeroDivisionError("customer c000017")

    ws = workspace(tmp_path / "home")
    judge(ws)  # nothing is published yet, which is no fault
    publish(ws, transactions=[line("t", "c", 900)])
    monkeypatch.setattr("tessera.know.results.results", broken)
    judge(ws)
    assert capsys.readouterr().err == "results: ZeroDivisionError\n"


def test_campaigns_are_judged_once_for_a_day_and_its_marts_with_what_points_cost(
    tmp_path: Path,
) -> None:
    from flows.report import judge

    ws = workspace(tmp_path / "home")
    people = [who(i) for i in range(80)]
    lines = [line(f"t{one}", one, 1000, sold_at=f"{ENTRY} 12:00:00") for one in people]
    points = [{"customer_id": people[0], "given_on": ENTRY, "points": 40}]
    publish(ws, transactions=lines, customer_points=points)
    halve(ws, people)
    judge(ws)
    path = ws.home.results / "results.json"
    (one,) = json.loads(path.read_text())["campaigns"]
    assert (
        one["first"]["measures"][-1]["treated"] == 999
    )  # 40 points pay 0.40, one of forty has them
    path.write_text(marked := f"{path.read_text()}\n")
    judge(ws)
    assert path.read_text() == marked
    judge(workspace(tmp_path / "home", "2026-04-01"))
    assert path.read_text() != marked


def test_a_damaged_file_of_decisions_stops_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.report import put_in_order

    ws = workspace(tmp_path / "home")  # as of 2026-03-31
    damaged = ws.home.decisions / "date=2026-03-02/hello.parquet"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"PAR1")
    put_in_order(ws)
    assert capsys.readouterr().err == "decisions: InvalidInputException\n"


def test_a_full_disk_ends_the_day_before_anything_is_decided_by_yesterdays_scores(
    tmp_path: Path,
) -> None:
    """No file may grow over 100 bytes, and what is learned needs more."""
    from flows.report import judge

    ws = workspace(tmp_path / "home")
    publish(ws, transactions=[line("t", "c", 900)])
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, usual[1]))
    try:
        with pytest.raises(OutOfSpace):
            told(ws.home.root)
        with pytest.raises(
            OSError, match="File too large"
        ):  # a report goes on without on other faults
            judge(ws)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
