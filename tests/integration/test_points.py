"""Points are held, spent and given back once, whoever asks at the same instant, on both databases."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tessera.reward import gifts, ledger, lots, points, revival
from tessera.reward.points import Balance, Books, Hold, KeyConflict, Posted, Refused, balance
from tessera.reward.terms import Expiry, Terms, day_after
from tessera.store import Store
from tests.conftest import BOTH_STORES

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
SOON = NOON + timedelta(minutes=10)


class Till:
    """Each operation in a transaction of its own; `at` may be moved."""

    def __init__(self, store: Store, at: datetime = NOON) -> None:
        self.store, self.at = store, at

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def one(*args: Any, **kwargs: Any) -> Any:
            with self.store.write() as connection:
                books = Books(connection, "club", self.at, self.at.date())
                return getattr(books, name)(*args, **kwargs)

        return one

    def give(self, customer: str, points: int, until: str | None = None, key: str = "g") -> None:
        terms = (
            Terms(None, day_after(date.fromisoformat(until), "UTC"), until) if until else Terms()
        )
        self.grant(key=f"{key}:{customer}", customer_id=customer, points=points, terms=terms)

    def balance(self, customer: str = "ann") -> Balance:
        with self.store.read() as connection:
            return balance(connection, "club", customer)

    def lots(self) -> dict[str, int]:
        """What is left, by the key of what gave it."""
        with self.store.read() as connection:
            rows = connection.all(
                "select idem_key, remaining from lot "
                "inner join transfer on lot.lot_id = transfer.transfer_id order by lot_id"
            )
        return {row["idem_key"]: row["remaining"] for row in rows}


@pytest.fixture
def till(store: Store) -> Iterator[Till]:
    yield Till(store)
    assert broken(store) == []


def broken(store: Store) -> list[Any]:
    """Accounts whose balance is not the sum of their lots and of their transfers, and lots that are
    not what they were given and the sum of their moves."""
    with store.read() as connection:
        return connection.all(
            """
            select owner_id, bucket, balance from account where owner_type = 'member' and (
                (bucket in ('available', 'pending') and balance <> (
                    select coalesce(sum(remaining), 0) from lot where lot.account_id = account.account_id
                )) or balance <> (case when bucket = 'debt' then -1 else 1 end) * (
                    select coalesce(sum(case when credit_id = account_id then amount else -amount end), 0)
                    from transfer where account_id in (credit_id, debit_id)
                ))
            union all
            select 'lot', cast(lot_id as text), remaining from lot where remaining <> amount + (
                select coalesce(sum(delta), 0) from lot_move where lot_move.lot_id = lot.lot_id
            )
            """
        )


@BOTH_STORES
def test_what_ends_first_is_spent_first_and_what_never_ends_last(till: Till) -> None:
    till.give("ann", 5, key="never")
    till.give("ann", 5, "2026-12-31", key="late")
    till.give("ann", 5, "2026-06-30", key="early")
    till.spend(key="s", customer_id="ann", points=7)
    assert till.lots() == {"never:ann": 5, "late:ann": 3, "early:ann": 0}


@BOTH_STORES
def test_row_20_what_is_voided_or_given_back_keeps_its_own_end(till: Till) -> None:
    till.give("ann", 5, "2026-06-30", key="early")
    till.give("ann", 5, "2026-12-31", key="late")
    before = till.lots()
    till.hold(key="h", customer_id="ann", points=8, expires_at=SOON)
    assert till.balance() == Balance(available=2, held=8)
    assert till.void("h") == Posted("void:h", "ann", 8)
    assert (till.lots(), till.balance()) == (before, Balance(available=10))
    till.spend(key="s", customer_id="ann", points=8)
    till.reverse("s", key="half", points=4)
    assert till.lots() == {"early:ann": 1, "late:ann": 5}  # as if only 4 had been spent
    till.reverse("s")
    assert till.lots() == before


@BOTH_STORES
def test_row_02_a_redemption_gives_back_in_parts_no_more_than_it_took(till: Till) -> None:
    till.give("ann", 10)
    till.hold(key="h", customer_id="ann", points=9, expires_at=SOON)
    assert till.redeem("h", points=7) == Posted("redeem:h", "ann", 7)
    assert till.balance() == Balance(available=3)
    assert till.reverse("redeem:h", key="a", points=5) == Posted("a", "ann", 5)
    assert till.reverse("redeem:h", key="b", points=5) == Refused("nothing_left")
    assert till.reverse("redeem:h", key="a", points=5) == Posted("a", "ann", 5)
    assert till.balance() == Balance(available=8)
    assert till.reverse("redeem:h", key="c") == Posted("c", "ann", 2)
    assert till.balance() == Balance(available=10)
    assert till.reverse("g:ann") == Refused("not_reversible")
    assert till.reverse("nobody knows") == Refused("unknown")


@BOTH_STORES
def test_row_32_a_key_posts_once_and_another_request_under_it_is_refused(till: Till) -> None:
    till.give("ann", 10)
    held = till.hold(key="h", customer_id="ann", points=4, expires_at=SOON)
    assert held == Hold("h", "ann", 4, SOON)
    assert till.hold(key="h", customer_id="ann", points=4, expires_at=SOON) == held
    till.at += timedelta(minutes=1)
    again = till.hold(key="h", customer_id="ann", points=4, expires_at=SOON + timedelta(minutes=1))
    assert again == held
    for other in ({"points": 5}, {"customer_id": "bob"}):
        with pytest.raises(KeyConflict, match="'h' was used for another request"):
            till.hold(**{"key": "h", "customer_id": "ann", "points": 4, "expires_at": SOON} | other)
    with pytest.raises(KeyConflict):
        till.spend(key="h", customer_id="ann", points=4)
    assert till.balance() == Balance(available=6, held=4)


@BOTH_STORES
def test_row_19_a_hold_is_resolved_once(till: Till) -> None:
    till.give("ann", 10)
    till.hold(key="h", customer_id="ann", points=4, expires_at=SOON)
    assert till.redeem("h") == till.redeem("h") == Posted("redeem:h", "ann", 4)
    assert till.redeem("h", points=3) == till.void("h") == Refused("resolved")
    assert till.redeem("unheard of") == till.void("g:ann") == Refused("unknown")
    assert till.balance() == Balance(available=6)


@BOTH_STORES
def test_row_16_a_hold_that_nobody_resolves_comes_back_when_its_time_is_out(till: Till) -> None:
    till.give("ann", 10)
    till.hold(key="h", customer_id="ann", points=4, expires_at=SOON)
    till.hold(key="k", customer_id="ann", points=4, expires_at=SOON + timedelta(hours=1))
    assert till.hold(key="l", customer_id="ann", points=4, expires_at=SOON) == Refused("no_points")
    assert till.release_due() == 0
    till.at = SOON
    assert till.redeem("h") == Refused("timed_out")
    assert (till.release_due(), till.release_due()) == (1, 0)
    assert till.balance() == Balance(available=6, held=4)
    assert till.redeem("h") == Refused("resolved")


@BOTH_STORES
def test_row_09_points_that_come_back_after_their_end_may_still_be_spent_for_the_grace(
    till: Till,
) -> None:
    till.give("ann", 5, "2026-03-31")
    till.spend(key="s", customer_id="ann", points=5)
    till.at += timedelta(days=3)
    till.reverse("s")
    with till.store.read() as store:
        assert store.scalar("select expires_on from lot") == "2026-04-03"
    assert till.balance() == Balance(available=5)


@BOTH_STORES
def test_only_what_comes_back_has_the_grace_and_not_what_was_never_spent(till: Till) -> None:
    """Whether the night came by to end the rest of their lot or not."""
    for way, name in enumerate(("ann", "bob", "cy")):
        till.give(name, 9, "2026-03-31")
        till.hold(key=f"h{way}", customer_id=name, points=4, expires_at=NOON + timedelta(days=9))
    till.redeem("h2")
    till.at += timedelta(days=3)
    till.void("h0")
    till.redeem("h1", points=3)
    till.reverse("redeem:h2", points=2)
    assert [till.balance(name).available for name in ("ann", "bob", "cy")] == [4, 1, 2]


@BOTH_STORES
def test_what_is_given_back_ends_nothing_where_the_night_alone_knows_who_was_active(
    till: Till,
) -> None:
    till.give("ann", 9, "2026-03-31")
    till.hold(key="h", customer_id="ann", points=4, expires_at=NOON + timedelta(days=9))
    at = NOON + timedelta(days=3)
    with till.store.write() as store:
        Books(store, "club", at, at.date(), expiry=Expiry(kind="inactivity", days=10)).void("h")
    assert till.balance() == Balance(available=9)


@BOTH_STORES
@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_row_10_the_days_of_grace_are_those_of_the_programmes_zone(till: Till, zone: str) -> None:
    """At noon and at midnight of the shop's Greenwich it is another day there."""
    till.give("ann", 5, "2026-03-31")
    till.spend(key="s", customer_id="ann", points=5)
    for hour in (0, 12):
        at = datetime(2026, 4, 9, hour, 30, tzinfo=UTC)
        with till.store.write() as connection:
            books = Books(
                connection,
                "club",
                at,
                at.date(),
                timezone=zone,
                expiry=Expiry(kind="rolling", months=12, grace_days=1),
            )
            books.reverse("s", key=f"r{hour}", points=1)
            last = connection.scalar("select expires_on from lot")
            connection.run("update lot set expires_on = '2026-03-31', expires_at = '2026-04-01'")
        assert last == str(at.astimezone(ZoneInfo(zone)).date() + timedelta(days=1))


