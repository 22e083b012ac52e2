"""The model stage on a small shop whose every trap is planted, built once by a real dbt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from dbt.cli.main import dbtRunner, dbtRunnerResult

from flows import model
from tessera.errors import BadInput, RedBuild
from tessera.feeds import FEEDS
from tessera.settings import CHECKOUT
from tessera.testing import workspace
from tessera.warehouse import marts
from tessera.warehouse.inputs import Green
from tessera.workspace import Workspace
from tests.integration.model_home import line, validated

AS_OF = "2026-03-01"
AUDIENCES = sorted((CHECKOUT / "dbt" / "models").rglob("audience_*.sql"))


def plant(ws: Workspace) -> None:
    """File 3 corrects file 1; file 2 came later than 3 and must not undo it."""
    home = ws.home
    validated(
        home,
        "customers",
        10,
        [
            {
                "customer_id": "K1",
                "given_name": "Ana",
                "email": "ana@shop.example",
                "language": "el",
            },
            {"customer_id": "K2", "birth_date": "2000-03-01", "timezone": "Asia/Tehran"},
            {"customer_id": "K3", "email": "k3@shop.example", "joined_at": "2026-02-20 10:00:00"},
        ],
    )
    validated(
        home,
        "customers",
        11,
        [{"customer_id": "K1", "given_name": "Anna", "email": "ana@shop.example"}],
    )
    validated(
        home,
        "cards",
        12,
        [
            {
                "card_id": "C1",
                "customer_id": "K1",
                "issued_at": "2025-01-01",
                "replaced_by_card_id": "C2",
            },
            {
                "card_id": "C2",
                "customer_id": "K1",
                "issued_at": "2025-06-01",
                "blocked_at": "9999-12-31",  # as some say that it is not
            },
            {
                "card_id": "C9",
                "customer_id": "K9",
                "issued_at": "2025-06-01",
                "blocked_at": "2026-01-01",
            },
        ],
    )
    validated(
        home,
        "transactions",
        1,
        [
            line("T1", "C1", sold_at="2026-01-10 12:00:00", amount=1000),
            line("T1", "C1", line_id="2", amount=500, discount=500, product_id="P2"),
            line("T2", "C2", sold_at="2026-01-20 23:30:00", amount=300),
            line("T3", "ANON", sold_at="2026-01-05 12:00:00", amount=700, store_id="S2"),
            line("T4", None, amount=50),
            line("T5", "C2", sold_at="2026-03-05 12:00:00", amount=9000),
        ],
    )
    validated(home, "transactions", 2, [line("T1", "C1", amount=111), line("T6", "C1", amount=40)])
    validated(
        home,
        "transactions",
        3,
        [
            line("T1", "C1", sold_at="2026-01-10 12:00:00", amount=1200),
            line(
                "R1", "C2", sold_at="2026-02-01 12:00:00", amount=-200, original_transaction_id="T1"
            ),
        ],
    )
    validated(
        home,
        "products",
        13,
        [{"product_id": "P1", "category": "Tea"}, {"product_id": "P2", "category": "Bread"}],
    )
    validated(home, "stores", 14, [{"store_id": "S1", "name": "One"}])
    validated(
        home,
        "consents",
        15,
        [
            {
                "customer_id": "K1",
                "channel": "email",
                "purpose": "marketing",
                "granted": True,
                "recorded_at": "2025-01-01",
            },
            {
                "customer_id": "K1",
                "channel": "email",
                "purpose": "marketing",
                "granted": False,
                "recorded_at": "2026-06-01",
            },
            {
                "customer_id": "K7",
                "channel": "sms",
                "purpose": "marketing",
                "granted": True,
                "recorded_at": "2025-01-01",
            },
        ],
    )
    validated(
        home,
        "interactions",
        16,
        [
            {"interaction_id": "I1", "customer_id": "K1", "kind": "complaint", "status": "open", "occurred_at": "2026-02-01"},
            {"interaction_id": "I2", "customer_id": "K2", "kind": "complaint", "status": "resolved", "occurred_at": "2026-02-01"},
            {"interaction_id": "I3", "customer_id": "K3", "kind": "complaint", "occurred_at": "2026-04-01"},
            {"interaction_id": "I4", "customer_id": "K1", "kind": "contact", "topic": "tenth", "status": "withheld", "occurred_at": "2026-01-05 23:00:00"},
            {"interaction_id": "I5", "prospect_id": "L2", "kind": "complaint", "status": "closed", "occurred_at": "2026-01-15"},
        ],
    )  # fmt: skip
    letters = {
        "customer_id": "K1",
        "campaign": "news",
        "step": "first",
        "purpose": "marketing",
        "state": "accepted",
    }
    sent = [
        ("m1", "2025-11-01"),
        ("m2", "2026-01-03"),
        ("m3", "2026-02-01"),
        ("m4", "2026-02-20"),
        ("m5", "2026-03-05"),
    ]
    validated(
        home, "messages", 18, [{**letters, "send_key": key, "send_at": at} for key, at in sent]
    )
    read = [("e1", "m1", "open"), ("e2", "m2", "open"), ("e3", "m2", "click")]
    validated(
        home, "message_events", 19,
        [{"event_key": key, "send_key": of, "event": event, "occurred_at": "2026-01-12 23:00:00"} for key, of, event in read],
    )  # fmt: skip
    validated(
        home,
        "prospects",
        17,
        [
            {"prospect_id": "K1", "given_name": "Ben", "email": "ben@shop.example", "language": "lv", "created_at": "2026-02-01"},
            {"prospect_id": "L2", "email": "ANA@shop.example", "created_at": "2025-12-01"},
            {"prospect_id": "L3", "email": "late@shop.example", "created_at": "2026-04-01"},
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The shop after its first green build."""
    ws = workspace(tmp_path_factory.mktemp("model") / "home", AS_OF, timezone="Europe/Athens")
    plant(ws)
    model.build(ws)
    return ws


