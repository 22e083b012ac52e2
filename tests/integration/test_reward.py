"""Receipts become points: once each, never more back than was given, on both databases."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from tessera.reward import ledger, post
from tessera.reward.ledger import LedgerDiffers
from tessera.reward.points import Books
from tessera.reward.programme import FILE, load
from tessera.testing import line, publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES

CLUB = "programme: club\ncurrency: any\nearn_rules: [{rule: purchase, points: %s, per: %s}]\nreturns: %s\n"


def programme(folder: Path, *, points: int = 1, per: int = 100, returns: str = "debt") -> Path:
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(CLUB % (points, per, returns), encoding="utf-8")
    return folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """SQLite, where a test does not ask for both."""
    asked = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "store_url" in metafunc.fixturenames and "store_url" not in asked:
        metafunc.parametrize("store_url", ["sqlite"], indirect=True)


@pytest.fixture
def shop(tmp_path: Path, store_url: str) -> Iterator[Workspace]:
    """A workspace with a programme of its own."""
    project = programme(tmp_path / "project")
    ws = workspace(tmp_path / "home", project=project, store_url=store_url)
    yield ws
    ws.store.close()


def on(ws: Workspace, day: str) -> Workspace:
    later = replace(ws, as_of=datetime.fromisoformat(day).replace(tzinfo=UTC))
    object.__setattr__(later, "store", ws.store)  # one pool for all days
    return later


def balance(ws: Workspace, customer: str) -> tuple[int, int]:
    found = ledger.balance(ws.store, "club", customer) or {}
    return found.get("available", 0), found.get("debt", 0)


def transfers(ws: Workspace) -> list[dict[str, Any]]:
    with ws.store.read() as store:
        return [dict(row) for row in store.all("select * from transfer order by transfer_id")]


def differences(ws: Workspace) -> list[str]:
    return ledger.audit(ws.store, load(ws.project)).differences


def spend(ws: Workspace, customer: str, points: int) -> None:
    with ws.store.write() as store:
        Books(store, "club", ws.as_of, ws.business_date).spend(
            key=f"spend:{customer}:{points}", customer_id=customer, points=points
        )


@BOTH_STORES
def test_row_05_a_receipt_earns_once_however_often_the_day_is_run(shop: Workspace) -> None:
    publish(
        shop,
        transactions=[
            line("t1", "ann", 1999),
            line("t1", "ann", 1, line_id="2"),
            line("t2", "bob", 99),
            line("t3", None, 5000),
        ],
    )
    first = post(shop)
    assert (first.receipts, first.transfers, first.points_earned) == (3, 1, 20)
    before = transfers(shop)
    assert post(shop).transfers == 0
    assert transfers(shop) == before
    assert before[0]["idem_key"] == "earn:t1:-:purchase"
    assert balance(shop, "ann") == (20, 0)
    assert balance(shop, "bob") == (0, 0)
    assert differences(shop) == []


@BOTH_STORES
def test_a_return_takes_back_what_was_not_kept(shop: Workspace) -> None:
    """199 earns 1 point; giving back 99 keeps 100 and the point; the next cent costs it."""
    sale = line("t", "ann", 199, sold_at="2026-03-01")
    little = line("r1", "ann", -99, original_transaction_id="t", sold_at="2026-03-02")
    cent = line("r2", None, -1, original_transaction_id="t", sold_at="2026-03-03")
    rest = line("r3", "ann", -99, original_transaction_id="t", sold_at="2026-03-04")
    for day, lines, points in [
        ("2026-03-02", [sale], 1),
        ("2026-03-03", [sale, little], 1),
        ("2026-03-04", [sale, little, cent], 0),
        ("2026-03-05", [sale, little, cent, rest], 0),
    ]:
        publish(on(shop, day), transactions=lines)
        post(on(shop, day))
        assert balance(shop, "ann") == (points, 0)
    assert [row["idem_key"] for row in transfers(shop)][1:] == ["clawback:r2:1:purchase"]
    assert differences(shop) == []


@BOTH_STORES
def test_a_return_that_turns_out_to_be_of_another_receipt_takes_what_that_one_says(
    shop: Workspace,
) -> None:
    """4.10 of 8.00 or 8.05 cost 5 points, of 8.99 or of nothing known 4."""
    sales = [line("t", "ann", 800), line("u", "ann", 899), line("v", "bob", 805)]
    for day, original, points in [
        ("2026-03-02", "t", (8 + 8 - 5, 8)),
        ("2026-03-03", "u", (8 + 8 - 4, 8)),
        ("2026-03-04", "v", (8 + 8, 8 - 5)),
        ("2026-03-05", None, (8 + 8 - 4, 8)),
        ("2026-03-06", "t", (8 + 8 - 5, 8)),
    ]:
        back = line("r", "ann", -410, original_transaction_id=original, file_id=int(day[-1]))
        publish(on(shop, day), transactions=[*sales, back])
        post(on(shop, day))
        assert (balance(shop, "ann"), balance(shop, "bob")) == ((points[0], 0), (points[1], 0))
    assert differences(shop) == []


def test_what_comes_back_of_one_receipt_leaves_alone_what_came_back_with_it_of_another(
    shop: Workspace,
) -> None:
    sales = [line("t", "ann", 800), line("u", "ann", 800)]
    both = [
        line("r", "ann", -200, original_transaction_id="t", sold_at="2026-03-02"),
        line("r", "ann", -300, original_transaction_id="u", sold_at="2026-03-02", line_id="2"),
    ]
    more = line("s", "ann", -100, original_transaction_id="u", sold_at="2026-03-03", file_id=2)
    for day, lines, left in [
        ("2026-03-03", [*sales, *both], 11),
        ("2026-03-04", [*sales, *both, more], 10),
    ]:
        publish(on(shop, day), transactions=lines)
        post(on(shop, day))
        assert balance(shop, "ann") == (left, 0)


def test_a_return_that_turns_out_to_be_none_gives_back_what_it_took(shop: Workspace) -> None:
    sale = line("t", "ann", 800)
    back = line("r", "ann", -200, original_transaction_id="t", sold_at="2026-03-02")
    publish(on(shop, "2026-03-03"), transactions=[sale, back])
    post(on(shop, "2026-03-03"))
    assert balance(shop, "ann") == (6, 0)
    publish(on(shop, "2026-03-04"), transactions=[sale, line("r", "ann", 200, file_id=2)])
    post(on(shop, "2026-03-04"))
    assert balance(shop, "ann") == (10, 0)


@BOTH_STORES
def test_points_that_were_spent_are_owed_and_later_points_repay_them(shop: Workspace) -> None:
    publish(shop, transactions=[line("t", "ann", 1000)])
    post(shop)
    spend(shop, "ann", 8)
    back = line("r", "ann", -1000, original_transaction_id="t", sold_at="2026-03-31")
    publish(shop, transactions=[line("t", "ann", 1000), back])
    post(on(shop, "2026-04-01"))
    assert balance(shop, "ann") == (0, 8)
    more = [
        line("t2", "ann", 500, sold_at="2026-04-01"),
        line("t3", "ann", 700, sold_at="2026-04-02"),
    ]
    publish(shop, transactions=[line("t", "ann", 1000), back, *more])
    post(on(shop, "2026-04-02"))
    assert balance(shop, "ann") == (0, 3)
    post(on(shop, "2026-04-03"))
    assert balance(shop, "ann") == (4, 0)
    assert [row["kind"] for row in transfers(shop)] == [
        "earn", "redeem", "clawback", "owe", "earn", "repay", "earn", "repay",
    ]  # fmt: skip
    assert differences(shop) == []


def test_within_balance_forgives_what_was_spent(shop: Workspace) -> None:
    programme(shop.project, returns="within_balance")
    publish(shop, transactions=[line("t", "ann", 1000)])
    post(shop)
    spend(shop, "ann", 8)
    back = line("r", "ann", -1000, original_transaction_id="t", sold_at="2026-03-31")
    publish(shop, transactions=[line("t", "ann", 1000), back])
    assert post(on(shop, "2026-04-01")).points_clawed_back == 2
    assert balance(shop, "ann") == (0, 0)
    assert post(on(shop, "2026-04-02")).transfers == 0


def test_a_return_of_a_purchase_nobody_knows_takes_no_more_than_was_ever_given(
    shop: Workspace,
) -> None:
    publish(
        shop,
        transactions=[
            line("r0", "ann", -900, sold_at="2026-02-01"),
            line("t", "ann", 500, sold_at="2026-02-02"),
            line("r1", "ann", -700, sold_at="2026-02-03"),
            line("r2", "ann", -700, sold_at="2026-02-04", original_transaction_id="unknown"),
            line("r3", "bob", -700),
        ],
    )
    report = post(shop)
    assert (report.points_earned, report.points_clawed_back) == (5, 5)
    assert (balance(shop, "ann"), balance(shop, "bob")) == ((0, 0), (0, 0))


def test_row_01_buying_and_returning_a_hundred_times_gains_nothing(shop: Workspace) -> None:
    lines = []
    for i in range(100):
        at = f"2026-01-01T00:{i // 2:02}:{i % 2 * 30:02}"
        lines.append(line(f"t{i}", "ann", 150, sold_at=at))
        named = {"original_transaction_id": f"t{i}"} if i % 2 else {}
        for part, amount in enumerate((-75, -75)):
            returned = {"sold_at": at[:-2] + f"{i % 2 * 30 + 1 + part:02}", **named}
            lines.append(line(f"r{i}", "ann", amount, line_id=str(part), **returned))
    publish(shop, transactions=lines)
    report = post(shop)
    assert report.points_earned == report.points_clawed_back == 100
    assert balance(shop, "ann") == (0, 0)
    assert differences(shop) == []


def test_row_06_what_was_cancelled_and_then_completed_earns_again(shop: Workspace) -> None:
    """By its occurrence: the same receipt once more by a correction, another one by its own key."""
    again = {"t": (1000, 10), "nothing": (0, 0), "once more": (1000, 10)}
    for number, (amount, points) in enumerate(again.values(), 1):
        publish(shop, transactions=[line("t", "ann", amount, file_id=number)])
        post(shop)
        assert balance(shop, "ann") == (points, 0)
    back = line("r", "ann", -1000, original_transaction_id="t", file_id=4)
    anew = line("u", "ann", 1000, file_id=5)
    sale = line("t", "ann", 1000, file_id=3)
    for lines, points in (((sale, back), 0), ((sale, back, anew), 10)):
        publish(shop, transactions=lines)
        post(shop)
        assert balance(shop, "ann") == (points, 0)
        assert post(shop).transfers == 0
    assert differences(shop) == []


def test_row_07_settling_a_debt_awards_nothing(shop: Workspace) -> None:
    """The purchase earns, once; that it was paid later, or that its points repay a debt, does not."""
    sale = line("t", "ann", 2000)
    spend = {"key": "s", "customer_id": "ann", "points": 15, "short": "owe"}
    with shop.store.write() as store:
        Books(store, "club", shop.as_of, shop.business_date).spend(**spend)
    publish(shop, transactions=[sale])
    post(shop)
    assert balance(shop, "ann") == (5, 0)
    publish(shop, transactions=[{**sale, "file_id": 2}])  # told again, as paid
    assert post(shop).transfers == 0
    given = [row for row in transfers(shop) if row["kind"] == "earn"]
    assert [row["amount"] for row in given] == [20]
    assert [row["amount"] for row in transfers(shop) if row["kind"] == "repay"] == [15]
    assert differences(shop) == []


@pytest.mark.parametrize("spent", [8, 10])
def test_what_was_forgiven_stays_forgiven_when_more_of_the_receipt_comes_back(
    shop: Workspace, spent: int
) -> None:
    programme(shop.project, returns="within_balance")
    sale = line("t", "ann", 1000)
    back = [
        line(
            f"r{n}",
            "ann",
            -200,
            original_transaction_id="t",
            sold_at=f"2026-04-0{n}T10:00",
            file_id=n,
        )
        for n in (1, 3)
    ]
    back[0]["amount"] = -500
    publish(shop, transactions=[sale])
    post(shop)
    with shop.store.write() as store:
        Books(store, "club", shop.as_of, shop.business_date).spend(
            key="s", customer_id="ann", points=spent
        )
    publish(shop, transactions=[sale, back[0]])
    post(on(shop, "2026-04-02"))
    assert balance(shop, "ann") == (0, 0)
    more = line("u", "ann", 9000, sold_at="2026-04-02T10:00", file_id=2)
    publish(shop, transactions=[sale, back[0], more])
    post(on(shop, "2026-04-03"))
    publish(shop, transactions=[sale, more, *back])
    post(on(shop, "2026-04-04"))
    assert balance(shop, "ann") == (90 - 2, 0)  # 3 of 10 are kept, where 5 were before
    assert differences(shop) == []


@BOTH_STORES
def test_row_21_a_corrected_receipt_posts_the_difference(shop: Workspace) -> None:
    for number, (amount, points) in enumerate([(1000, 10), (1250, 12), (300, 3), (1250, 12)], 1):
        publish(shop, transactions=[line("t", "ann", amount, file_id=number)])
        post(shop)
        assert balance(shop, "ann") == (points, 0)
        assert post(shop).transfers == 0
    assert [row["idem_key"] for row in transfers(shop)] == [
        "earn:t:-:purchase", "adjust:t:-:purchase:2:12", "adjust:t:-:purchase:3:3", "adjust:t:-:purchase:4:12",
    ]  # fmt: skip
    assert differences(shop) == []


def test_a_corrected_receipt_gives_back_what_its_return_took_too_much(shop: Workspace) -> None:
    back = line("r", "ann", -500, original_transaction_id="t", sold_at="2026-03-02")
    publish(shop, transactions=[line("t", "ann", 1000), back])
    post(shop)
    assert balance(shop, "ann") == (5, 0)
    publish(shop, transactions=[line("t", "ann", 200, file_id=2), back])
    post(shop)
    assert balance(shop, "ann") == (0, 0)
    publish(
        shop, transactions=[line("t", "ann", 200, file_id=2), {**back, "amount": -50, "file_id": 3}]
    )
    post(shop)
    assert balance(shop, "ann") == (1, 0)
    assert differences(shop) == []


def test_a_receipt_that_turns_out_to_be_another_customers_moves(shop: Workspace) -> None:
    back = line("r", "ann", -300, original_transaction_id="t", sold_at="2026-03-02")
    publish(shop, transactions=[line("t", "ann", 1000), back])
    post(shop)
    publish(shop, transactions=[line("t", "bob", 1000, file_id=2), back])
    post(shop)
    assert (balance(shop, "ann"), balance(shop, "bob")) == ((0, 0), (7, 0))
    assert post(shop).transfers == 0
    assert differences(shop) == []


def test_a_changed_rule_does_not_judge_old_receipts_again(shop: Workspace) -> None:
    """Not even when the retailer exports them once more."""
    publish(shop, transactions=[line("t", "ann", 1000)])
    post(shop)
    programme(shop.project, points=5)
    back = line("r", "ann", -500, original_transaction_id="t", sold_at="2026-04-01", file_id=2)
    new = line("t2", "ann", 100, sold_at="2026-04-01", file_id=2)
    publish(shop, transactions=[line("t", "ann", 1000, file_id=2), new])
    post(on(shop, "2026-04-02"))
    assert balance(shop, "ann") == (15, 0)
    publish(shop, transactions=[line("t", "ann", 1000, file_id=2), new, {**back, "file_id": 3}])
    post(on(shop, "2026-04-02"))
    assert balance(shop, "ann") == (10, 0)
    assert differences(shop) == []


def test_a_day_before_the_last_one_may_be_run_again(shop: Workspace) -> None:
    lines = [
        line("t1", "ann", 100, sold_at="2026-03-01"),
        line("t2", "ann", 200, sold_at="2026-03-20"),
    ]
    publish(shop, transactions=lines)
    post(shop)
    late = line("t0", "ann", 400, sold_at="2026-02-01", file_id=2)
    publish(
        shop, transactions=[*lines, late, {**late, "transaction_id": "t3", "sold_at": "2026-03-25"}]
    )
    assert post(on(shop, "2026-03-10")).points_earned == 4
    assert post(shop).points_earned == 4
    assert balance(shop, "ann") == (11, 0)


def test_a_night_looks_only_at_what_is_new(shop: Workspace) -> None:
    old = [line(f"t{i}", "ann", 100, sold_at="2026-03-01") for i in range(50)]
    publish(shop, transactions=old)
    assert post(shop).receipts == 50
    publish(shop, transactions=[*old, line("u", "ann", 100, sold_at="2026-03-31T10:00")])
    assert post(on(shop, "2026-04-01")).receipts == 1


def test_only_the_programmes_currency_earns(shop: Workspace) -> None:
    path = shop.project / FILE
    path.write_text(path.read_text().replace("currency: any", "currency: GBP"))
    publish(shop, transactions=[line("t", "ann", 1000), line("u", "ann", 700, currency="GBP")])
    assert post(shop).points_earned == 7


@BOTH_STORES
def test_a_balance_that_was_tampered_with_stops_the_night(shop: Workspace) -> None:
    publish(shop, transactions=[line("t", "ann", 1000)])
    post(shop)
    with shop.store.write() as store:
        store.run("update account set balance = 99 where bucket = 'available'")
    publish(
        shop, transactions=[line("t", "ann", 1000), line("u", "ann", 100, sold_at="2026-03-31")]
    )
    with pytest.raises(LedgerDiffers, match="balances come to 100 points, their transfers to 11"):
        post(on(shop, "2026-04-01"))
    assert len(transfers(shop)) == 1
    assert differences(shop) == [
        "ann available: balance 99, transfers 10",
        "ann available: balance 99, lots 10",
        "2026-04-01: transfers come to 11, balances to 100",
    ]
    with shop.store.write() as store:
        store.run("update account set balance = 10 where bucket = 'available'")
    assert post(on(shop, "2026-04-01")).points_earned == 1
    assert differences(shop) == []


SAME = "programme, idem_key, kind, debit_id, credit_id, amount, source_type, source_id, rule, rule_version"
DATES = "effective_at, posted_at, business_date"
TWICE = (
    f"drop index transfer_key; insert into transfer ({SAME}, {DATES}) "
    f"select {SAME}, {DATES} from transfer where idem_key = 's'"
)
DAMAGE = {
    "update transfer set amount = 4 where idem_key = 's'": "s: 4 points, but lots paid 3 and got 0",
    "update lot_move set transfer_id = 1 where delta = -3": "s: 3 points, but lots paid 0 and got 0",
    "delete from lot_move where delta = -3": "s: 3 points, but lots paid 0 and got 0",
    "update transfer set credit_id = debit_id, debit_id = credit_id where idem_key = 's'": (
        "s: redeem goes from redeemed to available"
    ),
    "delete from lot where remaining = 0": (
        "move of lot 2: its transfer, its lot or its account is not there"
    ),
    "delete from transfer where idem_key = 'earn:t:-:purchase'": (
        "lot 1: its transfer, its lot or its account is not there"
    ),
    "update lot set account_id = 1 where lot_id = 2": (
        "lot of earn:u:-:purchase: given to bob, lies with ann"
    ),
    "delete from account where bucket = 'available'": (
        "earn:t:-:purchase: 10 points from or to an account that is not there"
    ),
    "update transfer set kind = 'void' where kind = 'hold'": "bob held: balance 7, open holds 0",
    "update transfer set rule = 'welcome' where idem_key = 'earn:t:-:purchase'": (
        "earn:t:-:purchase: its row says source t and rule welcome"
    ),
    "update transfer set source_id = 'u' where idem_key like 'clawback:%'": (
        "clawback:r:1:purchase: its row says source u and rule purchase"
    ),
    "update transfer set effective_at = '2025-12-31T00:00:00+00:00' where idem_key like 'earn:t:%'": (
        "earn:t:-:purchase: its row says 2025-12-31T00:00:00+00:00, its lot was earned at "
        "2026-03-01T00:00:00+00:00"
    ),
    TWICE: "s: posted 2 times",
    "update reward_cursor set asserted = 8": (
        "the nights wrote down 8 points up to transfer 4, which transfers make 17"
    ),
}


@BOTH_STORES
@pytest.mark.parametrize("damage", DAMAGE)
def test_the_audit_tells_what_was_changed_by_hand(shop: Workspace, damage: str) -> None:
    """Also where every balance is still what its transfers and its lots make."""
    back = line("r", "cy", -100, original_transaction_id="v")
    publish(
        shop,
        transactions=[line("t", "ann", 1000), line("u", "bob", 700), line("v", "cy", 100), back],
    )
    post(shop)
    with shop.store.write() as store:
        books = Books(store, "club", shop.as_of, shop.business_date)
        books.spend(key="s", customer_id="ann", points=3)
        books.hold(key="h", customer_id="bob", points=7, expires_at=shop.as_of + timedelta(days=1))
    assert differences(shop) == []
    tamper(str(shop.settings.store_url), damage)
    assert DAMAGE[damage] in differences(shop)


def tamper(url: str, damage: str) -> None:
    """As somebody with a tool of their own, whom nothing refuses."""
    if url.startswith("postgresql"):
        with psycopg.connect(url) as store:
            key = "alter table transfer drop constraint transfer_programme_idem_key_key"
            store.execute("set session_replication_role = replica")
            store.execute(damage.replace("drop index transfer_key", key))
        return
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as store:
        query = "select name from sqlite_master where type = 'trigger'"
        for (name,) in store.execute(query).fetchall():
            store.execute(f"drop trigger {name}")
        store.executescript(damage)


def _post_in_a_process(home: str, project: str, url: str | None, gate: Any) -> None:
    ws = workspace(Path(home), project=Path(project), store_url=url)
    gate.wait()
    post(ws)
    ws.store.close()


@BOTH_STORES
def test_four_postings_at_once_post_once(shop: Workspace) -> None:
    lines = [line(f"t{i}", f"c{i % 7}", 100 + i) for i in range(300)]
    returns = [line(f"r{i}", None, -50, original_transaction_id=f"t{i}") for i in range(100)]
    publish(shop, transactions=lines + returns)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    gate = context.Barrier(4)
    where = (str(shop.home.root), str(shop.project), shop.settings.store_url, gate)
    processes = [context.Process(target=_post_in_a_process, args=where) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    earned = sum((100 + i) // 100 for i in range(300))
    assert sum(row["amount"] for row in transfers(shop) if row["kind"] == "earn") == earned
    assert differences(shop) == []


def test_a_posting_killed_half_way_posts_nothing_and_the_next_posts_all(shop: Workspace) -> None:
    publish(shop, transactions=[line(f"t{i}", f"c{i % 7}", 100 + i) for i in range(300)])
    code = (
        "import os\nfrom pathlib import Path\nfrom tessera.reward import ledger, post\n"
        "from tessera.testing import workspace\n"
        "ledger.assert_balance = lambda *_: os.kill(os.getpid(), 9)\n"
        f"post(workspace(Path({str(shop.home.root)!r}), project=Path({str(shop.project)!r})))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert transfers(shop) == []
    assert post(shop).transfers == 300


def test_the_ledger_still_refuses_a_balance_below_nothing(shop: Workspace) -> None:
    publish(shop, transactions=[line("t", "ann", 1000)])
    post(shop)
    with pytest.raises(DBAPIError), shop.store.write() as store:
        store.run("update account set balance = balance - 11 where bucket = 'available'")


# What the ledger should hold, said plainly: a walk through a customer's receipts in time order.


def expected(events: list[dict[str, Any]], *, per: int) -> dict[str, int]:
    points: dict[str, int] = {}
    sales = {e["transaction_id"]: e for e in events if e["amount"] > 0}
    returned: dict[str, int] = {}
    for e in sorted(events, key=lambda e: e["sold_at"]):
        owner = e["customer_id"]
        original = sales.get(e.get("original_transaction_id"))
        change = e["amount"] // per
        if e["amount"] < 0:
            change = -(-e["amount"] // per)
        if original is not None:
            owner, name = original["customer_id"], original["transaction_id"]
            kept = max(original["amount"] - returned.get(name, 0), 0)
            returned[name] = returned.get(name, 0) - e["amount"]
            change = max(original["amount"] - returned[name], 0) // per - kept // per
        points[owner] = max(points.get(owner, 0) + change, 0)
    return points


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    events = []
    for i in range(draw(st.integers(1, 14))):
        at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=7 * i)
        customer = draw(st.sampled_from(["ann", "bob"]))
        sales = [e["transaction_id"] for e in events if e["amount"] > 0]
        kind = draw(st.sampled_from(["sale", "sale", "return", "unnamed"]))
        amount = draw(st.integers(1, 700)) * (1 if kind == "sale" else -1)
        named = (
            {"original_transaction_id": draw(st.sampled_from(sales))}
            if kind == "return" and sales
            else {}
        )
        events.append(line(f"t{i}", customer, amount, sold_at=at.replace(tzinfo=None), **named))
    return events


PATIENT = {"deadline": None, "suppress_health_check": list(HealthCheck)}
NIGHTS = given(
    events=histories(),
    nights=st.lists(st.integers(1, 5), max_size=4),
    per=st.sampled_from([7, 100]),
)
CORRECTIONS = given(
    events=histories(),
    corrections=st.lists(st.tuples(st.integers(0, 13), st.integers(0, 900)), max_size=4),
)


@settings(max_examples=6, **PATIENT)
@NIGHTS
def test_any_history_in_any_nights_makes_the_points_of_a_plain_walk(
    tmp_path_factory: pytest.TempPathFactory, **drawn: Any
) -> None:
    night_by_night(tmp_path_factory.mktemp("history"), **drawn)


@settings(max_examples=6, **PATIENT)
@CORRECTIONS
def test_row_03_whatever_is_corrected_no_receipt_gives_back_more_than_it_earned(
    tmp_path_factory: pytest.TempPathFactory, **drawn: Any
) -> None:
    """With returns that name their original the end is that of the corrected history."""
    corrected(tmp_path_factory.mktemp("history"), **drawn)


@pytest.mark.proof
@settings(max_examples=300, **PATIENT)
@NIGHTS
def test_many_histories_make_the_points_of_a_plain_walk(
    tmp_path_factory: pytest.TempPathFactory, **drawn: Any
) -> None:
    night_by_night(tmp_path_factory.mktemp("history"), **drawn)


@pytest.mark.proof
@settings(max_examples=300, **PATIENT)
@CORRECTIONS
def test_many_corrections_end_as_the_corrected_history(
    tmp_path_factory: pytest.TempPathFactory, **drawn: Any
) -> None:
    corrected(tmp_path_factory.mktemp("history"), **drawn)


def night_by_night(
    folder: Path, *, events: list[dict[str, Any]], nights: list[int], per: int
) -> None:
    shop = workspace(folder / "home", "2026-04-01", project=programme(folder, per=per))
    publish(shop, transactions=events)
    for day in sorted(nights):
        post(on(shop, f"2026-03-0{day}"))
    post(shop)
    as_expected(shop, events, per=per)


def corrected(
    folder: Path, *, events: list[dict[str, Any]], corrections: list[tuple[int, int]]
) -> None:
    shop = workspace(folder / "home", "2026-04-01", project=programme(folder))
    known = [e for e in events if e["amount"] > 0 or e.get("original_transaction_id")]
    publish(shop, transactions=known)
    post(shop)
    for file_id, (index, amount) in enumerate(corrections, 2):
        if index < len(known):
            sign = 1 if known[index]["amount"] > 0 else -1
            known[index] = {**known[index], "amount": sign * max(amount, 1), "file_id": file_id}
            publish(shop, transactions=known)
            post(shop)
    as_expected(shop, known, per=100)


def as_expected(shop: Workspace, events: list[dict[str, Any]], *, per: int) -> None:
    for customer, points in expected(events, per=per).items():
        assert balance(shop, customer) == (points, 0)
    assert differences(shop) == []
    shop.store.close()