@BOTH_STORES
def test_who_has_nothing_but_points_to_come_has_nothing_to_spend(till: Till) -> None:
    coming = Terms(activates_at="2026-05-01T00:00:00+00:00")
    till.grant(key="g", customer_id="ann", points=5, terms=coming)
    assert till.hold(key="h", customer_id="ann", points=1, expires_at=SOON) == Refused("no_points")
    assert till.spend(key="s", customer_id="ann", points=1) == Refused("no_points")


@BOTH_STORES
def test_row_24_points_pay_to_exact_zero_and_what_a_till_spent_unasked_is_owed(till: Till) -> None:
    till.give("ann", 5)
    assert till.spend(key="all", customer_id="ann", points=5) == Posted("all", "ann", 5)
    assert till.spend(key="more", customer_id="ann", points=1) == Refused("no_points")
    late = {"key": "late", "customer_id": "ann", "points": 3, "short": "owe"}
    assert till.spend(**late) == till.spend(**late) == Posted("late", "ann", 3)
    assert till.balance() == Balance(debt=3)
    till.give("ann", 10, key="then")
    assert till.balance() == Balance(available=7)
    till.reverse("late")
    assert till.balance() == Balance(available=10)


@BOTH_STORES
def test_what_a_redemption_leaves_of_its_hold_pays_back_first_what_is_owed(till: Till) -> None:
    till.give("ann", 10)
    till.hold(key="h", customer_id="ann", points=9, expires_at=SOON)
    till.spend(key="late", customer_id="ann", points=3, short="owe")
    assert till.balance() == Balance(held=9, debt=2)
    till.redeem("h", points=5)
    assert till.balance() == Balance(available=2)


