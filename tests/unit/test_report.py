"""The report page: what it says, and that it says the same twice."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from flows.report import tell
from tessera.consent import Guard
from tessera.errors import RedBuild, TesseraError
from tessera.hear.hearing import take_in
from tessera.know.results import currency_of
from tessera.know.weeks import NUMBERS
from tessera.report import report, runs
from tessera.report.alerts import Alert, alerts
from tessera.report.figures import figures
from tessera.report.page import ticks
from tessera.report.reconciliation import Reconciliation, reconcile
from tessera.report.summary import complete
from tessera.settings import CHECKOUT
from tessera.store import queries
from tessera.testing import line, publish, workspace
from tessera.warehouse import marts, red
from tessera.warehouse.inputs import replace_text
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.integration.test_cli import LOSE
from tests.sending import enqueue, outbox_row
from tests.unit.test_web_pages import colours, contrast

DAY = "2026-03-31"


def test_what_cannot_be_put_in_its_place_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_text(tmp_path / "index.html", "somebody's name")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


MESSAGE = (
    "insert into outbox (send_key, customer_id, campaign, campaign_version, step, occurrence, "
    "channel, purpose, template, language, timezone, business_date, decided_at, send_at, "
    "not_after, state, state_at) select '{key}', 'c', 'welcome', '1', 'hello', 'first', 'email', "
    f"'marketing', 'welcome/hello', 'en', 'UTC', '{DAY}', '', '', '', '{{state}}', ''"
)
TRANSFER = (
    "insert into transfer (programme, idem_key, kind, debit_id, credit_id, amount, source_type, "
    "source_id, rule, rule_version, effective_at, posted_at, business_date) "
    "values ('club', '{key}', '{kind}', {debit}, {credit}, {amount}, '', '', '', '', '', '', '{day}')"
)
FILE = (
    "insert into landed_file (source, feed, content_hash, name, rows, bytes, landed_at, verdict, "
    "good_rows, bad_rows) values ('shop', 'transactions', '{rows}', 'f', {rows}, 1, '', "
    "'{verdict}', {good}, {bad})"
)
DAY_IN_STORE = [
    MESSAGE.format(key="a", state="accepted"),
    MESSAGE.format(key="b", state="accepted"),
    MESSAGE.format(key="c", state="ready"),
    "insert into account (programme, owner_type, owner_id, bucket, balance) values "
    "('club', 'member', 'c', 'available', 72), ('club', 'system', 'programme', 'issuance', null)",
    TRANSFER.format(key="0", kind="earn", debit=2, credit=1, amount=7, day="2026-03-01"),
    TRANSFER.format(key="1", kind="earn", debit=2, credit=1, amount=40, day="2026-03-02"),
    TRANSFER.format(key="2", kind="earn", debit=2, credit=1, amount=30, day=DAY),
    TRANSFER.format(key="3", kind="clawback", debit=1, credit=2, amount=5, day=DAY),
    f"insert into balance_assertion values ('club', '{DAY}', 72, 73, '')",
    FILE.format(rows=4, verdict="accepted", good=3, bad=1),
    FILE.format(rows=6, verdict="refused", good=2, bad=4),
]


def page(ws: Workspace) -> str:
    return Path(report(ws).page).read_text(encoding="utf-8")


def words(ws: Workspace) -> str:
    """The page as a reader sees it: tags and runs of blanks gone."""
    body = page(ws).split("</style>")[1]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def decide(ws: Workspace, *rows: tuple[str, str, int], day: str = DAY) -> None:
    folder = ws.home.decisions / f"date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    values = ", ".join(f"('{campaign}', '{reason}', {n})" for campaign, reason, n in rows)
    duckdb.sql(
        "select campaign, reason, '' as decided_by, 'c' || i as customer_id "
        f"from (values {values}) t (campaign, reason, n), range(n) r (i)"
    ).write_parquet(str(folder / "day.parquet"))


def quarantine(ws: Workspace, file_id: int, rows: int) -> None:
    folder = ws.home.quarantine / "transactions" / f"file_id={file_id}"
    folder.mkdir(parents=True)
    duckdb.sql(
        f"select 'transactions' as feed, {file_id} as file_id, i as row_number, "
        "[{'column': 'amount', 'rule': 'is_a_number', 'value': 'anna@x.example'}] as reasons "
        f"from range(1, {rows} + 1) t (i)"
    ).write_parquet(str(folder / "rows.parquet"))


def test_an_empty_home_has_a_page_that_says_so(ws: Workspace) -> None:
    said = words(ws)
    assert "Nothing was sold yet" in said
    assert "No campaign had a candidate" in said
    assert "No row is in quarantine" in said


def test_marts_without_a_receipt_have_a_page(ws: Workspace) -> None:
    publish(ws)
    assert "Nothing was sold yet" in words(ws)


def test_the_same_day_gives_the_same_bytes(ws: Workspace) -> None:
    publish(ws, transactions=[line(str(i), f"c{i % 3}", 100 * i) for i in range(1, 40)])
    decide(ws, ("welcome", "planned", 3), ("welcome", "no_consent", 2))
    assert page(ws) == page(ws)


def test_what_is_to_be_expected_is_told_as_long_as_it_is_news(ws: Workspace) -> None:
    kronor = line("3", "c", 100, currency="SEK")
    publish(ws, transactions=[line("1", "c", 100), line("2", "c", 100), kronor])
    ws.home.know.mkdir()
    path = ws.home.know / "weeks.parquet"
    for first, is_told in (("2026-03-31", True), ("2026-03-24", True), ("2026-03-23", False),
                           ("2026-04-01", False)):  # fmt: skip
        numbers = {"forecast": "80.4, 57, 104, 330808, 200000, 461600, null, null",
                   "back_test": "67.9, 47, 89, 284000, 150000, 418000, 43, 208537"}  # fmt: skip
        rows = [
            f"('{kind}', date '{first}' - {7 * (kind == 'back_test')}, {told})"
            for kind, told in numbers.items()
        ]
        duckdb.sql(
            f"select kind, begins_on, {', '.join(f'{one}::double as {one}' for one in NUMBERS)} from "
            f"(values {', '.join(rows)}) as t (kind, begins_on, {', '.join(NUMBERS)})"
        ).write_parquet(str(path))
        said = words(ws)
        assert ("In the 1 weeks to come 80 purchases and €3,308" in said) == is_told, first
        assert ("What is paid in SEK is in it, as if" in said) == is_told
        assert (f"{first} 80 57 to 104 €3,308 €2,000 to €4,616 –" in said) == is_told
        assert ("68 47 to 89 €2,840 €1,500 to €4,180 43, €2,085" in said) == is_told
        earlier = pq.read_table(path).drop_columns(["revenue_low", "revenue_high"])
        pq.write_table(earlier, path)  # as an earlier version wrote it
        assert (f"{first} 80 57 to 104 €3,308 – –" in words(ws)) == is_told


@BOTH_STORES
def test_both_stores_tell_the_same(store_url: str, tmp_path: Path) -> None:
    ws = workspace(tmp_path, DAY, store_url=store_url)
    publish(ws, transactions=[line("1", "c", 100), line("2", "c", 200)])
    with ws.store.write() as connection:
        for statement in DAY_IN_STORE:
            connection.run(statement)
    with runs.recorded(ws, say=pytest.fail) as run:
        run.stage("send", dict)
    said = words(ws)
    assert "welcome accepted 2 ready 1" in said
    assert "issued (earn) 30 70" in said
    assert "taken back (clawback) 5 5" in said
    assert "available 1 72" in said
    assert "The balances of club do not tie out: transfers say 72, balances 73" in said
    assert "transactions 2 10 3 1 6 0" in said
    assert reconcile(ws, corrected=1) == Reconciliation(
        landed=10, modelled=2, quarantined=1, refused=6, waiting=0, corrected=1, lost=0
    )


@BOTH_STORES
def test_a_day_is_needless_once_it_ended_well_and_while_one_runs(
    store_url: str, tmp_path: Path
) -> None:
    ws = workspace(tmp_path / "home", DAY, store_url=store_url)
    assert runs.needless(ws) is None
    with pytest.raises(RedBuild), runs.recorded(ws, say=pytest.fail):
        raise RedBuild("a test is red")
    assert runs.needless(ws) is None
    with runs.recorded(ws, say=pytest.fail):
        assert runs.needless(ws) == "Another run is under way."
    assert runs.needless(ws) == f"The day {ws.business_date} is done."
    later = replace(ws, as_of=ws.as_of + timedelta(days=1))
    assert runs.needless(later) is None
    said = f"The day {ws.business_date} is done."
    assert runs.needless(later, ws.as_of) == said, "asked for then, and made up for in the night"
    ws.store.close()


def test_what_the_models_miss_or_warn_of_is_among_the_alerts_of_the_day(ws: Workspace) -> None:
    publish(ws, transactions=[line("1", "c", 100)])
    with ws.store.write() as connection:
        connection.run(FILE.format(rows=4, verdict="accepted", good=4, bad=0))
    model = {"superseded_lines": 1, "models": 1, "warnings": ["Test 'a' warns."], "seconds": 1}
    told = complete(ws, {"model": model, "report": {"alerts": [], "seconds": 0}})["alerts"]
    assert told[0].startswith("2 receipt lines were landed and are not in the models")
    assert told[1:] == ["Test 'a' warns."]
    connected = {**model, "superseded_lines": 3, "warnings": []}
    assert (
        complete(ws, {"model": connected, "report": {"alerts": [], "seconds": 0}})["alerts"] == []
    )


def test_the_page_needs_no_network(ws: Workspace) -> None:
    publish(ws, transactions=[line("1", "c", 100)])
    assert not re.findall(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", page(ws))
    assert "<script" not in page(ws)


def test_a_week_begins_on_monday_in_the_shops_zone(tmp_path: Path) -> None:
    ws = workspace(tmp_path, DAY, timezone="Europe/Athens")
    # 22:30 UTC on Sunday the 22nd is Monday the 23rd in Athens
    publish(ws, transactions=[line("1", "c", 12_300, sold_at="2026-03-22 22:30:00")])
    assert "Week of 2026-03-23: €123" in words(ws)
    assert "Week of 2026-03-16: €0" in words(ws)


def test_what_is_sold_after_as_of_is_not_known_yet(ws: Workspace) -> None:
    sales = [("1", "2026-03-30 23:59:59"), ("2", "2026-03-31 00:00:00")]
    publish(ws, transactions=[line(name, "c", 1000, sold_at=at) for name, at in sales])
    assert "Receipts, last 7 days 1 " in words(ws)


def test_returns_are_taken_off_the_revenue(ws: Workspace) -> None:
    at = "2026-03-30 10:00:00"
    publish(ws, transactions=[line("1", "c", 5000, sold_at=at), line("2", "c", -2000, sold_at=at)])
    assert "Revenue, last 7 days €30.00" in words(ws)


def test_a_second_currency_is_named_and_left_out(ws: Workspace) -> None:
    at = "2026-03-30 10:00:00"
    euros = [line(str(i), "c", 1000, sold_at=at) for i in range(3)]
    fair = {"acquisition_source": "fair", "currency": "EUR", "people": 1, "customers": 1}
    kronor = line("9", "c", 99_000, sold_at=at, currency="SEK")
    publish(ws, transactions=[*euros, kronor], sources=[fair])
    said = words(ws)
    assert "Revenue, last 7 days €30.00" in said
    assert "Receipts in SEK are left out" in said
    assert "Ranked by what is left. What was spent or paid in SEK is left out." in said


def test_a_shop_that_changed_its_currency_is_shown_in_the_new_one(ws: Workspace) -> None:
    """Five receipts of autumn in the old currency, two of spring in the new one."""
    old = [line(str(i), "c", 900, sold_at="2025-12-20 10:00:00", currency="BGN") for i in range(5)]
    new = [line(f"n{i}", "c", 1000, sold_at="2026-03-30 10:00:00") for i in range(2)]
    publish(ws, transactions=[*old, *new])
    assert "Revenue, last 7 days €20.00" in words(ws)
    with marts.connect(ws.home) as duck:
        assert currency_of(ws, duck) == "EUR"


def test_every_reason_is_counted_by_campaign(ws: Workspace) -> None:
    decide(ws, ("winback", "planned", 4), ("winback", "no_consent", 3), ("welcome", "capped", 2))
    decide(ws, ("winback", "planned", 50), day="2026-03-30")
    said = words(ws)
    assert "9 candidates, 4 messages planned" in said
    assert "winback planned 4 no consent 3" in said
    assert "welcome capped 2" in said


def test_quarantine_is_counted_by_rule_and_shows_nobodys_values(ws: Workspace) -> None:
    quarantine(ws, 7, rows=5)
    with ws.store.write() as connection:
        connection.run(
            "insert into readmission (file_id, row_number, at) values (7, 2, :at)", at=DAY
        )
    assert "transactions amount: is a number 4" in words(ws)
    assert "anna@x.example" not in page(ws)


def test_a_refused_file_is_named_until_it_has_come_again(ws: Workspace) -> None:
    refusal = "cards &lt;1&gt;.csv (cards, 1,200 rows) was refused: Every row lacks a card_id."
    landed = (
        "insert into landed_file (source, feed, content_hash, name, rows, bytes, landed_at, verdict, "
        "verdict_reason) values ('shop', 'cards', :hash, :name, 1200, 1, 't', :verdict, :why)"
    )
    cards, why = "cards <1>.csv", "Every row lacks a card_id."
    for name, verdict, is_named in (
        (cards, "refused", True),
        ("cards <2>.csv", "accepted", True),
        (cards, "accepted", False),
    ):
        with ws.store.write() as connection:
            connection.run(landed, hash=name + verdict, name=name, verdict=verdict, why=why)
        assert (refusal in page(ws)) is is_named


def test_seconds_are_those_of_the_days_first_run(ws: Workspace) -> None:
    for seconds in (4.2, 0.1):
        with runs.recorded(ws, say=pytest.fail) as run:
            run.stage("model", dict)
            run.summary["model"]["seconds"] = seconds
    assert "model 4.2" in words(ws)
    assert "model 0.1" not in words(ws)


def test_a_run_that_raises_is_recorded_as_failed_with_the_sentence(ws: Workspace) -> None:
    with pytest.raises(RedBuild), runs.recorded(ws, say=pytest.fail):
        raise RedBuild("A test of the customers mart failed.")
    with ws.store.read() as connection:
        row = connection.one("select state, summary from run")
    assert row is not None
    assert row["state"] == "failed"
    assert json.loads(row["summary"]) == {"error": "A test of the customers mart failed."}


@BOTH_STORES
def test_a_run_whose_store_goes_away_ends_in_a_sentence_also_in_its_record(
    store_url: str, tmp_path: Path
) -> None:
    """SQLite's stays away, so the next run closes the record."""
    ws = workspace(tmp_path / "home", store_url=store_url)

    def day() -> None:
        with runs.recorded(ws, say=pytest.fail), ws.store.write() as connection:
            connection.run(LOSE[connection.dialect])
            connection.run("delete from audit")

    with pytest.raises(TesseraError, match="The store cannot be used any more") as ended:
        day()
    with ws.store.read() as connection:
        row = connection.one("select state, summary from run")
        is_back = connection.dialect == "postgresql"
    ws.store.close()
    assert row is not None
    assert row["state"] == ("failed" if is_back else "running")
    assert json.loads(row["summary"] or "{}") == ({"error": str(ended.value)} if is_back else {})


