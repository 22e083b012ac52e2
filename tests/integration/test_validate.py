"""Files are judged whole: what is refused, what a habit is, and what a crash leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows import validate
from flows.validate import judge, raise_if_refused
from tessera.errors import BadInput, Refused
from tessera.home import Home
from tessera.land import manifest, quarantine, verdict
from tessera.land.verdict import Landed, Limits
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.landed import everything, good, land, reasons, stored


def receipts(day: str, rows: int, **columns: Any) -> list[dict[str, Any]]:
    return [
        good("transactions", n, transaction_id=f"{day}-{n}", sold_at=f"{day} 10:00:00", **columns)
        for n in range(rows)
    ]


def on(home: Path, as_of: str) -> Workspace:
    return workspace(home, as_of)


def habit(home: Path, *, rows: int = 100, days: int = 5) -> date:
    """As if a file of `rows` rows had been accepted on each of `days` days; the day after them."""
    first = date(2026, 3, 1)
    with on(home, "2026-03-01").store.write() as store:
        for n in range(days):
            day, next_day = str(first + timedelta(n)), f"{first + timedelta(n + 1)}T00:00:00+00:00"
            good_rows = quarantine.good_rows(Home(home), "transactions", n + 1)
            good_rows.parent.mkdir(parents=True, exist_ok=True)
            good_rows.write_bytes(b"PAR1PAR1")
            store.run(
                "insert into landed_file (source, feed, content_hash, name, rows, bytes, landed_at, "
                "verdict, judged_at, good_rows, bad_rows, first_date, last_date) values ('shop', "
                "'transactions', :hash, :day, :rows, 1, :at, 'accepted', :at, :rows, 0, :day, :day)",
                hash=f"{day} {rows}",
                day=day,
                rows=rows,
                at=next_day,
            )
    return first + timedelta(days)


def manifest_row(ws: Workspace, file_id: int) -> dict[str, Any]:
    with ws.store.read() as store:
        found = store.one("select * from landed_file where file_id = :id", id=file_id)
    assert found is not None
    return dict(found)


def test_an_accepted_file_says_how_many_rows_and_which_days(ws: Workspace) -> None:
    rows = [
        *receipts("2026-03-28", 30),
        *receipts("2026-03-29", 30),
        good("transactions", sold_at="1970-01-01 00:00:00"),
    ]
    file_id = land(ws, "transactions", rows)
    report = judge(ws)
    row = manifest_row(ws, file_id)
    assert (row["verdict"], row["good_rows"], row["bad_rows"]) == ("accepted", 60, 1)
    assert (row["first_date"], row["last_date"]) == ("2026-03-28", "2026-03-29")
    assert row["judged_at"] == "2026-03-31T00:00:00+00:00"
    assert (report.rows_good, report.rows_bad, report.reasons) == (60, 1, {"too_old": 1})


def test_a_clean_file_is_validated_without_being_written_again(ws: Workspace) -> None:
    file_id = land(ws, "transactions", receipts("2026-03-29", 3))
    judge(ws)
    landed = manifest.path(ws.home, "transactions", file_id)
    validated = ws.home.validated / "transactions" / f"file_id={file_id}" / "rows.parquet"
    assert landed.samefile(validated)
    assert stored(ws.home.quarantine, "transactions") == []


def test_a_clean_file_is_copied_where_files_have_one_name_only(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    land(ws, "transactions", receipts("2026-03-29", 3))
    judge(ws)
    assert len(stored(ws.home.validated, "transactions")) == 3


def test_a_file_without_rows_is_accepted_and_leaves_an_empty_file(ws: Workspace) -> None:
    file_id = land(ws, "transactions", [])
    assert judge(ws).files_accepted == 1
    assert manifest_row(ws, file_id)["good_rows"] == 0
    assert stored(ws.home.validated, "transactions") == []


REFUSED = {
    "wrong type throughout": (
        [
            good("transactions", n, quantity=None, _cast_errors={"quantity": "two"})
            for n in range(12)
        ],
        "quantity is not of type decimal in 12 of 12 values",
    ),
    "too many bad rows": (
        [*receipts("2026-03-29", 100), *receipts("2026-03-28", 21, kind="gift")],
        r"21 of 121 rows are bad, most often kind \(in_set\)",
    ),
    "too many repeated keys": (
        [*receipts("2026-03-29", 300), *receipts("2026-03-29", 25)],
        r"25 of 325 rows repeat a key \(transaction_id, line_id\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_is_refused_whole_for(case: str, ws: Workspace) -> None:
    rows, sentence = REFUSED[case]
    bad = land(ws, "transactions", rows, name="receipts.csv")
    land(ws, "stores", [good("stores")])
    report = judge(ws)
    assert (report.files_judged, report.files_refused, report.rows_refused) == (2, 1, len(rows))
    with pytest.raises(Refused, match=sentence) as refused:
        raise_if_refused(report)
    assert "receipts.csv" in str(refused.value)
    assert "tessera quarantine allow" in str(refused.value)
    assert stored(ws.home.validated, "transactions") == []
    assert stored(ws.home.quarantine, "transactions") == []
    assert len(stored(ws.home.validated, "stores")) == 1
    assert manifest_row(ws, bad)["verdict"] == "refused"
    assert quarantine.refused(ws)[0]["file"] == "receipts.csv"
    judged_again = judge(ws)
    assert judged_again.files_judged == 0


def test_a_few_bad_rows_in_a_small_file_do_not_refuse_it(ws: Workspace) -> None:
    """Shares mean nothing among twenty rows: each of them waits in quarantine instead."""
    land(ws, "transactions", receipts("2026-03-29", 20, kind="gift"))
    report = judge(ws)
    assert (report.files_refused, report.rows_bad) == (0, 20)


def test_a_refused_file_that_is_allowed_is_judged_row_by_row(ws: Workspace) -> None:
    rows, _ = REFUSED["too many bad rows"]
    file_id = land(ws, "transactions", rows)
    assert judge(ws).files_refused == 1
    verdict.allow(ws, file_id)
    report = judge(ws)
    assert (report.files_accepted, report.rows_good, report.rows_bad) == (1, 100, 21)
    with pytest.raises(BadInput, match="was not refused: it is accepted"):
        verdict.allow(ws, file_id)
    with pytest.raises(BadInput, match="There is no file 99"):
        verdict.allow(ws, 99)


def weighed(ws: Workspace, limits: Limits | None = None, bad: str = "false") -> list[str]:
    """The objections to the first file that waits, its rows where `bad` being bad."""
    batch = verdict.batches(verdict.pending(ws))[0]
    with duckdb.connect() as db:
        verdict.show(db, ws.home, batch)
        query = f"select * from landed where {bad}"
        found = len(db.execute(query).fetchall())
        verdict.add_reasons(db, query, rule="in_set", column="kind", expected=found)
        verdict.settle_reasons(db)
        return list(verdict.weigh(ws, db, batch, limits or Limits())[0].against)


def test_a_suite_may_have_its_own_limits(ws: Workspace) -> None:
    land(ws, "transactions", receipts("2026-03-29", 100))
    assert weighed(ws, Limits(), bad="true") != []
    assert weighed(ws, Limits(bad_share=1.0), bad="true") == []


@pytest.mark.parametrize(
    ("rows", "is_refused"), [(9, True), (10, False), (1000, False), (1001, True)]
)
def test_a_file_ten_times_off_the_usual_volume_is_refused(
    rows: int, is_refused: bool, ws: Workspace
) -> None:
    today = habit(ws.home.root)
    land(ws, "transactions", receipts(str(today), rows))
    said = [f"it has {rows:,} rows, where 100 are usual"]
    assert weighed(ws) == (said if is_refused else [])
    assert weighed(ws, Limits(usual_volume=None)) == []


def test_many_days_in_one_file_are_not_an_unusual_volume(ws: Workspace) -> None:
    today = habit(ws.home.root)
    days = [str(today + timedelta(n)) for n in range(15)]
    land(ws, "transactions", [row for day in days for row in receipts(day, 100)])
    assert weighed(ws) == []


def test_four_files_are_no_habit(ws: Workspace) -> None:
    today = habit(ws.home.root, days=4)
    land(ws, "transactions", receipts(str(today), 1))
    assert weighed(ws) == []


def test_files_landed_together_are_no_habit_to_one_another(ws: Workspace) -> None:
    """A first load in parts, the last of them small, is not measured against itself."""
    for rows in (100, 100, 100, 100, 100, 100, 1):
        land(ws, "transactions", receipts("2026-03-29", rows))
    assert judge(ws).files_refused == 0


def test_a_size_that_was_seen_before_is_usual(ws: Workspace) -> None:
    """A small branch among large ones sends small files every day."""
    habit(ws.home.root, rows=2, days=1)
    today = habit(ws.home.root, days=8)
    land(ws, "transactions", receipts(str(today), 2))
    assert weighed(ws) == []


@pytest.mark.parametrize(
    ("day", "is_refused"), [("2019-03-01", True), ("2025-10-01", False), ("2026-03-30", False)]
)
def test_a_file_whose_dates_are_far_from_all_seen_is_refused(
    day: str, is_refused: bool, ws: Workspace
) -> None:
    habit(ws.home.root)
    land(ws, "transactions", receipts(day, 100))
    said = [f"its dates lie about {day}, where 2026-03-01 to 2026-03-05 are usual"]
    assert weighed(ws) == (said if is_refused else [])
    assert weighed(ws, Limits(usual_days=None)) == []


def test_one_receipt_of_long_ago_does_not_date_a_file(ws: Workspace) -> None:
    habit(ws.home.root)
    land(ws, "transactions", [*receipts("2026-03-06", 99), *receipts("2019-03-06", 1)])
    assert weighed(ws) == []


def test_a_backfill_is_welcome_while_there_is_no_habit(ws: Workspace) -> None:
    habit(ws.home.root, days=4)
    land(ws, "transactions", receipts("2016-03-29", 5000))
    assert weighed(ws) == []


def test_a_file_off_the_habit_is_refused_by_the_judge(ws: Workspace) -> None:
    habit(ws.home.root)
    land(ws, "transactions", receipts("2019-03-29", 5000))
    report = judge(ws)
    assert report.files_refused == 1
    assert "5,000 rows" in report.refusals[0]
    assert "2019-03-29" in report.refusals[0]


def test_files_of_one_landing_are_judged_together_but_each_for_itself(ws: Workspace) -> None:
    """A key may come again in another file: then the later file wins, and nothing is bad."""
    ids = [land(ws, "transactions", receipts("2026-03-29", 30)) for _ in range(3)]
    spoilt = land(ws, "transactions", [*receipts("2026-03-29", 30), *receipts("2026-03-29", 1)])
    refused = land(ws, "transactions", receipts("2026-03-29", 30, kind="gift"))
    assert len(verdict.batches(verdict.pending(ws))) == 1
    report = judge(ws)
    assert (report.files_accepted, report.files_refused) == (4, 1)
    counts = {row: manifest_row(ws, row)["good_rows"] for row in [*ids, spoilt, refused]}
    assert counts == {**dict.fromkeys(ids, 30), spoilt: 30, refused: 0}
    assert {row["file_id"] for row in stored(ws.home.validated, "transactions")} == {*ids, spoilt}
    assert reasons(ws, "transactions") == {31: {("transaction_id", "duplicate_key")}}


def test_big_landings_are_judged_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "ROWS_AT_ONCE", 250)
    monkeypatch.setattr(verdict, "FILES_AT_ONCE", 4)
    files = [Landed(n, "s", "cards", "f", 100, "t", "h", None) for n in range(10)]
    portions = [[file.file_id for file in batch.files] for batch in verdict.batches(files)]
    assert [file_id for portion in portions for file_id in portion] == list(range(10))
    assert all(len(portion) <= 4 for portion in portions)


def test_judging_again_changes_nothing(ws: Workspace) -> None:
    land(ws, "transactions", [*receipts("2026-03-29", 30), good("transactions", kind="gift")])
    judge(ws)
    before = list(everything(ws.home.root))
    assert judge(ws).files_judged == 0
    assert list(everything(ws.home.root)) == before


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize("damage", ["lost", "cut short"])
def test_a_validated_file_that_went_away_is_made_again_from_what_was_landed(
    ws: Workspace, bad: int, damage: str
) -> None:
    """Else the models would miss its rows without a word, and write to people by what is left."""
    wrong = [good("transactions", kind="gift")] * bad
    file_id = land(ws, "transactions", [*receipts("2026-03-29", 30), *wrong])
    judge(ws)
    before = stored(ws.home.validated, "transactions")
    path = quarantine.good_rows(ws.home, "transactions", file_id)
    cut = path.read_bytes()[:-20]
    path.unlink()
    if damage == "cut short":
        path.write_bytes(cut)
    judge(ws)
    assert stored(ws.home.validated, "transactions") == before
    assert len(before) == 30


def test_where_nobody_can_tell_which_rows_were_bad_they_are_judged_again(ws: Workspace) -> None:
    wrong = good("transactions", kind="gift")
    file_id = land(ws, "transactions", [*receipts("2026-03-29", 30), wrong])
    judge(ws)
    before, row = list(everything(ws.home.root)), manifest_row(ws, file_id)
    quarantine.good_rows(ws.home, "transactions", file_id).unlink()
    quarantine.bad_rows(ws.home, "transactions", file_id).unlink()
    assert judge(ws).files_judged == 1
    assert list(everything(ws.home.root)) == before
    assert manifest_row(ws, file_id) == {**row, "verdict_reason": "allowed"}


@pytest.mark.parametrize("is_judged", [True, False])
def test_a_landed_file_that_nothing_can_bring_back_ends_the_day(
    ws: Workspace, is_judged: bool
) -> None:
    file_id = land(ws, "transactions", receipts("2026-03-29", 30), name="march.csv")
    if is_judged:
        judge(ws)
        quarantine.good_rows(ws.home, "transactions", file_id).unlink()
    manifest.path(ws.home, "transactions", file_id).unlink()
    with pytest.raises(BadInput, match=r"land 'march\.csv' again, or bring .* back from a backup"):
        judge(ws)


def test_of_the_engine_s_own_files_those_that_went_away_are_forgotten(ws: Workspace) -> None:
    """Their days were exported anew by then, without what has changed on a later day."""
    lost, exported = (
        land(ws, "consents", [good("consents", n)], source="engine", name=f"consents/{n}.parquet")
        for n in (1, 2)
    )
    judge(ws)
    quarantine.good_rows(ws.home, "consents", lost).unlink()
    manifest.path(ws.home, "consents", lost).unlink()
    assert judge(ws).files_judged == 0
    assert [row["file_id"] for row in stored(ws.home.validated, "consents")] == [exported]
    with ws.store.read() as store:
        assert store.scalar("select count(*) from landed_file") == 1


def test_a_judge_killed_before_its_verdict_is_done_over(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows may lie there already; the second judge writes the same ones over them."""
    file_id = land(
        ws, "transactions", [*receipts("2026-03-29", 30), good("transactions", kind="x")]
    )
    left = ws.home.validated / "transactions" / f"file_id={file_id}" / "rows.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verdict, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        judge(ws)
    assert manifest_row(ws, file_id)["verdict"] is None
    interrupted = list(everything(ws.home.root))
    monkeypatch.undo()
    assert judge(ws).rows_good == 30
    assert list(everything(ws.home.root)) == interrupted
    assert not left.exists()


