"""What a till may do: look up, quote, reserve, redeem, take back, return. One store, one instant, one
transaction; a refusal undoes all of it.

A redemption is points and vouchers spent on one receipt: `held` until its time is out, then `used` or
`void`. Its id is derived from the store and the request's key, opaque to all others.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tessera import clock
from tessera.reward import cards, pooling
from tessera.reward.points import Balance, Books, Posted, Refused, balance_at
from tessera.reward.preview import Preview, Sale
from tessera.reward.programme import Programme
from tessera.reward.refusal import Refusal
from tessera.reward.worth import Worth
from tessera.store import Connection, queries
from tessera.vouchers import spending
from tessera.vouchers.spending import Basket, Judged
from tessera.vouchers.terms import Line

SQL = queries("tessera.reward", "till.sql")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Spend:
    """What a till wants to have spent on one receipt."""

    basket: Basket
    card: str | None = None
    points: int = 0
    vouchers: Sequence[str] = ()
    receipt: str | None = None
    happened_at: datetime | None = None  # of what was done without a line


@dataclass(frozen=True)
class Quote:
    """What would come of it: money in minor units."""

    total: int
    discount: int
    vouchers: Sequence[Judged]
    points_needed: int  # to pay all that is left
    points_usable: int  # of them, what the member has
    paid_by_points: int  # by those usable, or by as many as were asked for
    to_pay: int
    points_earned: int | None  # None: only the night knows


@dataclass(frozen=True)
class Till:
    """One store's till at one instant, inside one transaction."""

    store: Connection
    programme: Programme
    secret: bytes
    store_id: str
    at: datetime
    on: date
    timezone: str = "UTC"
    preview: Preview | None = None

    @property
    def stamp(self) -> str:
        return clock.stamp(self.at)

    @property
    def books(self) -> Books:
        its = self.programme
        return Books(
            self.store, its.programme, self.at, self.on, its.zone(self.timezone), its.expiry,
            actor=f"till:{self.store_id}",
        )  # fmt: skip

    def name(self, key: str) -> str:
        """The redemption that the request under `key` made, or will make."""
        said = f"redemption:{self.store_id}\x1f{key}".encode()
        return hmac.digest(self.secret, said, hashlib.sha256).hex()[:32]

    def balance(self, customer_id: str) -> Balance:
        return balance_at(self.store, self.programme.programme, customer_id, self.stamp)

    def shared(self, customer_id: str) -> int:
        """What the member's household could add to their points."""
        if self.programme.pool is None:
            return 0
        return pooling.others(self.store, self.programme.programme, customer_id, self.stamp)

    def level(self, customer_id: str, of_models: str | None) -> str | None:
        """The member's tier: the programme's where it has tiers, otherwise the models'."""
        if self.programme.tiers is None:
            return of_models
        name = self.programme.programme
        tier = self.store.scalar(SQL["level"], programme=name, customer_id=customer_id)
        return tier if tier in self.programme.tier_names else None

    # ---------- before anything is spent

    def quote(self, wish: Spend) -> Quote:
        """What vouchers take off, what points pay, what the rest earns; changes nothing."""
        customer_id = cards.owner(self.store, wish.card) if wish.card else None
        judged = self._judge(wish, customer_id, lock=False)
        off = sum(one.discount for one in judged if one.why is None)
        left = wish.basket.total - off
        worth = self._worth(wish.basket)
        needed = worth.needed(left) if worth else 0
        has = self.balance(customer_id).available + self.shared(customer_id) if customer_id else 0
        usable = min(needed, has)
        paid = self._paid(wish.points or usable, left) if worth else 0
        earned = self._earns(wish.basket, left - paid, customer_id)
        return Quote(wish.basket.total, off, judged, needed, usable, paid, left - paid, earned)

    def validate(self, wish: Spend) -> Sequence[Judged]:
        """Whether its vouchers may be used; changes nothing."""
        customer_id = cards.owner(self.store, wish.card) if wish.card else None
        return self._judge(wish, customer_id, lock=False)

    def _earns(self, basket: Basket, paid: int, customer_id: str | None) -> int | None:
        if self.preview is None:
            return None
        tier = self.level(customer_id, None) if customer_id else None
        return self.preview.earns(Sale(basket, paid, self.store_id, self.at, customer_id, tier))

    # ---------- spending

    def reserve(self, key: str, wish: Spend, seconds: int) -> Row:
        """Hold points and vouchers for `seconds`; nobody else gets them meanwhile."""
        until = self.at + timedelta(seconds=seconds)
        made, customer_id = self._open(key, wish, "held", until)
        if wish.points:
            own = _in_books(made["redemption_id"])
            self._spend(
                customer_id or "", wish.points, own,
                lambda who: self.books.hold(
                    key=own, customer_id=who, points=wish.points, expires_at=until
                ),
            )  # fmt: skip
        return made

    def take(self, key: str, wish: Spend) -> Row:
        """Spend at once. What happened without a line is written down as it was: what the balance
        lacks is owed, a code that was used too often shows as overused."""
        made, customer_id = self._open(key, wish, "used", None)
        if wish.points:
            own = _in_books(made["redemption_id"])
            self._spend(
                customer_id or "", wish.points, own,
                lambda who: self.books.spend(
                    key=own, customer_id=who, points=wish.points,
                    short="owe" if wish.happened_at else "refuse",
                ),
            )  # fmt: skip
        return made

    def redeem(self, redemption_id: str, receipt: str | None) -> Row:
        """Settle a reservation."""
        row = self.find(redemption_id)
        if row["state"] != "held":
            raise Refusal("already-redeemed" if row["state"] == "used" else "already-void")
        if row["held_until"] <= self.stamp:
            raise Refusal("hold-lapsed")
        if row["points"]:
            _must(self.books.redeem(_in_books(redemption_id)))
        self._move(redemption_id, "used", receipt=receipt)
        return self.find(redemption_id)

    def void(self, redemption_id: str) -> Row:
        """Take it back: points go to the lots they came from, codes may be used again."""
        row = self.find(redemption_id)
        if row["state"] == "void":
            return row
        if row["points"] > row["points_back"]:
            self._give_back(row, row["points"] - row["points_back"])
        back = row["points"] if row["state"] == "used" else None
        self._move(redemption_id, "void", points_back=back)
        return self.find(redemption_id)

    def give_back(self, redemption_id: str, kept: Basket) -> Row:
        """Part of what was bought comes back: points and discount are those of what is kept.

        `kept` is what the customer keeps in all, whatever came back before.
        """
        row = self.find(redemption_id)
        if row["state"] != "used":
            raise Refusal("not-redeemed")
        bought = _basket(row["basket"])
        if kept.total > bought.total or kept.currency != bought.currency:
            raise Refusal("more-than-bought")
        discount = spending.kept_discount(self.store, redemption_id, kept)
        paid = min(row["paid"], kept.total - discount)
        rate = self._rate(row, bought)
        back = row["points"] - _points_for(row, paid, kept, rate) - row["points_back"]
        if back > 0:
            self._give_back(row, back)
            self._move(redemption_id, "used", points_back=row["points_back"] + back)
        elif back < 0:
            # Less was kept before than now: what came back in points is not paid with them.
            paid = min(paid, rate.money(row["points"] - row["points_back"]) if rate else 0)
        money = bought.total - row["discount"] - row["paid"] - (kept.total - discount - paid)
        return {
            **self.find(redemption_id), "discount_kept": discount, "paid_kept": paid,
            "points_returned": max(0, back), "refund": max(0, money),
        }  # fmt: skip

    # ---------- what they stand on

    def _open(
        self, key: str, wish: Spend, state: str, until: datetime | None
    ) -> tuple[Row, str | None]:
        """The redemption's row with its vouchers; and whose it is."""
        offline = wish.happened_at is not None
        if not wish.points and not wish.vouchers:
            raise Refusal("nothing-to-spend")
        redemption_id = self.name(key)
        known = self.store.soon(SQL["known"], redemption_id=redemption_id)
        customer_id = cards.owner(self.store, wish.card, replaced=offline) if wish.card else None
        if known.scalar():
            raise Refusal("key-reused")  # so long ago that its answer is not kept any more
        if wish.points and customer_id is None:
            raise Refusal("card-needed")
        if customer_id and not offline:  # what happened without a line has happened
            self._check_limit(customer_id)
        judged = self._judge(wish, customer_id)
        if bad := next((one for one in judged if one.why), None):
            raise Refusal(bad.why or "", about=bad.code)
        discount = sum(one.discount for one in judged)
        row = {
            "redemption_id": redemption_id, "state": state,
            "held_until": clock.stamp(until) if until else None,
            "points": wish.points, "points_back": 0,
            "paid": self._pays(wish, wish.basket.total - discount), "discount": discount,
            "basket": _json(wish.basket), "receipt_id": wish.receipt,
        }  # fmt: skip
        at = clock.stamp(wish.happened_at or self.at)
        self.store.soon(SQL["open"], **row, store_id=self.store_id, at=at)
        if customer_id:
            self.store.soon(SQL["whose"], redemption_id=redemption_id, customer_id=customer_id)
        spending.use(self.store, redemption_id, judged)
        return row, customer_id

    def _check_limit(self, customer_id: str) -> None:
        """Who redeems unusually often may be somebody with another's card."""
        most = self.programme.redemptions_a_day
        if most is None:
            return
        if self.store.dialect == "postgresql":
            self.store.soon(SQL["alone"], customer_id=customer_id)
        since = clock.day_starts(self.on, clock.zone(self.timezone))
        who = {"customer_id": customer_id, "programme": self.programme.programme}
        values = {**who, "since": clock.stamp(since), "at": self.stamp}
        if self.store.scalar(SQL["redeemed_since"], **values) >= most:
            raise Refusal("daily-limit")

    def _judge(self, wish: Spend, customer_id: str | None, *, lock: bool = True) -> list[Judged]:
        at = wish.happened_at or self.at
        day = self.on if wish.happened_at is None else cards.day(at, self.timezone)
        return spending.judge_all(
            self.store, wish.vouchers, wish.basket, customer_id=customer_id, at=self.at, day=day,
            offline_at=wish.happened_at, lock=lock,
        )  # fmt: skip

    def _pays(self, wish: Spend, left: int) -> int:
        """What the points pay; where points pay money, never more of them than it takes."""
        worth = self.programme.worth
        if not wish.points or worth is None:
            return 0
        if wish.happened_at is None and self._worth(wish.basket) is None:
            raise Refusal("other-currency")
        if wish.points > worth.needed(left) and wish.happened_at is None:
            raise Refusal("too-many-points")
        return self._paid(wish.points, left)

    def _worth(self, basket: Basket) -> Worth | None:
        """What points pay of `basket`: nothing in another currency than the programme's."""
        is_ours = self.programme.currency in ("any", basket.currency)
        return self.programme.worth if is_ours else None

    def _paid(self, points: int, left: int) -> int:
        return min(left, self.programme.worth.money(points)) if self.programme.worth else 0

    def _rate(self, row: Row, bought: Basket) -> Worth | None:
        """What points paid for this redemption, whatever they are worth by now; None where they paid no
        money."""
        spent, paid = int(row["points"]), int(row["paid"])
        if not paid:
            return None
        if self.programme.worth and self._paid(spent, bought.total - row["discount"]) == paid:
            return self.programme.worth
        return Worth.model_construct(points=spent, pays=paid)

    def _give_back(self, row: Row, points: int) -> None:
        hold = _in_books(row["redemption_id"])
        if row["state"] == "held":
            _must(self.books.void(hold))
            return
        of = f"redeem:{hold}" if row["held_until"] else hold
        total = row["points_back"] + points
        _must(self.books.reverse(of, key=f"return:{row['redemption_id']}:{total}", points=points))

    def _spend(
        self, customer_id: str, points: int, key: str, spend: Callable[[str], object]
    ) -> None:
        """Points that are lacking may be held by reservations that are past their time, or be the
        household's."""
        if self.programme.pool:
            self._release_due(customer_id)  # before another pays
            pooling.draw(self.books, customer_id, points, key)
        done = spend(customer_id)
        if isinstance(done, Refused) and self._release_due(customer_id):
            done = spend(customer_id)
        _must(done)

    def _release_due(self, customer_id: str) -> int:
        """Give back what this member's reservations that are past their time hold; how many."""
        rows = self.store.all(SQL["lapsed"], customer_id=customer_id, at=self.stamp)
        if rows and self.programme.pool:
            pooling.lock(self.books, customer_id)
        for row in rows:
            if row["points"]:
                self.books.void(_in_books(row["redemption_id"]))
            self.store.run(SQL["lapse"], redemption_id=row["redemption_id"])
        return len(rows)

    def find(self, redemption_id: str) -> Row:
        """This store's redemption, locked; another store's is as unknown as none."""
        lock = "for update" if self.store.dialect == "postgresql" else ""
        row = self.store.one(
            SQL["redemption"].format(lock=lock),
            redemption_id=redemption_id,
            store_id=self.store_id,
        )
        if row is None:
            raise Refusal("unknown-redemption")
        return row

    def _move(
        self,
        redemption_id: str,
        state: str,
        *,
        receipt: str | None = None,
        points_back: int | None = None,
    ) -> None:
        self.store.run(
            SQL["move"], redemption_id=redemption_id, state=state, receipt_id=receipt,
            points_back=points_back,
        )  # fmt: skip


def _in_books(redemption_id: str) -> str:
    """The key under which the ledger knows what a redemption held or spent."""
    return f"till:{redemption_id}"


def _points_for(row: Row, paid: int, kept: Basket, rate: Worth | None) -> int:
    """The points that what is kept costs; those of a gift are kept until all of it is back."""
    spent = int(row["points"])
    if rate is None:
        return spent if kept.total else 0
    return spent if paid == row["paid"] else min(spent, rate.needed(paid))


def _must(done: Posted | Refused | object) -> None:
    """The ledger's no as the till's."""
    if isinstance(done, Refused):
        kinds = {"no_points": "not-enough-points", "timed_out": "hold-lapsed"}
        raise Refusal(kinds.get(done.reason, "already-redeemed"))


def _json(basket: Basket) -> str:
    lines = [[line.product, line.category, line.amount] for line in basket.lines]
    return json.dumps([basket.currency, lines])


def _basket(text: str) -> Basket:
    currency, lines = json.loads(text)
    return Basket(
        currency,
        tuple(
            Line(product=product, category=category, amount=amount)
            for product, category, amount in lines
        ),
    )