def test_a_run_that_is_told_to_stop_is_recorded_as_killed(ws: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt), runs.recorded(ws, say=pytest.fail):
        raise KeyboardInterrupt
    with ws.store.read() as connection:
        assert connection.scalar("select state from run") == "killed"


def test_an_error_of_ours_leaves_no_personal_data_in_the_record(ws: Workspace) -> None:
    with pytest.raises(ValueError, match="anna"), runs.recorded(ws, say=pytest.fail):
        raise ValueError("anna@x.example")
    with ws.store.read() as connection:
        assert "anna" not in connection.scalar("select summary from run")


def test_a_run_that_was_killed_is_recorded_when_the_next_begins(ws: Workspace) -> None:
    with ws.store.write() as connection:
        connection.run(
            "insert into run (business_date, as_of, started_at, state) values (:d, :d, :d, 'running')",
            d=DAY,
        )
    with runs.recorded(ws, say=pytest.fail):
        pass
    with ws.store.read() as connection:
        states = connection.all("select state from run order by run_id")
    assert [row["state"] for row in states] == ["killed", "finished"]


@pytest.mark.parametrize("largest", [1, 3, 4, 9, 10, 27, 99, 100, 101, 6_400_000])
def test_a_charts_lines_are_round_few_and_reach_over_the_top(largest: int) -> None:
    marks = ticks(largest)
    steps = {after - before for before, after in pairwise(marks)}
    assert marks[0] == 0
    assert marks[-1] >= largest > marks[-2]
    assert len(steps) == 1
    assert len(marks) <= 5
    assert ticks(0) == [0, 1]


