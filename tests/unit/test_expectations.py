"""Every suite lets good rows in and says of each bad one what is wrong with it, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import duckdb
import great_expectations.expectations as gxe
import pytest
from great_expectations import ExpectationSuite

import expectations
from expectations import rules, suite_of
from expectations.guard import CannotJudge, Finding, Guard
from flows.validate import ValidateReport, judge
from tessera.feeds import FEEDS
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests import landed
from tests.landed import GOOD, good, land, stored

LONG_AGO, NEVER = "1970-01-02 00:00:00", "2999-06-15 12:00:00"
RAW = {"_cast_errors": {"_row": 'R9;"1;x'}}
Reasons = set[tuple[str, str]]


def type_(column: str, raw: str) -> dict[str, object]:
    return {column: None, "_cast_errors": {column: raw}}


# feed, what is different from a good row, the reasons
DEFECTS: list[tuple[str, dict[str, object], Reasons]] = [
    ("transactions", {"kind": "gift"}, {("kind", "in_set")}),
    ("transactions", {"kind": None}, {("kind", "not_null")}),
    ("transactions", type_("sold_at", "31/02/2026 10:00"), {("sold_at", "type")}),
    ("transactions", type_("discount", "abc"), {("discount", "type")}),
    ("transactions", type_("amount", "1e400"), {("amount", "type")}),
    ("transactions", {"amount": None}, {("amount", "not_null")}),
    (
        "transactions",
        {"amount": None, "quantity": None, "_cast_errors": {"quantity": "NaN"}},
        {("amount", "not_null"), ("quantity", "type")},
    ),
    ("transactions", {"quantity": "100000.001"}, {("quantity", "range")}),
    ("transactions", {"amount": 1_000_000_001}, {("amount", "range")}),
    ("transactions", {"discount": -1}, {("discount", "range")}),
    ("transactions", {"quantity": -2}, {("quantity", "sign")}),
    ("transactions", {"amount": -1250}, {("amount", "sign")}),
    ("transactions", {"kind": "return"}, {("amount", "sign"), ("quantity", "sign")}),
    ("transactions", {"currency": "eur"}, {("currency", "format")}),
    ("transactions", {"currency": "ZZZ"}, {("currency", "format")}),
    ("transactions", {"timezone": "Mars/Olympus"}, {("timezone", "format")}),
    ("transactions", {"sold_at": NEVER}, {("sold_at", "future")}),
    ("transactions", {"sold_at": "2026-04-01 00:00:01"}, {("sold_at", "future")}),
    ("transactions", {"sold_at": LONG_AGO}, {("sold_at", "too_old")}),
    ("customers", {"birth_date": "1899-12-31"}, {("birth_date", "range")}),
    ("customers", {"birth_date": "2026-04-01"}, {("birth_date", "range")}),
    ("customers", {"email": "nobody.example.com"}, {("email", "format")}),
    ("customers", {"email": "a@b"}, {("email", "format")}),
    ("customers", {"email": "a@b@example.com"}, {("email", "format")}),
    ("customers", {"email": "a@example.com, b@example.com"}, {("email", "format")}),
    ("customers", {"email": "a b@example.com"}, {("email", "format")}),
    ("customers", {"email": "a@example..com"}, {("email", "format")}),
    ("customers", {"language": "speaks Greek"}, {("language", "format")}),
    ("customers", {"country": "GRC"}, {("country", "format")}),
    ("customers", {"timezone": "Europe/Atlantis"}, {("timezone", "format")}),
    ("cards", {"customer_id": None}, {("customer_id", "not_null")}),
    ("cards", type_("blocked_at", "lost"), {("blocked_at", "type")}),
    ("consents", {"channel": "pigeon"}, {("channel", "in_set")}),
    ("consents", {"purpose": "gossip"}, {("purpose", "in_set")}),
    ("consents", {"granted": None}, {("granted", "not_null")}),
    ("consents", {"recorded_at": NEVER}, {("recorded_at", "future")}),
    ("consents", {"recorded_at": LONG_AGO}, {("recorded_at", "too_old")}),
    ("products", {"price": -199}, {("price", "range")}),
    ("products", {"currency": "EURO"}, {("currency", "format")}),
    ("stores", {"country": "gr"}, {("country", "format")}),
    ("stores", {"timezone": "Athens"}, {("timezone", "format")}),
    ("prospects", {"created_at": None}, {("created_at", "not_null")}),
    ("prospects", {"created_at": NEVER}, {("created_at", "future")}),
    ("prospects", {"created_at": LONG_AGO}, {("created_at", "too_old")}),
    ("prospects", {"email": "@example.com"}, {("email", "format")}),
    ("prospects", {"language": "RU"}, {("language", "format")}),
    ("prospects", {"timezone": "Mars/Olympus"}, {("timezone", "format")}),
    ("prospects", {"country": "G"}, {("country", "format")}),
    ("interactions", {"kind": "seance"}, {("kind", "in_set")}),
    ("interactions", {"channel": "pigeon"}, {("channel", "in_set")}),
    ("interactions", {"status": "forgotten"}, {("status", "in_set")}),
    ("interactions", {"score": 11}, {("score", "range")}),
    ("interactions", {"score": -1}, {("score", "range")}),
    ("interactions", {"cost": -1}, {("cost", "range")}),
    ("interactions", {"currency": "€"}, {("currency", "format")}),
    ("interactions", {"occurred_at": NEVER}, {("occurred_at", "future")}),
    ("interactions", {"occurred_at": LONG_AGO}, {("occurred_at", "too_old")}),
    ("source_costs", {"period_end": "2026-02-28"}, {("period_end", "range")}),
    ("source_costs", {"cost": -1}, {("cost", "range")}),
    ("source_costs", {"currency": None}, {("currency", "not_null")}),
    ("source_costs", {"currency": "eur"}, {("currency", "format")}),
    ("targets", {"period_end": "2026-03-31"}, {("period_end", "range")}),
    ("targets", type_("target", "NaN"), {("target", "type")}),
    ("messages", {"channel": "pigeon"}, {("channel", "in_set")}),
    ("messages", {"state": None}, {("state", "not_null")}),
    ("message_events", {"occurred_at": LONG_AGO}, {("occurred_at", "too_old")}),
    ("message_events", {"event": None}, {("event", "not_null")}),
    ("preferences", {"recorded_at": LONG_AGO}, {("recorded_at", "too_old")}),
    ("preferences", {"name": None}, {("name", "not_null")}),
    ("point_transfers", {"amount": 0}, {("amount", "range")}),
    ("point_transfers", {"credit": "issued"}, {("credit", "range")}),
    ("lots", {"amount": 0}, {("amount", "range")}),
    ("lots", {"bucket": "held"}, {("bucket", "in_set")}),
    ("lot_moves", {"delta": 0}, {("delta", "range")}),
    ("point_balances", {"balance": -1}, {("balance", "range")}),
    ("point_balances", {"bucket": "purse"}, {("bucket", "in_set")}),
    ("tier_moves", {"reason": "luck"}, {("reason", "in_set")}),
    (
        "person_merges",
        {"customer_id": "K9", "into_customer_id": "K9"},
        {("into_customer_id", "range")},
    ),
    *[(feed, {FEEDS[feed].key[0]: None}, {(FEEDS[feed].key[0], "not_null")}) for feed in FEEDS],
    *[(feed, dict.fromkeys(FEEDS[feed].columns) | RAW, {("_row", "type")}) for feed in FEEDS],
]
# Good rows that a rule could take for bad ones.
FINE: list[tuple[str, dict[str, object]]] = [
    ("transactions", {"kind": "return", "quantity": -2, "amount": -1250}),
    ("transactions", {"amount": 0, "quantity": 0, "discount": 0}),
    ("transactions", {"kind": "return", "amount": 0, "quantity": 0}),
    ("transactions", {"sold_at": "2026-03-31 23:59:59", "timezone": None, "discount": None}),
    ("transactions", {"currency": "JPY", "quantity": "0.125"}),
    ("customers", {"email": None, "birth_date": None, "language": None, "timezone": None}),
    ("customers", {"email": "o'neil+tag@sub.example.co.uk", "language": "pt-BR"}),
    ("customers", {"email": "имя@почта.рф", "language": "zh-Hant-TW", "timezone": "UTC"}),
    ("customers", {"birth_date": "2026-03-31"}),
    ("interactions", {"score": 0, "status": None, "customer_id": None}),
    ("targets", {"period_start": "2030-01-01", "period_end": "2030-01-01"}),
]
FEED_OF_DEFECT = [feed for feed, *_ in DEFECTS]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ValidateReport]:
    """One file per feed with 200 good rows, the fine ones, every defect, and a repeated key."""
    ws = workspace(tmp_path_factory.mktemp("suites") / "home")
    for feed in FEEDS:
        land(ws, feed, rows_of(feed))
    return ws, judge(ws)


def rows_of(feed: str) -> list[dict[str, object]]:
    fine = [columns for its, columns in FINE if its == feed]
    bad = [columns for its, columns, _ in DEFECTS if its == feed]
    return [
        *(good(feed, number) for number in range(1, 201)),
        *(good(feed, number, **columns) for number, columns in enumerate(fine + bad, start=201)),
        good(feed, 7),
    ]


def expected(feed: str) -> dict[int, Reasons]:
    first = 201 + sum(its == feed for its, _ in FINE)
    found = [reasons for its, _, reasons in DEFECTS if its == feed]
    repeated = {(FEEDS[feed].key[0], "duplicate_key")}
    return dict(enumerate([*found, repeated], start=first))


@pytest.mark.parametrize("feed", FEEDS)
def test_each_defect_has_its_reason_and_good_rows_have_none(
    feed: str, judged: tuple[Workspace, ValidateReport]
) -> None:
    assert landed.reasons(judged[0], feed) == expected(feed)


@pytest.mark.parametrize("feed", FEEDS)
def test_good_rows_are_kept_as_they_were_landed(
    feed: str, judged: tuple[Workspace, ValidateReport]
) -> None:
    ws, _ = judged
    bad = expected(feed)
    was = [row for row in stored(ws.home.landing, feed) if row["_row_number"] not in bad]
    kept = sorted(stored(ws.home.validated, feed), key=lambda row: row["_row_number"])
    assert kept == was
    assert all(row["_cast_errors"] is None for row in kept)


def test_the_report_counts_what_was_found(judged: tuple[Workspace, ValidateReport]) -> None:
    _, report = judged
    assert report.files_judged == report.files_accepted == len(FEEDS)
    assert report.rows_bad == len(DEFECTS) + len(FEEDS)
    assert report.rows_good == 200 * len(FEEDS) + len(FINE)
    assert report.reasons["duplicate_key"] == len(FEEDS)
    assert sum(report.reasons.values()) == sum(len(why) for *_, why in DEFECTS) + len(FEEDS)


def test_a_reason_names_the_value_and_the_row_keeps_the_raw_text(
    judged: tuple[Workspace, ValidateReport],
) -> None:
    rows = stored(judged[0].home.quarantine, "transactions")
    values = {
        (reason["column"], reason["rule"]): (reason["value"], row["row"])
        for row in rows
        for reason in row["reasons"]
    }
    assert values["discount", "type"][0] == "abc"
    assert '"discount":"abc"' in values["discount", "type"][1]
    assert values["_row", "type"][0] == 'R9;"1;x'
    assert values["kind", "not_null"][0] is None
    assert values["transaction_id", "duplicate_key"][0] == "R1-7|1"
    assert values["timezone", "format"][0] == "Mars/Olympus"


def test_every_rule_of_every_suite_is_tried() -> None:
    """A rule that no defect here breaks would not be known to work."""
    declared = {
        (feed, e.meta["column"], e.meta["rule"])
        for feed in FEEDS
        for e in suite_of(feed).expectations
    }
    tried = {(feed, *reason) for feed, _, reasons in DEFECTS for reason in reasons}
    required = {(feed, column, "not_null") for feed in FEEDS for column in FEEDS[feed].required}
    everywhere = {(feed, "_cast_errors", "type") for feed in FEEDS}
    keys = {(feed, FEEDS[feed].key[0], "duplicate_key") for feed in FEEDS}
    assert declared - tried - required - everywhere - keys == set()


@pytest.mark.parametrize("feed", FEEDS)
def test_a_good_row_names_all_that_is_required(feed: str) -> None:
    assert set(FEEDS[feed].required) <= GOOD[feed].keys()


def test_zones_that_the_suites_take_are_known_to_duckdb() -> None:
    """A zone that only Python knew would stop the models instead."""
    known = {name for (name,) in duckdb.sql("select name from pg_timezone_names()").fetchall()}
    assert available_timezones() - known <= {"localtime", "posixrules", "Factory"}


def replace_suite(monkeypatch: pytest.MonkeyPatch, *own: gxe.Expectation) -> None:
    suite = ExpectationSuite("stores", expectations=list(own), meta={"limits": {}})
    monkeypatch.setattr("expectations.guard.suite_of", lambda _feed: suite)


@pytest.mark.parametrize(
    "broken",
    [
        rules.where("range", "country", "is nonsense", bad="no_such_column > 1"),
        rules.where("range", "country", "is nonsense", bad="country::integer > 1"),
        gxe.ExpectColumnValuesToMatchRegex(
            column="country", regex="^[A-Z]+$", meta={"rule": "format", "column": "country"}
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="no_such_column", meta={"rule": "not_null", "column": "no_such_column"}
        ),
    ],
    ids=["unknown column", "cast that fails", "not supported here", "column not there"],
)
def test_a_rule_that_cannot_be_evaluated_is_a_bug_and_no_bad_row(
    broken: gxe.Expectation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = workspace(tmp_path / "home")
    land(ws, "stores", [good("stores")])
    replace_suite(monkeypatch, broken)
    with pytest.raises(CannotJudge, match="cannot be evaluated"):
        judge(ws)
    monkeypatch.undo()
    assert judge(ws).rows_good == 1


def test_a_query_that_finds_other_rows_than_were_counted_is_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = workspace(tmp_path / "home")
    land(ws, "stores", [good("stores", n) for n in range(1000)])
    replace_suite(monkeypatch, rules.not_null("country"))
    ask = Guard.ask

    def miscounting(*arguments: Any, **named: Any) -> list[Finding]:
        return [*ask(*arguments, **named), Finding("range", "city", 7, "select * from landed")]

    monkeypatch.setattr(Guard, "ask", miscounting)
    with pytest.raises(RuntimeError, match="7 rows break range of city, but 1000 were found"):
        judge(ws)


def test_suites_are_found_for_every_feed() -> None:
    assert {suite_of(feed).name for feed in FEEDS} == set(FEEDS)
    assert expectations.__doc__
