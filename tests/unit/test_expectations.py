"""Every suite lets good rows in and says of each bad one what is wrong with it, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import duckdb
import great_expectations.expectations as gxe
import pytest
from great_expectations import ExpectationSuite

from expectations import rules
from expectations.guard import Finding, Guard
from expectations.suites import suite_of
from flows.validate import ValidateReport, judge
from tessera.errors import BadInput
from tessera.feeds import FEEDS
from tessera.settings import CHECKOUT
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
    ("transactions", {"card_id": "2.90E+12"}, {("card_id", "rounded")}),
    (
        "transactions",
        {"product_id": "5E+12", "store_id": "1,0E+10"},
        {("product_id", "rounded"), ("store_id", "rounded")},
    ),
    ("customers", {"phone": "3.0697E+11"}, {("phone", "rounded")}),
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
    *[
        (feed, {name: "2.90E+12"}, {(name, "rounded")})
        for feed, its in FEEDS.items()
        for name in [name for name in its.columns if name.endswith("_id")][:1]
    ],
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
    ("customers", {"birth_date": "2026-03-31", "phone": "+30 210 1234567"}),
    ("transactions", {"transaction_id": "4.0128e+10", "product_id": "9e+05"}),
    ("transactions", {"card_id": "5E12", "product_id": "A+B", "store_id": "E+5", "line_id": "1E+"}),
    ("interactions", {"score": 0, "status": None, "customer_id": None}),
    ("targets", {"period_start": "2030-01-01", "period_end": "2030-01-01"}),
]
FEED_OF_DEFECT = [feed for feed, *_ in DEFECTS]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ValidateReport]:
    """One file per feed with 300 good rows, the fine ones, every defect, and a repeated key."""
    ws = workspace(tmp_path_factory.mktemp("suites") / "home")
    for feed in FEEDS:
        land(ws, feed, rows_of(feed))
    return ws, judge(ws)


def rows_of(feed: str) -> list[dict[str, object]]:
    fine = [columns for its, columns in FINE if its == feed]
    bad = [columns for its, columns, _ in DEFECTS if its == feed]
    return [
        *(good(feed, number) for number in range(1, 301)),
        *(good(feed, number, **columns) for number, columns in enumerate(fine + bad, start=301)),
        good(feed, 7),
    ]


def expected(feed: str) -> dict[int, Reasons]:
    first = 301 + sum(its == feed for its, _ in FINE)
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
    assert report.rows_good == 300 * len(FEEDS) + len(FINE)
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
        for e in suite_of(feed, CHECKOUT).expectations
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
    monkeypatch.setattr("expectations.guard.suite_of", lambda _feed, _project: suite)


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
        rules.matches("country", "is nonsense", regex="[a-"),
        rules.bad_rows("own", "name", "is nonsense", query="select name from $batch"),
        rules.between("opened_on", "2030-01-01", "2000-01-01"),
    ],
    ids=[
        "unknown column",
        "cast that fails",
        "not supported here",
        "column not there",
        "regex that is none",
        "rows that are not named",
        "ends in the wrong order",
    ],
)
def test_a_rule_that_cannot_be_evaluated_is_a_sentence_and_no_bad_row(
    broken: gxe.Expectation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = workspace(tmp_path / "home")
    land(ws, "stores", [good("stores")])
    replace_suite(monkeypatch, broken)
    with pytest.raises(
        BadInput, match=r"^expectations/stores\.py: the rule .* cannot be evaluated: "
    ) as error:
        judge(ws)
    assert "\n" not in str(error.value)
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


def own(folder: Path, text: str, feed: str = "stores", **others: str) -> Workspace:
    """A workspace of a project whose own suites say `text`, with three stores landed."""
    for name, content in {feed: text, **others}.items():
        path = folder / "project" / "expectations" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    ws = workspace(folder / "home", project=folder / "project")
    land(ws, "stores", [good("stores", n) for n in range(3)])
    return ws


def stores(rule: str, limits: str = "") -> str:
    return f'from expectations import rules\nsuite = rules.suite(\n    "stores", {rule},\n    {limits}\n)\n'


def test_the_suites_of_the_project_judge_and_not_those_that_ship(tmp_path: Path) -> None:
    helper = (
        "def far():\n    from expectations import rules\n    return rules.in_set('country', 'NZ')\n"
    )
    text = "from expectations import ours\n" + stores("ours.far(), rules.not_null('name')")
    ws = own(tmp_path, text, ours=helper)
    assert judge(ws).reasons == {"in_set": 3, "not_null": 3}
    assert list(ws.home.data_docs.rglob("validations/stores/**/*.html"))
    assert suite_of("stores", tmp_path) == suite_of("stores", CHECKOUT), "those that ship"


def test_rules_that_a_project_has_changed_are_its_own(tmp_path: Path) -> None:
    shipped = Path(rules.__file__).read_text(encoding="utf-8")
    more = "\n\ndef named():\n    return not_null('name')\n"
    ws = own(tmp_path, stores("rules.named()"), rules=shipped + more)
    assert ("not_null", "name") in {
        (e.meta["rule"], e.meta["column"]) for e in suite_of("stores", ws.project).expectations
    }
    other = own(tmp_path / "other", stores("rules.named()"))
    with pytest.raises(BadInput, match="there is no rule 'named'"):
        suite_of("stores", other.project)


FILE = r"expectations/stores\.py"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (stores('rules.in_sett("country", "GR")'), rf"{FILE}:3: there is no rule 'in_sett'. Did you mean 'in_set'\?"),
        (stores('rules.between("opend_on", 1)'), rf"{FILE}:2: 'opend_on' is not a column of stores. Did you mean 'opened_on'\?"),
        (stores('rules.where("own", "contry", "is", bad="true")'), rf"{FILE}:2: 'contry' is not a column of stores"),
        (stores('"country is GR"'), rf"{FILE}:2: 'country is GR' is no rule"),
        (stores("gxe.ExpectTableRowCountToEqual(value=3)").replace("from", "import great_expectations.expectations as gxe\nfrom"),
         rf"{FILE}:3: .*ExpectTableRowCountToEqual has no meta"),
        (stores("rules.country()", "bad_shar=0.2"), rf"{FILE}:2: 'bad_shar' is no limit. Did you mean 'bad_share'\?"),
        (stores("rules.country()", "bad_share='a lot'"), rf"{FILE}:2: bad_share cannot be 'a lot': write a number"),
        (stores("rules.country()", "bad_share=-1"), rf"{FILE}:2: bad_share cannot be -1: 0 is the least"),
        (stores("rules.country()", "repeated_share=20"), rf"{FILE}:2: repeated_share cannot be 20: 1 is the most"),
        (stores("rules.country()", "usual_days='x'"), rf"{FILE}:2: usual_days cannot be 'x': write a whole number"),
        (stores("rules.country()").replace('"stores"', '"storse"'), rf"{FILE}:2: there is no feed 'storse'. Did you mean 'stores'\?"),
        (stores("[]").replace('"stores"', '"cards"'), rf"{FILE}: this is the suite of cards"),
        (stores("rule.country()"), rf"{FILE}:3: name 'rule' is not defined"),
        (stores("rules.country("), rf"{FILE}:2: this is not Python: '\(' was never closed"),
        ("from expectations import ruls", rf"{FILE}:1: cannot import name 'ruls'"),
        ("suit = 1", rf"{FILE}: there is no 'suite' in it"),
        ("suite = 1", rf"{FILE}: there is no 'suite' in it"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_suite_is_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    ws = own(tmp_path, text)
    with pytest.raises(BadInput, match=rf"^{says}") as error:
        suite_of("stores", ws.project)
    assert "\n" not in str(error.value)


def test_what_a_wrong_suite_could_not_judge_waits_for_the_right_one(tmp_path: Path) -> None:
    ws = own(tmp_path, stores('rules.in_sett("country", "GR")'))
    with pytest.raises(BadInput, match=rf"^{FILE}:3: there is no rule"):
        judge(ws)
    own(tmp_path, stores("rules.country()"))
    assert judge(ws).rows_good == 6


def test_a_feed_without_a_suite_is_told(tmp_path: Path) -> None:
    ws = own(tmp_path, stores("rules.country()"), feed="storse")
    with pytest.raises(BadInput, match=rf"^{FILE} is missing"):
        suite_of("stores", ws.project)


def test_suites_are_found_for_every_feed() -> None:
    assert {suite_of(feed, CHECKOUT).name for feed in FEEDS} == set(FEEDS)