RESULTS = {
    "as_of": f"{DAY}T00:00:00+00:00",
    "currency": "EUR",
    "has_margin": True,
    "programme": None,
    "past": [],
    "campaigns": [],
}


def span(net: float, low: float, high: float) -> dict[str, object]:
    its = {
        "measure": "net",
        "treated": net,
        "control": 0.0,
        "difference": net,
        "interval": [low, high],
        "always": [2 * low - net, 2 * high - net],
        "p": 0.01,
        "variance_reduction": 0.4,
        "in_total": 900 * net,
        "total_interval": [900 * low, 900 * high],
        "per_recipient": None,
    }
    return {"days": 14, "people": 900, "control": 100, "measures": [its]}


def campaign() -> dict[str, Any]:
    return {
        "campaign": "winback",
        "basis": "control group",
        "says": "It probably brought more than it cost.",
        "recipients": 5,
        "first": span(150, 20, 280),
        "to_date": span(150, 20, 280),
        "variants": [],
        "observed": None,
    }


def past() -> dict[str, Any]:
    return {
        "campaign": "*",
        "starts_on": None,
        "days": 28,
        "exposed": 400,
        "unexposed": 900,
        "exposed_before": 26670.0,
        "exposed_after": 26830.0,
        "unexposed_before": 12680.0,
        "unexposed_after": 12810.0,
        "before": 13990.0,
        "before_interval": [13000.0, 15000.0],
        "after": 14020.0,
        "change": 33.0,
        "change_interval": [-300.0, 366.0],
        "is_selection": True,
        "says": "Selection.",
    }