def test_what_an_interrupted_judge_let_in_goes_when_the_file_is_refused_after_all(
    ws: Workspace,
) -> None:
    rows, _ = REFUSED["too many bad rows"]
    file_id = land(ws, "transactions", rows)
    for folder in (ws.home.validated, ws.home.quarantine):
        left = folder / "transactions" / f"file_id={file_id}" / "rows.parquet"
        left.parent.mkdir(parents=True)
        left.write_bytes(manifest.path(ws.home, "transactions", file_id).read_bytes())
    assert judge(ws).files_refused == 1
    assert stored(ws.home.validated, "transactions") == []
    assert stored(ws.home.quarantine, "transactions") == []


def test_a_killed_process_is_followed_by_one_that_finishes(ws: Workspace) -> None:
    for _ in range(3):
        land(ws, "transactions", [*receipts("2026-03-29", 50), good("transactions", kind="x")])
    code = (
        "import sys; from pathlib import Path; from flows.validate import judge, verdict;"
        "from tessera.testing import workspace; import os, signal;"
        "verdict.commit = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL);"
        "judge(workspace(Path(sys.argv[1])))"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(ws.home.root)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(verdict.pending(ws)) == 3
    assert judge(ws).rows_good == 150
    assert quarantine.counts(ws)[0].open == 3


def test_a_full_disk_loses_nothing(ws: Workspace) -> None:
    """No file may grow over 20 kB, and the good rows need more."""
    rows = [*receipts("2026-03-29", 5000), good("transactions", kind="x")]
    land(ws, "transactions", [{**row, "coupon_code": os.urandom(8).hex()} for row in rows])
    land(ws, "stores", [good("stores")])
    code = (
        "import sys, resource; from pathlib import Path; from flows.validate import judge;"
        "from tessera.outage import is_full; from tessera.testing import workspace\n"
        "ws = workspace(Path(sys.argv[1])); ws.store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: judge(ws)\n"
        "except Exception as error: sys.exit(6 if is_full(error) else str(error))"
    )
    full = subprocess.run([sys.executable, "-c", code, str(ws.home.root)], check=False)
    assert full.returncode == 6
    assert stored(ws.home.validated, "transactions") == []
    assert judge(ws).rows_good >= 5000
    assert sum(its.landed for its in quarantine.counts(ws)) == 5002
    assert len(stored(ws.home.validated, "transactions")) == 5000


def test_two_judges_at_once_judge_each_file_once(ws: Workspace) -> None:
    for _ in range(4):
        land(ws, "transactions", [*receipts("2026-03-29", 50), good("transactions", kind="x")])
    reports = []
    judges = [threading.Thread(target=lambda: reports.append(judge(ws))) for _ in range(2)]
    for each in judges:
        each.start()
    for each in judges:
        each.join()
    assert sorted(report.files_judged for report in reports) == [0, 4]
    assert len(stored(ws.home.validated, "transactions")) == 200


def test_landing_a_refused_content_again_has_it_judged_again(ws: Workspace) -> None:
    rows, _ = REFUSED["too many bad rows"]
    file_id = land(ws, "transactions", rows, name="receipts.csv")
    assert judge(ws).files_refused == 1
    assert land(ws, "transactions", rows, name="receipts.csv") == file_id
    assert judge(ws).files_refused == 1


def test_data_docs_tell_of_the_latest_files_and_hold_no_values(ws: Workspace) -> None:
    rows = [*receipts("2026-03-29", 30), good("transactions", currency="secret-value")]
    first = land(ws, "transactions", rows, name="monday.csv")
    land(ws, "customers", [good("customers", email="private-person")])
    judge(ws)
    index = ws.home.data_docs / "index.html"
    assert "transactions" in index.read_text()
    pages = "".join(path.read_text() for path in ws.home.data_docs.rglob("*.html"))
    assert f"monday.csv ({first})" in pages
    assert "currency is an ISO 4217 code of three capitals" in pages
    kept = "".join(path.read_text() for path in ws.home.data_docs.rglob("*.json"))
    for value in ("secret-value", "private-person", "maria@example.gr"):
        assert value not in pages + kept


def test_data_docs_do_not_grow_with_days(tmp_path: Path) -> None:
    def pages() -> list[str]:
        docs = tmp_path / "home" / "data_docs"
        return sorted(str(path.relative_to(docs).parts[:3]) for path in docs.rglob("*.html"))

    for day in ("2026-03-28", "2026-03-29", "2026-03-30"):
        ws = on(tmp_path / "home", day)
        if day == "2026-03-28":
            land(ws, "stores", [good("stores")])
        land(ws, "transactions", receipts(day, 5), name=f"{day}.csv")
        judge(ws)
        counted = pages()
        assert len(counted) == 5  # the index, and a suite and a result for each of two feeds
    text = "".join(path.read_text() for path in (ws.home.data_docs / "validations").rglob("*.html"))
    assert "2026-03-30.csv" in text
    assert "2026-03-28.csv" not in text
    assert "stores" in (ws.home.data_docs / "index.html").read_text()


def test_data_docs_that_could_not_be_written_are_made_up_for_without_new_files(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    land(ws, "transactions", receipts("2026-03-29", 5), name="monday.csv")
    in_the_way = ws.home.data_docs / "validations"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    with pytest.raises(OSError, match="Errno"):
        judge(ws)
    assert "Traceback" not in caplog.text
    in_the_way.unlink()
    assert judge(ws).files_judged == 0  # the verdict stood before
    pages = "".join(path.read_text() for path in in_the_way.rglob("*.html"))
    assert "monday.csv" in pages
    assert "transactions" in (ws.home.data_docs / "index.html").read_text()


def test_the_flow_fails_loudly_when_a_file_was_refused(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "open_workspace", lambda *_, **__: ws)
    land(ws, "stores", [good("stores")])
    assert validate.validate.fn()["files_accepted"] == 1
    land(ws, "transactions", REFUSED["wrong type throughout"][0])
    with pytest.raises(Refused, match="1 of 1 files were refused"):
        validate.validate.fn()