@pytest.fixture(scope="module")
def db(shop: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    with marts.connect(shop.home) as connection:
        yield connection


def rows(db: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return db.execute(query).fetchall()


def customer(db: duckdb.DuckDBPyConnection, customer_id: str) -> dict[str, Any]:
    found = db.execute("from customers where customer_id = ?", [customer_id])
    names = [column[0] for column in found.description]
    (row,) = found.fetchall()
    return dict(zip(names, row, strict=True))


def seen(folder: Path) -> dict[Path, tuple[int, ...]]:
    states = {path: path.stat() for path in folder.rglob("*")}
    return {path: (it.st_ino, it.st_mtime_ns, it.st_size) for path, it in states.items()}


def test_no_line_is_lost_and_none_counts_twice(
    shop: Workspace, db: duckdb.DuckDBPyConnection
) -> None:
    report = Green.load(shop.home).report
    assert (report["lines"], report["superseded_lines"]) == (8, 2)
    assert (report["baskets"], report["customers_with_purchases"]) == (7, 2)
    assert rows(db, "select count(*), count(distinct transaction_id) from transactions") == [(8, 7)]


def test_the_higher_file_wins_whichever_came_first(db: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        db, "select amount, file_id from transactions where transaction_id = 'T1' and line_id = '1'"
    )
    assert found == [(1200, 3)]


def test_lines_belong_to_whoever_owns_the_last_card(db: duckdb.DuckDBPyConnection) -> None:
    found = dict(rows(db, "select transaction_id, max(customer_id) from transactions group by 1"))
    assert found == {
        "T1": "K1",
        "T2": "K1",
        "T3": "ANON",
        "T4": None,
        "T5": "K1",
        "T6": "K1",
        "R1": "K1",
    }


def test_a_customer_is_known_from_any_feed(db: duckdb.DuckDBPyConnection) -> None:
    found = rows(db, "select customer_id, is_registered, card_id from customers order by all")
    assert found == [
        ("ANON", False, "ANON"), ("K1", True, "C2"), ("K2", True, None), ("K3", True, None),
        ("K7", False, None), ("K9", False, None), ("prospect:K1", False, None),
    ]  # fmt: skip


def test_who_became_a_customer_is_told_by_the_number_they_had_as_a_prospect(
    db: duckdb.DuckDBPyConnection,
) -> None:
    assert rows(db, "select customer_id, into_customer_id from known_as") == [("prospect:L2", "K1")]


def test_a_prospect_who_is_no_customer_yet_is_a_person_to_write_to(
    shop: Workspace, db: duckdb.DuckDBPyConnection
) -> None:
    """Under a key of their own: a customer may have the same number. Who is one has one row."""
    ben = customer(db, "prospect:K1")
    assert (ben["prospect_id"], ben["email"], ben["language"]) == ("K1", "ben@shop.example", "lv")
    assert (ben["receipts"], ben["tier"], ben["relationship_level"]) == (0, None, "potential")
    assert customer(db, "K1")["prospect_id"] is None
    assert rows(db, "select customer_id, entered_on from audience_prospects") == [
        ("prospect:K1", date(2026, 2, 1))
    ]
    assert Green.load(shop.home).report["customers"] == 6  # prospects are not among them


def test_every_move_between_levels_is_recorded(db: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        db,
        "select customer_id, previous_level, level, changed_on from relationship_transitions "
        "order by customer_id, changed_on",
    )
    assert found == [
        ("ANON", None, "new", date(2026, 1, 5)),
        ("K1", None, "potential", date(2025, 12, 1)),  # noted as a prospect, under the same address
        ("K1", "potential", "new", date(2026, 1, 10)),
        ("K2", None, "engaged", date(2026, 2, 1)),  # who complains speaks to us
        ("K3", None, "potential", date(2026, 2, 20)),
        ("prospect:K1", None, "potential", date(2026, 2, 1)),
    ]
    levels = dict(rows(db, "select customer_id, relationship_level from customers"))
    assert levels == {
        "ANON": "new", "K1": "new", "K2": "engaged", "K3": "potential", "K7": "potential",
        "K9": "potential", "prospect:K1": "potential",
    }  # fmt: skip


def test_events_are_those_of_the_last_31_days(db: duckdb.DuckDBPyConnection) -> None:
    found = rows(db, "select event, customer_id, occurrence, occurred_on from customer_events")
    assert sorted(found) == [
        ("complaint_opened", "K1", "I1", date(2026, 2, 1)),
        ("complaint_opened", "K2", "I2", date(2026, 2, 1)),
        ("complaint_resolved", "K2", "I2", date(2026, 2, 1)),
        ("joined", "K3", "first", date(2026, 2, 20)),
    ]


def test_figures_count_receipts_before_as_of(db: duckdb.DuckDBPyConnection) -> None:
    ana = customer(db, "K1")
    assert ana["given_name"] == "Anna"
    assert (ana["receipts"], ana["lines"], ana["units"]) == (3, 5, 3)
    assert ana["revenue"] == 1200 + 500 + 300 + 40 - 200
    assert ana["average_basket"] == round((1200 + 500 + 300 + 40) / 3)
    assert ana["returned_receipts"] == 1
    assert ana["discount_share"] == Decimal("0.1969")  # 500 of 2540
    assert (ana["favourite_category"], ana["favourite_store_id"]) == ("Tea", "S1")
    assert str(ana["last_purchase_at"]) == "2026-01-20 23:30:00"
    assert customer(db, "K9")["receipts"] == 0


def test_days_are_the_shops(db: duckdb.DuckDBPyConnection) -> None:
    """Half past eleven in the evening, UTC, is the next day in Athens."""
    ana = customer(db, "K1")
    assert ana["first_purchase_on"] == date(2026, 1, 10)
    assert ana["last_purchase_on"] == date(2026, 1, 21)
    assert ana["days_since_last_purchase"] == 39
    assert ana["median_days_between_purchases"] == 11
    assert ana["expected_next_purchase_on"] == date(2026, 2, 1)


def test_what_a_customer_did_not_say_is_the_shops(db: duckdb.DuckDBPyConnection) -> None:
    assert (customer(db, "K1")["language"], customer(db, "K2")["timezone"]) == ("en", "Asia/Tehran")
    assert (customer(db, "K2")["language"], customer(db, "K1")["timezone"]) == (
        "en",
        "Europe/Athens",
    )


def test_how_late_a_customer_is_goes_by_their_own_gaps(db: duckdb.DuckDBPyConnection) -> None:
    assert customer(db, "K1")["overdue_factor"] == Decimal("3.55")  # 39 days of silence, gaps of 11
    assert customer(db, "K2")["overdue_factor"] is None


def test_the_profile_says_what_became_of_the_letters_of_90_days(
    db: duckdb.DuckDBPyConnection,
) -> None:
    ana = customer(db, "K1")  # one letter is older, one is yet to come
    counts = [ana[f"messages_{name}"] for name in ("received", "opened", "clicked", "unread")]
    assert counts == [3, 1, 1, 2]
    assert ana["last_read_on"] == date(2026, 1, 13)
    assert customer(db, "K2")["messages_received"] == 0


def test_the_profile_has_complaints_and_the_last_word_on_marketing(
    db: duckdb.DuckDBPyConnection,
) -> None:
    ana, ben = customer(db, "K1"), customer(db, "K2")
    assert (ana["complaints"], ana["last_complaint_on"]) == (
        2,
        date(2026, 2, 1),
    )  # one as a prospect
    assert (ben["complaints"], ben["has_complaint_open"]) == (1, False)
    assert (ana["has_email_consent"], ana["has_sms_consent"]) == (False, False)
    assert rows(db, "select count(*) from customers where has_email_consent is null") == [(0,)]


def test_who_was_left_without_an_offer_to_compare_is_known(db: duckdb.DuckDBPyConnection) -> None:
    assert rows(db, "from trials") == [("K1", "tenth", date(2026, 1, 6), False)]


def test_what_is_not_learned_yet_is_null(db: duckdb.DuckDBPyConnection) -> None:
    learned = "predicted_revenue, chance_alive, churn_risk, price_level, is_offer_advised"
    assert rows(db, f"select distinct {learned} from customers") == [(None,) * 5]


def test_only_complaints_that_are_open_by_now_count(db: duckdb.DuckDBPyConnection) -> None:
    assert rows(db, "select customer_id from customers where has_complaint_open") == [("K1",)]


def test_a_withdrawal_counts_from_the_moment_it_is_known(db: duckdb.DuckDBPyConnection) -> None:
    assert rows(db, "select customer_id, granted from consents order by all") == [
        ("K1", False),
        ("K7", True),
    ]


def test_audiences_have_one_contract(db: duckdb.DuckDBPyConnection) -> None:
    names = [path.stem for path in AUDIENCES]
    shapes = {
        name: rows(db, f"select column_name, column_type from (describe {name})") for name in names
    }
    assert len({tuple(shape) for shape in shapes.values()}) == 1
    found = {
        name: rows(db, f"select customer_id, occurrence, entered_on from {name} order by all")
        for name in names
    }
    assert {name: members for name, members in found.items() if members} == {
        "audience_welcome": [("K3", "first", date(2026, 2, 20))],
        "audience_birthday": [("K2", "2026", date(2026, 3, 1))],
        "audience_prospects": [("prospect:K1", "first", date(2026, 2, 1))],
        "audience_weekly_offers": [
            ("ANON", "2026-02-23", date(2026, 2, 23)),
            ("K1", "2026-02-23", date(2026, 2, 23)),
        ],
    }


def test_the_same_day_again_changes_nothing(shop: Workspace) -> None:
    before = seen(shop.home.marts)
    again = model.build(shop)
    assert not again.built
    assert again.lines == 8
    assert seen(shop.home.marts) == before


def test_what_is_published_is_the_file_that_was_built(shop: Workspace) -> None:
    built = shop.home.built / "customers.parquet"
    path = shop.home.marts / marts.current(shop.home).marts["customers"]
    assert built.samefile(path.parent / "rows.parquet")
    aside = built.rename(built.with_suffix(".aside"))
    assert Green.load(shop.home) is None  # and so all is built anew
    aside.rename(built)
    assert Green.load(shop.home) is not None


@pytest.mark.parametrize(
    ("damaged", "sentence"),
    [
        ("products/rows.parquet", "mart 'products' is lost or damaged"),
        ("receipt_lines", "mart 'receipt_lines' is lost or damaged"),
        ("../current.json", r"current\.json is damaged"),
    ],
)
def test_a_damaged_snapshot_is_told_in_a_sentence_and_published_anew_by_the_same_day(
    shop: Workspace, damaged: str, sentence: str
) -> None:
    """Also a mart that a later day would not have made again."""
    before = {name: rows(db, f"from {name} order by all") for db in [marts.connect(shop.home)]
              for name in ("products", "transactions", "customers")}  # fmt: skip
    shop.home.know.mkdir(exist_ok=True)  # from which on the next snapshot is told what was learned
    path = shop.home.marts / marts.current(shop.home).name / damaged
    if path.is_dir():
        shutil.rmtree(path)
    else:
        cut = path.read_bytes()[:-20]
        path.unlink()  # which dbt's own file is another name of
        path.write_bytes(cut)
    with pytest.raises(BadInput, match=sentence):
        marts.connect(shop.home)
    assert not model.build(shop).built
    with marts.connect(shop.home) as db:
        assert {name: rows(db, f"from {name} order by all") for name in before} == before


def test_dbt_lets_go_of_the_warehouse(shop: Workspace) -> None:
    code = f"import duckdb; duckdb.connect({str(shop.home.warehouse)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_logic_of_every_model_is_right(shop: Workspace) -> None:
    """dbt's unit tests, which are tests of code: a shop's own builds go without them."""
    inputs = model._inputs(shop)
    variables = model._variables(shop, inputs, model._lines(shop, inputs), None, "by-hand")
    with model._dbt_let_go():
        manifest = model._parse(shop, inputs)
        answer = model._invoke(
            dbtRunner(manifest), shop, ["test", "--select", "test_type:unit"], variables
        )
    assert {result.status for result in answer.results} == {"pass"}
    assert len(answer.results) == len(manifest.unit_tests) > 0


def test_every_column_is_described(shop: Workspace) -> None:
    manifest = model._parse(shop, model._inputs(shop))
    described = {
        node.name: {name: column.description for name, column in node.columns.items()}
        for node in manifest.nodes.values()
        if node.resource_type in ("model", "seed")
    }
    with duckdb.connect(str(shop.home.warehouse), read_only=True) as db:
        built = db.execute(
            "select table_name, column_name from duckdb_columns() where not internal"
        )
        missing = [(t, c) for t, c in built.fetchall() if not described[t].get(c)]
    assert missing == []
    assert [name for name, columns in described.items() if not columns] == []


def test_staging_has_the_feeds_columns(shop: Workspace) -> None:
    manifest = model._parse(shop, model._inputs(shop))
    for feed, its in FEEDS.items():
        (node,) = [
            n
            for n in manifest.nodes.values()
            if n.name in (f"stg_shop__{feed}", f"stg_engine__{feed}")
        ]
        names = [name for name in node.columns if name not in ("file_id", "row_number")]
        assert names == list(its.columns), feed


def test_a_red_build_publishes_nothing_and_is_mended_by_the_next(
    shop: Workspace, tmp_path: Path
) -> None:
    current = (shop.home.marts / "current.json").read_bytes()
    bad = {"programme": "club", "idem_key": "1", "debit": "a", "credit": "a", "amount": 5}
    balance = {"programme": "club", "customer_id": "K1", "bucket": "available", "balance": 5}
    move = {"programme": "club", "idem_key": "2", "lot_key": "1", "delta": -5}
    paths = [
        validated(shop.home, "point_transfers", 20, [bad]),
        validated(shop.home, "point_balances", 21, [balance]),
        validated(shop.home, "lot_moves", 22, [move]),
        validated(shop.home, "products", 23, [{"product_id": None, "name": "Nothing"}]),
    ]
    with pytest.raises(RedBuild, match=r"dbt\.log") as red:
        model.build(shop)
    for rule in (
        "assert_every_transfer_moves_points_between_two_accounts",
        "assert_transfers_and_lots_make_every_balance",
        "assert_no_lot_pays_more_than_it_has",
        "NOT NULL constraint failed: products.product_id",
    ):
        assert rule in str(red.value)
    assert (shop.home.marts / "current.json").read_bytes() == current
    for path in paths:
        path.unlink()
    mended = model.build(shop)
    assert mended.full_refresh
    assert (shop.home.marts / "current.json").read_bytes() == current


def test_what_dbt_says_goes_before_where_it_was_called_from() -> None:
    chain = "".join(f"\n> called by macro published_{n} (macros/published.sql)" for n in range(9))
    said = "This model has an enforced contract, and its 'columns' specification is missing"
    message = f"Compilation Error in model audience_vips (models/marts/audiences/audience_vips.sql)\n  {said}\n\n> in macro x (macros/y.sql){chain}"
    assert model._gist(message).endswith(said)


def test_a_model_described_in_the_wrong_place_is_told_with_what_is_wrong(tmp_path: Path) -> None:
    """dbt quotes all of it before it says so."""
    project = tmp_path / "project"
    shutil.copytree(CHECKOUT / "dbt", project / "dbt")
    described = project / "dbt/models/marts/audiences/_audiences__models.yml"
    assert "\nunit_tests:\n" in described.read_text(encoding="utf-8")
    with described.open("a", encoding="utf-8") as file:
        file.write(
            "\n  - name: audience_cheese\n    description: Who likes cheese.\n    columns:\n"
        )
        file.writelines(f"      - {{name: column_{n}, data_type: varchar}}\n" for n in range(9))
    ws = workspace(tmp_path / "home", AS_OF, project=project)
    with pytest.raises(RedBuild) as red:
        model.build(ws)
    assert "_audiences__models.yml" in str(red.value)
    assert "'columns' was unexpected" in str(red.value)
    shutil.copy(CHECKOUT / described.relative_to(project), described)
    macro = project / "dbt/macros/ours.sql"
    for text, says in (
        ("{% macro ours( %}", "Reached EOF without finding a close tag"),
        ("{% macro ours() %}{{ 1 + }}{% endmacro %}", "unexpected 'end of print statement'"),
    ):
        macro.write_text(text, encoding="utf-8")
        with pytest.raises(RedBuild, match=rf"macros/ours\.sql: Compilation Error {says}"):
            model.build(ws)


def test_a_test_that_may_fail_is_told_and_the_marts_are_published(tmp_path: Path) -> None:
    folder = tmp_path / "o'clock #1"  # such as people's names make
    project = folder / "project"
    shutil.copytree(CHECKOUT / "dbt", project / "dbt")
    (project / "dbt" / "tests" / "assert_nobody_buys.sql").write_text(
        "{{ config(severity='warn') }}\nselect * from {{ ref('customers') }} where receipts > 0",
        encoding="utf-8",
    )
    ws = workspace(folder / "home", AS_OF, project=project)
    validated(ws.home, "transactions", 1, [line("T1", "C1")])
    for _ in range(2):  # as long as it is the last build
        told = model.build(ws).warnings
        assert told == [
            "Test 'assert_nobody_buys' warns: Got 1 result, configured to warn if != 0."
        ]
    assert marts.current(ws.home).as_of == ws.as_of


def test_a_build_that_is_stopped_by_hand_is_not_called_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = dbtRunnerResult(success=False, exception=KeyboardInterrupt())
    monkeypatch.setattr(model.dbtRunner, "invoke", lambda *_: answer)
    with pytest.raises(KeyboardInterrupt):
        model.build(workspace(tmp_path / "home", AS_OF))


def test_the_spill_folder_is_named_once() -> None:
    """DuckDB refuses to have it named again after it was used, and dbt sets `settings` again for
    each model: a build that spilled would end there."""
    profile = yaml.safe_load((CHECKOUT / "dbt" / "profiles.yml").read_text(encoding="utf-8"))
    output = profile["tessera"]["outputs"]["home"]
    assert "temp_directory" in output["config_options"]
    assert "temp_directory" not in output["settings"]