def judged(ws: Workspace, **found: object) -> None:
    ws.home.results.mkdir(parents=True, exist_ok=True)
    path = ws.home.results / "results.json"
    path.write_text(json.dumps(RESULTS | found), encoding="utf-8")


def test_a_campaign_is_shown_with_its_interval_and_one_without_control_with_no_number(
    ws: Workspace,
) -> None:
    before = {"says": "Selection: the exposed spent more before it began already.", "days": 28}
    spent = {"exposed_before": 2667.0, "unexposed_before": 1268.0}
    without = {
        "campaign": "weekly_offers",
        "basis": "none",
        "says": "There is no control group, so what it caused cannot be known.",
        "first": None,
        "observed": before | spent,
    }
    judged(ws, campaigns=[campaign(), campaign() | without])
    said = words(ws)
    assert "winback It probably brought more than it cost. +€1.50 +€0.20 to +€2.80" in said
    assert "+€1,350 +€180.00 to +€2,520 900 100" in said
    assert "The difference allows for what both had spent before" in said
    assert "Nothing can be said of what these caused." in said
    assert "weekly offers: Selection: the exposed spent more" in said
    assert "those written to had spent €26.67, the others €12.68" in said


def test_what_cannot_be_told_yet_is_named_and_why_and_variants_wherever_they_were_compared(
    ws: Workspace,
) -> None:
    """In the words of the command, which says the same of the same day."""
    nothing = {"first": None, "to_date": None}
    few = {"campaign": "news", "basis": "too few", "says": "Everybody is in the control group."}
    nobody = {"campaign": "later", "basis": "nobody", "says": "Nobody could be written to yet."}
    variants = {"step": "first_letter", "winner": "b", "why": "clearly better than every other arm"}
    without = {"campaign": "offers", "basis": "none", "variants": [variants]}
    judged(ws, campaigns=[campaign() | one | nothing for one in (few, nobody, without)])
    said = words(ws)
    assert "news: Everybody is in the control group. later: Nobody could be written to yet." in said
    assert "offers, step first letter: b has won, clearly better than every other arm." in said


