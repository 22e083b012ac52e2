"""Whatever is done to points, in any order and however often, the ledger agrees after every step with
a model in plain Python that knows lots, holds and debts as lists and numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tessera.reward import merging, night, pooling, posting
from tessera.reward.night import Night
from tessera.reward.points import Books, Posted, Refused
from tessera.reward.programme import Programme
from tessera.reward.terms import Expiry, Terms, day_after, day_starts
from tessera.store import Store
from tessera.testing import line, publish, workspace
from tests.conftest import BOTH_STORES

NAMES = ("ann", "bob", "cy")
TOGETHER = ("ann", "bob")  # a household
GRACE = 2
EXPIRY = Expiry(kind="rolling", months=12, grace_days=GRACE)
RECEIPTS = Expiry(kind="rolling", days=3)  # of what they earn
NUMBERS = itertools.count()


class Undone(Exception):
    pass


@dataclass
class Lot:
    key: str
    owner: str
    number: int
    remaining: int
    earned_at: datetime
    starts: date | None  # pending until then
    ends: date | None
    receipt: str = ""
    ended: int = 0  # and was not taken since
    revived: int = 0  # how often some of that was taken

    @property
    def order(self) -> tuple[Any, ...]:
        return (self.ends is None, self.ends or date.min, self.earned_at, self.number)


@dataclass
class Spent:
    owner: str
    left: int  # held, or not given back yet
    paid: list[tuple[Lot, int]]
    until: datetime | None = None
    state: str = "held"


@dataclass
class Bought:
    owner: str
    amount: int
    at: datetime
    back: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    is_posted: bool = False
    taken: set[str] = field(default_factory=set)

    def points_kept(self, without: set[str]) -> int:
        return max(self.amount - sum(self.back[key][0] for key in without), 0) // 100


@dataclass
class Event:
    """A receipt that earns, or a return that takes."""

    at: datetime
    points: int
    key: str
    receipt: str
    rest: int = 0  # what its own receipt's lots do not pay


@dataclass
class Model:
    lots: list[Lot] = field(default_factory=list)
    debt: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    issued: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    bought: dict[str, Bought] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    merges: dict[str, int] = field(default_factory=dict)
    draws: dict[str, int] = field(default_factory=dict)

    def open(self, owner: str) -> list[Lot]:
        found = [one for one in self.lots if one.owner == owner and one.starts is None]
        return sorted((one for one in found if one.remaining), key=lambda one: one.order)

    def available(self, owner: str) -> int:
        return sum(one.remaining for one in self.open(owner))

    def give(  # noqa: PLR0917
        self, key: str, owner: str, points: int, at: datetime, starts: Any = None, ends: Any = None
    ) -> Lot:
        self.lots.append(Lot(key, owner, len(self.lots), points, at, starts, ends))
        if starts is None and not key.startswith(("owe:", "pool:")):
            self.issued[owner] += points
        return self.lots[-1]

    def take(
        self, owner: str, points: int, *, borrowed_first: bool = False
    ) -> list[tuple[Lot, int]]:
        paid, found = [], self.open(owner)
        if borrowed_first:
            found.sort(key=lambda one: not one.key.startswith("owe:"))
        for one in found:
            part = min(one.remaining, points)
            if part:
                one.remaining -= part
                points -= part
                paid.append((one, part))
        assert points == 0
        return paid

    def repay(self, owner: str) -> None:
        points = min(self.available(owner), self.debt[owner])
        self.take(owner, points, borrowed_first=True)
        self.debt[owner] -= points

    def end(self, owner: str | None, on: date) -> None:
        for one in self.lots:
            if owner in (None, one.owner) and one.starts is None and one.ends and one.ends < on:
                if not one.key.startswith("pool:"):
                    self.issued[one.owner] -= one.remaining
                one.ended += one.remaining
                one.remaining = 0

    def give_back(self, spent: Spent, points: int, on: date) -> None:
        """What would last longest is given back first. What else has ended by then ends."""
        if points:
            self.end(spent.owner, on)
        paid, spent.paid = sorted(spent.paid, key=lambda p: p[0].order, reverse=True), []
        for one, part in paid:
            back = min(part, points)
            points -= back
            one.remaining += back
            if back and one.ends and one.ends < on:
                one.ends = on + timedelta(days=GRACE)
            if part > back:
                spent.paid.append((one, part - back))
        self.repay(spent.owner)

    def draw(self, theirs: list[Lot], name: str, lacking: int) -> None:
        for one in theirs:
            part = min(one.remaining, lacking)
            if part > 0:
                times = self.draws.get(one.key, 0)
                self.draws[one.key] = times + 1
                key = f"pool:{one.key}:{times}"
                self.give(key, name, part, one.earned_at, None, one.ends).receipt = one.receipt
                one.remaining -= part
                lacking -= part

    def merge(self, owner: str, into: str) -> None:
        self.merged.pop(into, None)
        self.merged = {k: into if v == owner else v for k, v in self.merged.items()}
        self.merged[owner] = into
        mine = [one for one in self.lots if one.owner == owner and one.remaining]
        for one in sorted(mine, key=lambda one: one.key):
            times = self.merges.get(one.key, 0)
            self.merges[one.key] = times + 1
            key = f"merge:{one.key}:{times}"
            given = self.give(key, into, one.remaining, one.earned_at, one.starts, one.ends)
            given.receipt = one.receipt
            self.issued[owner] -= 0 if one.starts else one.remaining
            one.remaining = 0
        self.debt[into] += self.debt[owner]
        self.debt[owner] = 0
        self.repay(into)

    def told(self) -> dict[str, list[Event]]:
        """What receipts earn and returns take that no night has looked at, by member, in order."""
        found: dict[str, list[Event]] = {name: [] for name in NAMES}
        for key, one in self.bought.items():
            owner = self.merged.get(one.owner, one.owner)
            events = found[owner]
            if not one.is_posted:
                one.owner, one.is_posted = owner, True
                events.append(Event(one.at, one.amount // 100, f"earn:{key}:-:purchase", key))
            new = sorted(one.back.keys() - one.taken, key=lambda back: (one.back[back][1], back))
            for back in new:
                before = one.points_kept(one.taken)
                one.taken.add(back)
                points = one.points_kept(one.taken) - before
                taking = f"clawback:{back}:1:purchase"
                events.append(Event(one.back[back][1], points, taking, key))
        return {
            name: sorted((e for e in events if e.points), key=lambda e: (e.at, -e.points, e.key))
            for name, events in found.items()
        }

    def revive(self, owner: str, receipt: str, points: int) -> None:
        """What has ended costs nobody anything: it comes back to be taken."""
        for one in [lot for lot in self.lots if lot.receipt == receipt and lot.ended]:
            part = min(one.ended, points)
            if part:
                key = f"revive:{one.key}:{one.revived}"
                self.give(key, owner, part, one.earned_at, None, one.ends).receipt = receipt
                one.revived += 1
                one.ended -= part
                points -= part

    def forgive(self, owner: str, events: list[Event]) -> None:
        """Nobody owes more than they, and who turned out to be them, were ever given that did not end."""
        left = sum(self.issued[n] for n in NAMES if self.merged.get(n, n) == owner)
        bottom = min(left, 0)
        for one in events:
            left += one.points
            if left < bottom:
                one.points, left = one.points + bottom - left, bottom
            self.issued[owner] += min(one.points, 0)

    def pay_of_own(self, owner: str, one: Event) -> None:
        """A return takes of its own receipt, and of that what had ended before all else."""
        one.rest = -one.points
        own = [lot for lot in self.lots if (lot.receipt, lot.owner) == (one.receipt, owner)]
        for lot in sorted(own, key=lambda lot: not lot.key.startswith("revive:")):
            part = 0 if lot.starts else min(lot.remaining, one.rest)
            lot.remaining -= part
            one.rest -= part

    def post(self, days: int) -> None:
        told = self.told()
        for name, events in told.items():
            for receipt in sorted({one.receipt for one in events}):
                back = [one.points for one in events if one.receipt == receipt and one.points < 0]
                self.revive(name, receipt, -sum(back))
        for name, events in told.items():
            self.forgive(name, events)
            if kept := [one for one in events if one.points]:
                self.settle(name, kept, days)

    def settle(self, name: str, events: list[Event], days: int) -> None:
        net = self.available(name) - self.debt[name] + sum(one.points for one in events)
        owed = max(-net, 0)
        for one in events:
            if one.points > 0:
                ends = one.at.date() + timedelta(days=days)
                given = self.give(one.key, name, one.points, one.at, None, ends)
                given.receipt = one.receipt
        taking = [one for one in events if one.points < 0]
        for one in taking:
            self.pay_of_own(name, one)
        if owed > self.debt[name]:
            self.give("owe:night", name, owed - self.debt[name], events[-1].at)
        for one in taking:
            self.take(name, one.rest)
        self.take(name, max(self.debt[name] - owed, 0))
        self.debt[name] = owed


class Machine(RuleBasedStateMachine):
    store: Store
    home: Any

    def __init__(self) -> None:
        super().__init__()
        self.programme = f"p{next(NUMBERS)}"
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.model = Model()
        self.numbers = itertools.count()
        self.again: list[tuple[Callable[[Books], Any], Any]] = []
        self.holds: list[str] = []
        self.redeemed: list[str] = []

    @property
    def on(self) -> date:
        return self.at.date()

    def books(self, connection: Any) -> Books:
        return Books(connection, self.programme, self.at, self.on, expiry=EXPIRY)

    def ask(self, operation: Callable[[Books], Any]) -> Any:
        """Die once before the commit, then do it."""
        with suppress(KeyboardInterrupt), self.store.write() as connection:
            operation(self.books(connection))
            raise KeyboardInterrupt
        with self.store.write() as connection:
            answer = operation(self.books(connection))
        if not isinstance(answer, Refused):
            self.again.append((operation, answer))
        return answer

    @rule(
        name=st.sampled_from(NAMES),
        points=st.integers(1, 20),
        pending=st.sampled_from([0, 0, 3]),
        days=st.sampled_from([None, 2, 9]),
    )
    def earn(self, name: str, points: int, pending: int, days: int | None) -> None:
        key = f"g{next(self.numbers):03}"
        starts = self.on + timedelta(days=pending) if pending else None
        ends = (starts or self.on) + timedelta(days=days) if days else None
        terms = Terms(
            day_starts(starts, "UTC") if starts else None,
            day_after(ends, "UTC") if ends else None,
            ends.isoformat() if ends else None,
        )
        answer = self.ask(
            lambda books: books.grant(key=key, customer_id=name, points=points, terms=terms)
        )
        assert answer == Posted(key, name, points)
        self.model.give(key, name, points, self.at, starts, ends)
        self.model.repay(name)

    @rule(name=st.sampled_from(NAMES), points=st.integers(1, 25), minutes=st.integers(1, 3000))
    def hold(self, name: str, points: int, minutes: int) -> None:
        key, until = f"h{next(self.numbers):03}", self.at + timedelta(minutes=minutes)
        answer = self.ask(
            lambda books: books.hold(key=key, customer_id=name, points=points, expires_at=until)
        )
        self.model.end(name, self.on)
        if self.model.available(name) < points:
            assert answer == Refused("no_points")
            return
        self.model.spent[key] = Spent(name, points, self.model.take(name, points), until)
        self.holds.append(key)

    @rule(which=st.integers(0, 50), share=st.integers(1, 4))
    def redeem(self, which: int, share: int) -> None:
        if not self.holds:
            return
        key = self.holds[which % len(self.holds)]
        held = self.model.spent[key]
        part = max(held.left * share // 4, 1)
        answer = self.ask(lambda books: books.redeem(key, points=part))
        if held.state != "held":
            assert answer == Refused("resolved") or isinstance(answer, Posted)
        elif held.until and held.until <= self.at:
            assert answer == Refused("timed_out")
        else:
            assert answer == Posted(f"redeem:{key}", held.owner, part)
            self.model.give_back(held, held.left - part, self.on)
            held.left, held.state = part, "redeemed"
            self.model.spent[f"redeem:{key}"] = held
            self.redeemed.append(f"redeem:{key}")

    @rule(which=st.integers(0, 50))
    def void(self, which: int) -> None:
        if not self.holds:
            return
        key = self.holds[which % len(self.holds)]
        answer = self.ask(lambda books: books.void(key))
        self.released(key, answer)

    def released(self, key: str, answer: Any) -> None:
        held = self.model.spent[key]
        if held.state == "redeemed":
            assert answer == Refused("resolved")
        elif held.state == "held":
            held.state = "void"
            self.model.give_back(held, held.left, self.on)

    @rule(name=st.sampled_from(NAMES), points=st.integers(1, 25), owe=st.booleans())
    def spend(self, name: str, points: int, owe: bool) -> None:
        key, short = f"s{next(self.numbers):03}", "owe" if owe else "refuse"
        answer = self.ask(
            lambda books: books.spend(key=key, customer_id=name, points=points, short=short)  # type: ignore[arg-type]
        )
        self.model.end(name, self.on)
        lacking = points - self.model.available(name)
        if lacking > 0 and not owe:
            assert answer == Refused("no_points")
            return
        if lacking > 0:
            self.model.give(f"owe:{key}", name, lacking, self.at)
            self.model.debt[name] += lacking
        self.model.spent[key] = Spent(name, points, self.model.take(name, points), state="redeemed")
        self.redeemed.append(key)

    @rule(pair=st.permutations(TOGETHER), points=st.integers(1, 40))
    def spend_together(self, pair: list[str], points: int) -> None:
        """What one lacks comes over from the other; when even that is not enough, nothing does."""
        (name, other), key = pair, f"p{next(self.numbers):03}"

        def operation(books: Books) -> Any:
            with suppress(Undone), books.store.attempt():
                pooling.draw(books, name, points, key)
                answer = books.spend(key=key, customer_id=name, points=points)
                if isinstance(answer, Refused):
                    raise Undone
                return answer
            return Refused("no_points")

        answer = self.ask(operation)
        model = self.model
        mine = [one for one in model.open(name) if not one.ends or one.ends >= self.on]
        theirs = [one for one in model.open(other) if not one.ends or one.ends >= self.on]
        lacking = points - sum(one.remaining for one in mine)
        debt = model.debt[name] + model.debt[other]
        if lacking > max(0, sum(one.remaining for one in theirs) - debt):
            assert answer == Refused("no_points")
            return
        assert answer == Posted(key, name, points)
        model.draw(theirs, name, lacking)
        model.end(name, self.on)
        model.spent[key] = Spent(name, points, model.take(name, points), state="redeemed")
        self.redeemed.append(key)

    @rule(which=st.integers(0, 50), points=st.integers(1, 30))
    def give_back_in_parts(self, which: int, points: int) -> None:
        if not self.redeemed:
            return
        of, key = self.redeemed[which % len(self.redeemed)], f"r{next(self.numbers):03}"
        spent = self.model.spent[of]
        answer = self.ask(lambda books: books.reverse(of, key=key, points=points))
        if points > spent.left:
            assert answer == Refused("nothing_left")
            return
        spent.left -= points
        self.model.give_back(spent, points, self.on)

    @rule(name=st.sampled_from(NAMES), amount=st.integers(100, 2000))
    def buy(self, name: str, amount: int) -> None:
        self.model.bought[f"t{next(self.numbers):03}"] = Bought(name, amount, self.at)

    @rule(which=st.integers(0, 50), amount=st.integers(50, 1500))
    def bring_back(self, which: int, amount: int) -> None:
        if bought := list(self.model.bought.values()):
            bought[which % len(bought)].back[f"b{next(self.numbers):03}"] = (amount, self.at)

    @rule(pair=st.permutations(NAMES))
    def merge(self, pair: list[str]) -> None:
        with self.store.write() as connection:
            merging.move(self.books(connection), pair[0], pair[1])
        self.model.merge(pair[0], pair[1])

    @rule(which=st.integers(0, 200))
    def ask_again(self, which: int) -> None:
        """However much later: the same answer, and nothing moves."""
        if not self.again:
            return
        operation, answer = self.again[which % len(self.again)]
        with self.store.write() as connection:
            assert operation(self.books(connection)) == answer

    @rule(hours=st.integers(1, 100))
    def time_goes_by(self, hours: int) -> None:
        self.at += timedelta(hours=hours)

    @rule(days=st.integers(1, 5))
    def a_night(self, days: int) -> None:
        self.at = datetime.combine(self.on + timedelta(days=days), datetime.min.time(), UTC)
        ws = workspace(self.home, self.at.isoformat())
        object.__setattr__(ws, "store", self.store)
        club = Programme.model_validate(
            {
                "programme": self.programme,
                "currency": "any",
                "earn_rules": [{"rule": "purchase", "points": 1, "per": 100}],
                "returns": "debt",
            }
        )
        with self.store.write() as connection, duckdb.connect() as duck:
            merging.sweep(self.books(connection), duck)
        model = self.model
        for name, into in sorted(model.merged.items()):
            if model.debt[name] or any(o.owner == name and o.remaining for o in model.lots):
                model.merge(name, into)
        tonight = Night(ws, club)
        publish(ws, transactions=self.lines())
        with self.store.write() as connection:
            self.books(connection).release_due()
        due = [k for k in self.holds if model.spent[k].until <= self.at]  # type: ignore[operator]
        for key in sorted(due, key=lambda k: (model.spent[k].until, k)):
            if model.spent[key].state == "held":
                self.released(key, None)
        night.activate(tonight)
        for one in model.lots:
            if one.starts and one.starts <= self.on:
                one.starts = None
                model.issued[one.owner] += one.remaining
        for name in NAMES:
            model.repay(name)
        posting.earn(Night(ws, club.model_copy(update={"expiry": RECEIPTS})))
        model.post(RECEIPTS.days)
        night.expire(tonight)
        model.end(None, self.on)

    def lines(self) -> list[dict[str, Any]]:
        """The receipts so far, of whoever the buyer is by now."""
        found = []
        for key, one in self.model.bought.items():
            owner = self.model.merged.get(one.owner, one.owner)
            found.append(line(key, owner, one.amount, sold_at=one.at.replace(tzinfo=None)))
            for back, (amount, at) in one.back.items():
                said = {"original_transaction_id": key, "sold_at": at.replace(tzinfo=None)}
                found.append(line(back, None, -amount, **said))
        return found

    @invariant()
    def agrees(self) -> None:
        with self.store.read() as connection:
            left = {
                row["idem_key"]: (row["owner_id"], row["bucket"], row["remaining"])
                for row in connection.all(
                    "select idem_key, owner_id, bucket, remaining from lot "
                    "inner join transfer on lot_id = transfer_id "
                    "inner join account on lot.account_id = account.account_id "
                    "where remaining > 0 and account.programme = :programme",
                    programme=self.programme,
                )
            }
            balances = {
                (row["owner_id"], row["bucket"]): (row["balance"], int(row["moved"] or 0))
                for row in connection.all(
                    "select owner_id, bucket, balance, (case when bucket = 'debt' then -1 else 1 end) "
                    "* (select sum(case when credit_id = account_id then amount else -amount end) "
                    "from transfer where account_id in (credit_id, debit_id)) as moved "
                    "from account where programme = :programme and owner_type = 'member'",
                    programme=self.programme,
                )
            }
            moves = connection.all(
                "select lot_id from lot where remaining <> amount + (select coalesce(sum(delta), 0) "
                "from lot_move where lot_move.lot_id = lot.lot_id)"
            )
        model = self.model
        assert moves == []
        assert left == {
            one.key: (one.owner, "pending" if one.starts else "available", one.remaining)
            for one in model.lots
            if one.remaining
        }
        held = [one for key, one in model.spent.items() if one.state == "held"]
        for name in NAMES:
            pending = sum(o.remaining for o in model.lots if o.owner == name and o.starts)
            expected = {
                "available": model.available(name),
                "pending": pending,
                "debt": model.debt[name],
                "held": sum(one.left for one in held if one.owner == name),
            }
            for bucket, points in expected.items():
                assert balances.get((name, bucket), (0, 0)) == (points, points), (name, bucket)


QUICK = (Phase.generate,)  # the long proof shrinks what it finds
PATIENT = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def prove(store: Store, home: Any, **how: Any) -> None:
    with store.write() as connection:
        rows = [{"name": name} for name in TOGETHER]
        connection.run_many(
            "insert into member (customer_id, household_id) values (:name, 'h')", rows
        )
    kind = type("Bound", (Machine,), {"store": store, "home": home})
    run_state_machine_as_test(kind, settings=settings(**PATIENT, **how))


@BOTH_STORES
def test_the_ledger_agrees_with_a_plain_model_after_every_step(store: Store, tmp_path: Any) -> None:
    prove(store, tmp_path, max_examples=3, stateful_step_count=25, phases=QUICK)


@pytest.mark.proof
@BOTH_STORES
def test_the_ledger_agrees_with_a_plain_model_for_long(store: Store, tmp_path: Any) -> None:
    prove(store, tmp_path, max_examples=150, stateful_step_count=60)
