"""Bad rows wait in quarantine; set right, each comes back once, and nothing is ever lost."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from great_expectations import ExpectationSuite
from typer.testing import CliRunner

from flows.validate import judge, readmit, retry
from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.feeds import FEEDS
from tessera.land import quarantine, readmission, verdict
from tessera.land.quarantine import Choice
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.landed import good, land, reasons, stored

BAD = [
    good("transactions", 31, kind="gift"),
    good("transactions", 32, amount=None, _cast_errors={"amount": "12,x"}),
    good("transactions", 33, sold_at=None, timezone="Mars/Olympus"),
    good("transactions", 1),
    dict.fromkeys(good("transactions")) | {"_cast_errors": {"_row": 'R9;"1;x'}},
]
MONEY = {"amount": "1225"}


@pytest.fixture
def quarantined(ws: Workspace) -> Workspace:
    """Thirty good receipt lines and five bad ones, which are rows 31 to 35."""
    land(ws, "transactions", [*(good("transactions", n) for n in range(1, 31)), *BAD])
    assert judge(ws).rows_bad == 5
    return ws


def corrected(ws: Workspace, path: Path, changes: dict[int, dict[str, str]]) -> Path:
    """The exported transactions with `changes` (row number -> column -> text)."""
    quarantine.export(ws, Choice(feed="transactions"), path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update(changes.get(int(row["row_number"]), {}))
    save(path, rows)
    return path


def save(path: Path, rows: list[dict[str, str]], **dialect: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], **dialect)
        writer.writeheader()
        writer.writerows(rows)


def standing(ws: Workspace) -> tuple[int, int, int]:
    """Good, open and re-admitted transactions, which together are all that landed."""
    its = next(each for each in quarantine.counts(ws) if each.feed == "transactions")
    assert its.landed == its.good + its.open + its.readmitted + its.refused + its.waiting
    return its.good, its.open, its.readmitted


def modelled(ws: Workspace) -> list[str]:
    return sorted(row["transaction_id"] for row in stored(ws.home.validated, "transactions"))


def test_the_rows_are_listed_by_file_column_and_rule(quarantined: Workspace) -> None:
    found = {(g["column"], g["rule"]): g["rows"] for g in quarantine.groups(quarantined, Choice())}
    assert found == {
        ("_row", "type"): 1,
        ("amount", "type"): 1,
        ("kind", "in_set"): 1,
        ("sold_at", "not_null"): 1,
        ("timezone", "format"): 1,
        ("transaction_id", "duplicate_key"): 1,
    }
    chosen = quarantine.rows(quarantined, Choice(rule="type"), limit=10)
    assert [row["row_number"] for row in chosen] == [32, 35]
    assert quarantine.rows(quarantined, Choice(file_id=9), limit=10) == []
    assert quarantine.groups(quarantined, Choice(feed="stores")) == []
    with pytest.raises(BadInput, match="no feed 'till'"):
        quarantine.groups(quarantined, Choice(feed="till"))


def test_the_export_shows_what_stood_in_the_file_and_why_it_is_bad(
    quarantined: Workspace, tmp_path: Path
) -> None:
    path = corrected(quarantined, tmp_path / "bad.csv", {})
    with path.open(encoding="utf-8", newline="") as file:
        rows = {int(row["row_number"]): row for row in csv.DictReader(file)}
    assert rows[32]["amount"] == "12,x"
    assert rows[32]["reasons"] == "amount: type (12,x)"
    assert rows[33]["reasons"] == "sold_at: not_null; timezone: format (Mars/Olympus)"
    assert rows[35]["_row"] == 'R9;"1;x'
    assert rows[31]["sold_at"] == "2026-03-29 10:00:00"


def test_a_corrected_row_is_readmitted_once(quarantined: Workspace, tmp_path: Path) -> None:
    path = corrected(quarantined, tmp_path / "bad.csv", {32: MONEY, 31: {"kind": "sale"}})
    found = readmit(quarantined, path)
    assert (found.rows, found.readmitted, found.still_quarantined) == (5, 2, 3)
    assert found.reasons == {"duplicate_key": 1, "format": 1, "not_null": 9}
    assert standing(quarantined) == (30, 3, 2)
    assert modelled(quarantined) == sorted([f"R1-{n}" for n in range(1, 33)])
    row = next(
        row
        for row in stored(quarantined.home.validated, "transactions")
        if row["transaction_id"] == "R1-32"
    )
    assert (row["amount"], row["file_id"], row["_cast_errors"]) == (1225, 2, None)

    again = readmit(quarantined, path)
    assert (again.rows, again.already, again.readmitted) == (3, 2, 0)
    assert standing(quarantined) == (30, 3, 2)
    assert len(modelled(quarantined)) == 32


def test_rows_of_several_feeds_go_out_and_come_back_in_one_file(
    quarantined: Workspace, tmp_path: Path
) -> None:
    land(quarantined, "stores", [good("stores", 1), good("stores", 2, country="Greece")])
    judge(quarantined)
    path = tmp_path / "bad.csv"
    assert quarantine.export(quarantined, Choice(), path) == {"stores": 1, "transactions": 5}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update({"country": "GR"} if row["feed"] == "stores" else MONEY)
    save(path, rows)
    found = readmit(quarantined, path)
    assert (found.rows, found.readmitted) == (6, 2)
    assert [row["country"] for row in stored(quarantined.home.validated, "stores")] == ["GR", "GR"]
    assert standing(quarantined) == (30, 4, 1)


def test_rows_may_be_corrected_one_after_another(quarantined: Workspace, tmp_path: Path) -> None:
    first = corrected(quarantined, tmp_path / "a.csv", {32: MONEY})
    assert readmit(quarantined, first).readmitted == 1
    second = corrected(
        quarantined,
        tmp_path / "b.csv",
        {
            31: {"kind": "sale"},
            33: {"timezone": "Europe/Athens", "sold_at": "2026-03-29T12:00:00+02:00"},
            34: {"transaction_id": "R1-34"},
            35: {**good("transactions", 35, quantity="1", amount="99"), "_row": ""},
        },
    )
    assert readmit(quarantined, second).readmitted == 4
    assert standing(quarantined) == (30, 0, 5)
    row = next(
        row
        for row in stored(quarantined.home.validated, "transactions")
        if row["transaction_id"] == "R1-33"
    )
    assert str(row["sold_at"]) == "2026-03-29 10:00:00"
    with pytest.raises(BadInput, match="nothing to export"):
        quarantine.export(quarantined, Choice(), tmp_path / "c.csv")


def test_an_export_to_no_place_is_refused_with_a_sentence(
    quarantined: Workspace, tmp_path: Path
) -> None:
    for path, said in ((tmp_path / "nowhere" / "bad.csv", "cannot be written: no such file"),
                       (tmp_path, "is a folder; name the CSV")):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            quarantine.export(quarantined, Choice(), path)
    assert not tmp_path.with_name(f"{tmp_path.name}.part").exists()


def test_money_with_a_point_is_not_taken_for_minor_units(
    quarantined: Workspace, tmp_path: Path
) -> None:
    path = corrected(quarantined, tmp_path / "bad.csv", {32: {"amount": "12.25"}})
    assert readmit(quarantined, path).readmitted == 0


@pytest.mark.parametrize("is_judged", [True, False])
def test_a_row_overtaken_by_a_later_file_stays_out(
    quarantined: Workspace, tmp_path: Path, is_judged: bool
) -> None:
    """The shop has sent the line again since; the old one must not win over it, judged or not."""
    later = workspace(quarantined.home.root, "2026-04-01")
    land(later, "transactions", [good("transactions", 32, amount=777)])
    if is_judged:
        judge(later)
    found = readmit(later, corrected(later, tmp_path / "bad.csv", {32: MONEY}))
    assert found.readmitted == 0
    assert found.reasons["superseded"] == 1
    assert found.reasons["duplicate_key"] == 1


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (12,)])
def test_of_a_row_that_was_bad_in_two_files_the_later_wins_in_whatever_order_they_come_back(
    quarantined: Workspace, tmp_path: Path, order: tuple[int, ...]
) -> None:
    """The shop sent the line again, as bad as before; both are set right, one after the other or at once."""
    later = workspace(quarantined.home.root, "2026-04-01")
    land(later, "transactions", [good("transactions", 32, kind="gift", amount=777)])
    judge(later)
    path = tmp_path / "bad.csv"
    quarantine.export(later, Choice(), path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["transaction_id"] == "R1-32"]
    fixed = {row["file_id"]: row | {"kind": "sale"} for row in rows}
    fixed["1"]["amount"] = "1225"
    for files in order:
        save(path, [fixed[number] for number in str(files)])
        readmit(later, path)
    found = [
        r for r in stored(later.home.validated, "transactions") if r["transaction_id"] == "R1-32"
    ]
    assert max(found, key=lambda row: row["file_id"])["amount"] == 777
    assert standing(later) == (30, 4 if order == (1, 2) else 5, 2 if order == (1, 2) else 1)


def test_a_semicolon_file_of_a_spreadsheet_is_read(quarantined: Workspace, tmp_path: Path) -> None:
    path = corrected(quarantined, tmp_path / "bad.csv", {32: MONEY})
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["sold_at"] = "2026/3/29 10:00"  # as `land` takes it too
    save(path, rows, delimiter=";")
    empty = ";" * (len(rows[0]) - 1) + "\n"  # as rows that were cleared are saved
    path.write_text("\ufeff" + path.read_text("utf-8") + empty, "utf-8")
    assert readmit(quarantined, path).readmitted == 1


def test_a_card_that_a_spreadsheet_rounded_does_not_come_back(
    quarantined: Workspace, tmp_path: Path
) -> None:
    """It was opened there to set right the amount, and saved: the card would be that of hundreds."""
    path = tmp_path / "bad.csv"
    found = readmit(
        quarantined, corrected(quarantined, path, {32: {**MONEY, "card_id": "2.90E+12"}})
    )
    assert (found.readmitted, found.reasons["rounded"]) == (0, 1)
    assert readmit(quarantined, corrected(quarantined, path, {32: MONEY})).readmitted == 1


FORMULAS = ["=HYPERLINK(1)", "+302101234567", "@SUM(1)", "-2+3", "'=1", "''=1", "-"]
PLAIN = ["-5", "-12.50", "'tis", "a=b", "5-3"]


def test_no_cell_of_an_export_is_a_formula_and_each_comes_back_as_it_was(
    ws: Workspace, tmp_path: Path
) -> None:
    texts = [*FORMULAS, *PLAIN]
    bad = [
        good("transactions", n, kind="gift", product_id=text, coupon_code=text)
        for n, text in enumerate(texts, start=31)
    ]
    land(ws, "transactions", [*(good("transactions", n) for n in range(1, 31)), *bad])
    assert judge(ws).rows_bad == len(texts)
    path = tmp_path / "bad.csv"
    sale = {n: {"kind": "sale"} for n in range(31, 31 + len(texts))}
    corrected(ws, path, sale)
    with path.open(encoding="utf-8", newline="") as file:
        cells = [row["coupon_code"] for row in csv.DictReader(file)]
    assert cells == [*(f"'{text}" for text in FORMULAS), *PLAIN]
    assert readmit(ws, path).readmitted == len(texts)
    back = stored(ws.home.validated, "transactions")[-len(texts) :]
    assert [row["coupon_code"] for row in back] == texts
    assert [row["product_id"] for row in back] == texts


def stranger(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**rows[0], "row_number": "3"}]


def twice(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [rows[0], rows[0]]


def without_kind(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "kind"} for row in rows]


def of_no_feed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [rows[0], {**rows[1], "feed": "tills"}]


def of_another_feed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [rows[0], {**rows[1], "feed": "cards"}]


def of_a_feed_with_these_columns(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    columns = dict.fromkeys(FEEDS["cards"].columns, "x")
    return [{**columns, **rows[0]}, {**columns, **rows[1], "feed": "cards"}]


def without_a_number(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**rows[0], "row_number": ""}]


def no_origin(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"transaction_id": row["transaction_id"]} for row in rows]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (stranger, "row 3 of file 1 is not in quarantine"),
        (twice, "is in this file twice"),
        (without_kind, "has no column kind"),
        (of_no_feed, "'tills' in column 'feed' is not a feed"),
        (of_another_feed, "has no column customer_id"),
        (of_a_feed_with_these_columns, "row 32 of file 1 is not in quarantine"),
        (without_a_number, "is not in quarantine"),
        (no_origin, "has no columns feed, file_id, row_number"),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_a_file_that_is_no_export_is_refused_with_a_sentence(
    spoil: Callable[[list[dict[str, str]]], list[dict[str, str]]],
    sentence: str,
    quarantined: Workspace,
    tmp_path: Path,
) -> None:
    path = corrected(quarantined, tmp_path / "bad.csv", {})
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    save(path, spoil(rows))
    with pytest.raises(BadInput, match=sentence):
        readmit(quarantined, path)
    assert standing(quarantined) == (30, 5, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("feed;kind\nMüller;x".encode("cp1252"), "is not UTF-8 text; save it as 'CSV UTF-8'"),
        (b"\xff\xfe\x00binary", "is not UTF-8 text"),
        (b"", "has no columns feed"),
        (b"a,b\n1,2\n", "has no columns feed"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(
    content: bytes | None, said: str, ws: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=rf"bad\.csv {said}"):
        readmit(ws, path)


def test_rows_are_tried_again_when_a_suite_has_changed(
    quarantined: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retry(quarantined, Choice()).readmitted == 0
    suite = ExpectationSuite("transactions", expectations=[], meta={"limits": {}})
    monkeypatch.setattr("expectations.guard.suite_of", lambda _feed, _project: suite)
    kinds = retry(quarantined, Choice(rule="in_set"))
    assert (kinds.rows, kinds.readmitted) == (1, 1)
    found = retry(quarantined, Choice())
    # The row whose key has a good row in its own file is still the second of two.
    assert (found.rows, found.readmitted, found.reasons) == (3, 2, {"duplicate_key": 1})
    assert standing(quarantined) == (30, 2, 3)


def test_a_readmission_killed_before_its_verdict_is_finished_by_the_next_judge(
    quarantined: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corrected(quarantined, tmp_path / "bad.csv", {32: MONEY})

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(readmission, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        readmit(quarantined, path)
    assert standing(quarantined) == (30, 5, 0)
    monkeypatch.undo()
    assert readmit(quarantined, path).readmitted == 1
    assert len(verdict.pending(quarantined)) == 0
    assert standing(quarantined) == (30, 4, 1)
    assert len(modelled(quarantined)) == 31


def test_rows_offered_in_two_files_at_once_come_back_once(
    quarantined: Workspace, tmp_path: Path
) -> None:
    """Both files are landed before either is judged."""
    a = corrected(quarantined, tmp_path / "a.csv", {32: MONEY})
    b = corrected(quarantined, tmp_path / "b.csv", {32: {"amount": "9999"}})
    for path in (a, b):
        readmission.land_file(quarantined, path)
    assert judge(quarantined).rows_bad == 0  # they are in quarantine already
    assert standing(quarantined) == (30, 4, 1)
    assert modelled(quarantined).count("R1-32") == 1


def test_a_readmitted_row_says_where_it_came_from(quarantined: Workspace, tmp_path: Path) -> None:
    readmit(quarantined, corrected(quarantined, tmp_path / "bad.csv", {32: MONEY}))
    with quarantined.store.read() as store:
        rows = store.all("select * from readmission")
        file = store.one("select source, name, good_rows from landed_file where file_id = 2")
    assert rows == [
        {"file_id": 1, "row_number": 32, "into_file_id": 2, "at": "2026-03-31T00:00:00+00:00"}
    ]
    assert file == {"source": "readmitted", "name": "bad.csv", "good_rows": 1}
    assert reasons(quarantined, "transactions").keys() == {31, 32, 33, 34, 35}


@BOTH_STORES
def test_the_accounts_are_the_same_on_both_databases(store_url: str, tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home", store_url=store_url)
    land(ws, "transactions", [*(good("transactions", n) for n in range(1, 31)), *BAD])
    refused = [good("stores", n, country="x") for n in range(100)]
    land(ws, "stores", refused)
    judge(ws)
    readmit(ws, corrected(ws, tmp_path / "bad.csv", {32: MONEY}))
    land(ws, "cards", [good("cards")])
    found = {each.feed: asdict(each) for each in quarantine.counts(ws)}
    nothing = {"landed": 0, "good": 0, "open": 0, "readmitted": 0, "refused": 0, "waiting": 0}
    assert found == {
        "cards": {**nothing, "feed": "cards", "landed": 1, "waiting": 1},
        "stores": {**nothing, "feed": "stores", "landed": 100, "refused": 100},
        "transactions": {
            **nothing,
            "feed": "transactions",
            "landed": 35,
            "good": 30,
            "open": 4,
            "readmitted": 1,
        },
    }
    ws.store.close()


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["quarantine", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.stdout


def test_the_command_line_lists_exports_and_readmits(
    quarantined: Workspace, tmp_path: Path
) -> None:
    home, path = str(quarantined.home.root), tmp_path / "bad.csv"
    assert sum(group["rows"] for group in run("list", "--home", home, "--json")) == 6
    assert "in_set" in run("list", "--home", home, "--rule", "in_set")
    shown = run("show", "--home", home, "--limit", "2", "--json")
    assert shown[0]["reasons"] == [{"column": "kind", "rule": "in_set", "value": "gift"}]
    assert "kind: in_set (gift)" in run("show", "--home", home)
    exported = run("export", str(path), "--home", home, "--json")
    assert exported == {"path": str(path), "rows": {"transactions": 5}}
    corrected(quarantined, path, {32: MONEY})
    found = run("readmit", str(path), "--home", home, "--as-of", "2026-04-01", "--json")
    assert found["readmitted"] == 1
    assert run("retry", "--home", home, "--file", "1").startswith("0 of 3 rows were re-admitted")
    accounts = run("summary", "--home", home, "--json")
    assert accounts["feeds"][0]["open"] == 4
    assert accounts["refused"] == []


def test_the_command_line_lets_a_refused_file_in(ws: Workspace) -> None:
    land(ws, "stores", [good("stores", n, country="x") for n in range(100)], name="stores.csv")
    judge(ws)
    home = str(ws.home.root)
    assert "stores.csv" in run("summary", "--home", home)
    assert "judged again" in run("allow", "1", "--home", home)
    assert judge(ws).rows_bad == 100