def test_the_gap_between_exposed_and_others_is_called_selection(ws: Workspace) -> None:
    judged(ws, past=[past()])
    said = words(ws)
    assert (
        "This is selection. In the 28 days after a campaign began, exposed customers spent" in said
    )
    assert "€268.30 and the others €128.10" in said
    assert "they had spent €266.70 and €126.80" in said
    assert "+€0.33 (-€3.00 to +€3.66), and without a lot even that names no cause" in said


def test_results_of_a_later_day_are_not_shown(ws: Workspace) -> None:
    judged(ws, as_of="2026-04-07T00:00:00+00:00")
    assert "Nothing was judged yet" in words(ws)


def test_a_target_that_drifts_out_of_reach_needs_attention(ws: Workspace) -> None:
    its = {"metric": "new_customers", "scope_id": "all", "scope": "shop", "target": 90.0}
    ends = {"period_start": date(2026, 3, 1), "period_end": date(2026, 4, 30)}
    targets = [
        {**its, **ends, "actual": 20.0, "projected": 41.0, "status": "out of reach"},
        {**its, **ends, "scope": "store", "actual": 80.0, "projected": 99.0, "status": "on track"},
    ]
    publish(ws, target_progress=targets)
    said = words(ws)
    alarm = "new customers until 2026-04-30: 20 of 90 so far, 41 if it goes on like this"
    assert f"Needs attention Out of reach: {alarm}." in said
    assert "Of 1 targets of stores, categories and the like 1 are met or on track" in said
    short = (ws.home.report / "index.md").read_text(encoding="utf-8")
    assert alarm in short
    assert "| new customers | 2026-04-30 | 20 | 90 | 41 | out of reach |" in short