@BOTH_STORES
def test_what_was_borrowed_for_a_redemption_goes_back_with_it(till: Till) -> None:
    """It left points that never end, in the place of those that would have ended."""
    till.give("ann", 5, "2026-12-31")
    till.spend(key="late", customer_id="ann", points=8, short="owe")
    till.reverse("late", key="part", points=1)
    assert (till.lots(), till.balance()) == ({"g:ann": 0, "owe:late": 0}, Balance(debt=2))
    till.reverse("late")
    assert (till.lots(), till.balance()) == ({"g:ann": 5, "owe:late": 0}, Balance(available=5))


# Eight processes at once


def _at_once(store_url: str, gate: Any, answers: Any, operation: str, jobs: list[Any]) -> None:
    store = Store.open(store_url)
    till = Till(store)
    gate.wait()
    for kwargs in jobs:
        answers.put(type(getattr(till, operation)(**kwargs)).__name__)
    store.close()


def at_once(store_url: str, operation: str, jobs: list[list[dict[str, Any]]]) -> dict[str, int]:
    """Run each list of jobs in a process of its own, all at once; how many answers of each kind."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.integration.test_points"])
    gate, answers = context.Barrier(len(jobs)), context.SimpleQueue()
    processes = [
        context.Process(target=_at_once, args=(store_url, gate, answers, operation, part))
        for part in jobs
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    found = [answers.get() for part in jobs for _ in part]
    return {kind: found.count(kind) for kind in sorted(set(found))}


@BOTH_STORES
def test_row_14_eight_tills_cannot_spend_one_balance_twice(till: Till, store_url: str) -> None:
    till.give("ann", 100)
    jobs = [
        [{"key": f"s:{n}:{i}", "customer_id": "ann", "points": 10} for i in range(5)]
        for n in range(8)
    ]
    assert at_once(store_url, "spend", jobs) == {"Posted": 10, "Refused": 30}
    assert till.balance() == Balance()


@BOTH_STORES
def test_row_14_of_eight_tills_one_takes_the_whole_balance(till: Till, store_url: str) -> None:
    till.give("ann", 100)
    jobs = [
        [{"key": f"h:{n}", "customer_id": "ann", "points": 100, "expires_at": SOON}]
        for n in range(8)
    ]
    assert at_once(store_url, "hold", jobs) == {"Hold": 1, "Refused": 7}
    assert till.balance() == Balance(held=100)


@BOTH_STORES
def test_row_19_every_reversal_asked_for_twice_at_once_takes_effect_once(
    till: Till, store_url: str
) -> None:
    names = [f"c{n}" for n in range(12)]
    for name in names:
        till.give(name, 10)
        till.spend(key=f"s:{name}", customer_id=name, points=10)
    jobs = [[{"of": f"s:{name}", "key": f"r:{n}:{name}"} for name in names] for n in range(2)]
    assert at_once(store_url, "reverse", jobs) == {"Posted": 12, "Refused": 12}
    assert [till.balance(name) for name in names] == [Balance(available=10)] * 12


def test_a_tie_out_costs_what_came_since_the_last_and_not_the_whole_history(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/store.sqlite")
    with store.read() as connection:
        query = f"explain query plan {ledger.SQL['tie_out']}"
        steps = [row["detail"] for row in connection.all(query, programme="club", after=1)]
    looks = [step for step in steps if step.startswith(("SEARCH transfer", "SCAN transfer"))]
    assert looks
    assert all("rowid>?" in step or step == "SEARCH transfer" for step in looks), looks


@pytest.mark.parametrize(
    "query", [ledger.SQL["posted"], lots.SQL["take_own"], revival.SQL["revive"]]
)
def test_what_a_receipt_moved_is_found_by_the_receipt(tmp_path: Path, query: str) -> None:
    """What came of transfers is not in that index, so a question must say that it wants none of it."""
    values = dict.fromkeys(re.findall(r"(?<!:):(\w+)", query), "x")
    store = Store.open(f"sqlite:///{tmp_path}/store.sqlite")
    with store.read() as connection:
        connection.run(ledger.SQL["want"])
        connection.run(revival.SQL["ask"])
        steps = [row["detail"] for row in connection.all(f"explain query plan {query}", **values)]
    assert any("transfer_by_source (source_id=?" in step for step in steps), steps


@pytest.mark.parametrize(
    "query",
    [
        points.SQL["holds"],
        lots.SQL["restore"],
        ledger.SQL["statement"],
        gifts.SQL["given"].format(keys="json_each('[\"x\"]')"),
    ],
    ids=["holds that are due", "points given back", "a member's statement", "gifts"],
)
def test_no_question_about_a_few_transfers_reads_them_all(tmp_path: Path, query: str) -> None:
    """SQLite takes those of one programme for few; of twenty million it read every one."""
    values = dict.fromkeys(re.findall(r"(?<!:):(\w+)", query), "x")
    store = Store.open(f"sqlite:///{tmp_path}/store.sqlite")
    with store.read() as connection:
        steps = [row["detail"] for row in connection.all(f"explain query plan {query}", **values)]
    looks = [step for step in steps if "transfer" in step or "(programme=?)" in step]
    assert looks
    assert not any(step.startswith("SCAN transfer") for step in looks), looks
    assert not any(step.endswith("(programme=?)") for step in looks), looks