def test_a_weeks_moves_stand_beside_those_of_the_eight_before(ws: Workspace) -> None:
    weeks = {
        date(2026, 3, 23): 5,
        date(2026, 3, 16): 8,
        date(2026, 1, 26): 4,
        date(2026, 1, 19): 80,
    }
    its = {"previous_level": "new", "level": "active"}
    publish(ws, level_moves=[its | {"week_on": day, "moves": n} for day, n in weeks.items()])
    with ws.marts() as duck:
        query = queries("tessera.report", "morning.sql")["level_moves"]
        found = duck.execute(query, {"today": date(2026, 3, 31)}).fetchall()
    assert found == [("new", "active", 5, 1.5)]  # the week of 19 January is too long ago


def test_a_target_is_shown_until_the_day_after_its_end(ws: Workspace) -> None:
    its = {"scope_id": "all", "scope": "shop", "target": 90.0, "actual": 20.0, "status": "missed"}
    ends = {"receipts": date(2026, 3, 30), "products": date(2026, 3, 29)}
    began = {"period_start": date(2026, 3, 1), "projected": 20.0}
    rows = [its | began | {"metric": name, "period_end": day} for name, day in ends.items()]
    publish(ws, target_progress=rows)
    said = words(ws)  # of 31 March
    assert "receipts 2026-03-30 20 90" in said
    assert "2026-03-29" not in said


def test_what_became_of_a_month_s_points_adds_up(ws: Workspace) -> None:
    became = {"points": 1_000, "spent": 500, "ended": 300, "taken_back": 150, "remaining": 50}
    moved = dict.fromkeys(("issued", "redeemed", "expired", "clawed_back", "outstanding"), 0)
    publish(
        ws,
        transactions=[line("1", "c", 100)],
        liability_by_month=[{"month": date(2026, 1, 1), **moved}],
        liability_by_expiry=[],
        liability_by_cohort=[{"earned_in": date(2026, 1, 1), **became}],
        deferral_by_month=[],
    )
    assert "Taken back Left Breakage 2026-01 1,000 500 300 150 50 38 %" in words(ws)


def test_a_number_that_stands_for_many_needs_attention(ws: Workspace) -> None:
    """Tills that write 0 where there is no card make one customer of all strangers."""
    at = "2026-03-29 10:00:00"
    strangers = [line(f"s{n}", "0", 100, sold_at=at) for n in range(51)]
    baker = [line(f"b{n}", "baker", 100, sold_at=at) for n in range(50)]
    nobody = [line(f"n{n}", None, 100, sold_at=at) for n in range(60)]
    publish(ws, transactions=[*strangers, *baker, *nobody])
    said = words(ws)
    assert "Needs attention Customer 0 has 51 receipts of the last seven days" in said
    assert said.count("more than anybody buys") == 1


@pytest.mark.parametrize(("sent", "bounced"), [(100, 5), (101, 5), (99, 99)])
def test_a_day_that_bounced_needs_attention(ws: Workspace, sent: int, bounced: int) -> None:
    """From a twentieth on, where there are enough to tell; each message counts once."""
    day = {"business_date": "2026-03-30", "state": "accepted"}
    keys = enqueue(ws, *(outbox_row(f"c{n}", **day) for n in range(sent)))
    told = {"event": "bounce", "timestamp": 1774900000, "status": "5.1.1"}
    again = [told | {"event": "dropped", "send_key": keys[0]}]
    take_in(ws.store, [told | {"send_key": key} for key in keys[:bounced]] + again, ws.as_of)
    found = [one.says for one in alerts(figures(ws)) if one.about == "bounced 2026-03-30"]
    assert len(found) == (sent == 100)
    for says in found:
        assert says.startswith("5 of the 100 messages of 2026-03-30 bounced: ")
        assert "--from 2026-03-30 --until 2026-04-01" in says


def test_satisfaction_is_told_with_its_interval_and_a_fall_while_it_is_new(ws: Workspace) -> None:
    its = {"answers": 100, "low": 24, "high": 56, "score": 40, "change": -31.2, "has_fallen": True}
    months = {date(2026, 1, 1): its, date(2026, 2, 1): its | {"score": 71, "has_fallen": False}}
    months[date(2026, 3, 1)] = its
    publish(ws, net_promoter_scores=[{"month": month} | row for month, row in months.items()])
    said = words(ws)
    assert "March 2026 100 +40 +24 to +56 February 2026 100 +71" in said
    fall = (
        "Fewer would recommend the shop in March 2026, beyond chance: +40 of 100 (+24 to +56, "
        "100 answers), 31 below the month before."
    )
    assert f"Needs attention {fall} What campaigns" in said, "and not of January"
    assert fall in (ws.home.report / "index.md").read_text(encoding="utf-8")


def test_complaints_need_attention_before_they_stop_marketing(ws: Workspace) -> None:
    day = figures(ws)
    found = [alerts(replace(day, guard=Guard(1000, complaints, "", ""))) for complaints in range(3)]
    assert [[alert.about for alert in one] for one in found] == [
        [],
        ["guard alert"],
        ["guard stopped"],
    ]


def test_models_of_another_day_or_a_red_build_need_attention(ws: Workspace) -> None:
    publish(ws, transactions=[line("t", "c", 100)])
    ws.home.dbt.mkdir()
    assert "The models are of" not in words(ws)
    red.note(ws.home, "not_null_customers_customer_id")
    later = replace(ws, as_of=ws.as_of + timedelta(days=1))
    told = [str(alert) for alert in report(later).alerts]
    assert told == [
        "The last build of the models ended red, and campaigns are held: "
        "not_null_customers_customer_id.",
        f"The models are of {DAY}, not of this day, and so is what they tell.",
    ]


def test_staff_is_written_to_of_what_is_new_and_again_when_it_comes_back(tmp_path: Path) -> None:
    ws = workspace(tmp_path, DAY, staff_email="staff@shop.example")
    asleep = workspace(tmp_path, DAY, staff_email="staff@shop.example", messenger="smtp",
                       smtp_url="smtp://127.0.0.1:1")  # fmt: skip
    ws.home.report.mkdir()
    first, second = Alert("file 1", "One was <refused>."), Alert("file 2", "Two was refused.")
    mails: list[int] = []
    for at, told in [
        (workspace(tmp_path, DAY), [first]),  # nobody wants mail
        (asleep, [first]),  # nobody can be told
        (ws, [first]),
        (ws, [first]),
        (ws, [first, second]),
        (ws, []),
        (workspace(tmp_path, "2026-04-01", staff_email="staff@shop.example"), [second]),
    ]:
        tell(at, told)
        mails.append(len(list(ws.home.mail.rglob("*.eml"))))
    assert mails == [0, 0, 1, 1, 2, 2, 3]
    texts = [path.read_text(encoding="utf-8") for path in ws.home.mail.glob(f"{DAY}/*.eml")]
    assert sorted("One was <refused>." in text for text in texts) == [False, True]
    assert sorted("Two was refused." in text for text in texts) == [False, True]


def test_a_target_that_cannot_be_measured_is_shown_with_those_that_are_not_met(
    ws: Workspace,
) -> None:
    its = {"metric": "revenu", "scope": "store", "scope_id": "S1", "target": 90.0}
    ends = {"period_start": date(2026, 3, 1), "period_end": date(2026, 4, 30)}
    publish(ws, target_progress=[its | ends | {"status": "not measured"}])
    said = words(ws)
    assert "revenu store S1 2026-04-30 – 90 – not measured" in said
    assert "Of 1 targets of stores, categories and the like 0 are met or on track" in said


def test_few_of_many_targets_that_drift_are_told_one_by_one(ws: Workspace) -> None:
    its = {"metric": "revenue", "scope": "store", "target": 90.0, "actual": 2.0, "projected": 4.0}
    ends = {"period_start": date(2026, 3, 1), "period_end": date(2026, 4, 30)}
    its |= ends | {"status": "out of reach"}
    publish(ws, target_progress=[its | {"scope_id": f"S{n}"} for n in range(7)])
    told = [str(alert) for alert in report(ws).alerts]
    assert told[0].startswith("Out of reach: revenue of store S0 until 2026-04-30: 2 of 90 so far")
    assert told[5:] == ["Out of reach: 2 more targets; see the report."]


CSS = (CHECKOUT / "tessera" / "report" / "page.css").read_text(encoding="utf-8")


def mixed(one: str, other: str, share: float) -> str:
    parts = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in parts)


@pytest.mark.parametrize("scheme", CSS.split("@media (prefers-color-scheme: dark)")[:2])
def test_words_numbers_and_bars_stand_out_from_their_ground(scheme: str) -> None:
    """WCAG AA: 4.5 for text, a number on the hottest of cells too, 3 for bars."""
    found = colours(scheme.partition("}")[0])  # not those of paper
    text = {name: [contrast(found[name], found[on]) for on in ("card", "paper")] for name in ("ink", "soft", "tile", "alarm")}  # fmt: skip
    assert {name: ratios for name, ratios in text.items() if min(ratios) < 4.5} == {}
    assert {name for name in ("plain", "good", "bad") if contrast(found[name], found["card"]) < 3} == set()  # fmt: skip
    (most,) = re.findall(r"var\(--tile\) calc\(var\(--heat\) \* (\.\d+)\), var\(--card\)", CSS)
    hottest = mixed(found["tile"], found["card"], float(most))
    assert contrast(found["ink"], hottest) >= 4.5
    assert contrast(hottest, found["card"]) > 1.9, "or nobody sees it"


def test_who_reads_the_marts_takes_what_the_settings_say(tmp_path: Path) -> None:
    ws = workspace(tmp_path, duckdb_memory="512MiB", threads=1)
    publish(ws)
    with ws.marts() as duck:
        query = "select current_setting('memory_limit'), current_setting('threads')"
        assert duck.execute(query).fetchall() == [("512.0 MiB", 1)]
