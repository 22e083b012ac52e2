"""One operation on one member's points: hold, redeem, void, spend, grant, reverse.

Each is idempotent by its key: the same request again gets the same answer, another request under a
known key is a `KeyConflict`. Each is right beside any number of others: a member's accounts are
locked, in one order, before anything is read of them (on SQLite the write transaction is the lock).

A hold moves points from `available` to `held`, so that nobody else can spend them; it is resolved
once, by a redemption or by a release. What a refusal said is not kept: the same request may succeed
once there are points.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from tessera import clock
from tessera.errors import TesseraError
from tessera.reward import lots
from tessera.reward.terms import NO_TERMS, Expiry, Terms, day_after
from tessera.store import Connection, queries
from tessera.store.store import Row, Soon

SQL = queries("tessera.reward", "points.sql")
DUE = SQL["due"].format(end_key=lots.SQL["end_key"])
LOCK = 7355609
HOLDS_AT_ONCE = 1000  # of one transaction, for which tills wait
TAKE = lots.SQL["take_one"].format(before="")
TAKE_BORROWED = lots.SQL["take_one"].format(before=lots.SQL["borrowed"])
# What a transfer of each kind does to lots; those that resolve a hold find them dealt with, and those
# that give back are followed by `restore`.
LOTS = {
    "grant": (lots.GIVE_ONE,),
    "owe": (lots.GIVE_ONE,),
    "hold": (TAKE, lots.SQL["apply_one"]),
    "redeem": (TAKE, lots.SQL["apply_one"]),
    "repay": (TAKE_BORROWED, lots.SQL["apply_one"]),
    "expire": (lots.SQL["apply_one"],),
}
Reason = Literal["no_points", "unknown", "timed_out", "resolved", "nothing_left", "not_reversible"]


class KeyConflict(TesseraError):
    """A key that was used for another request."""

    def __init__(self, key: str) -> None:
        super().__init__(f"The key '{key}' was used for another request; use a key of its own.")
        self.key = key


@dataclass(frozen=True)
class Balance:
    """A member's points by bucket."""

    available: int = 0
    pending: int = 0
    held: int = 0
    debt: int = 0


@dataclass(frozen=True)
class Hold:
    """Points set aside under `key` until `expires_at` (UTC)."""

    key: str
    customer_id: str
    points: int
    expires_at: datetime


@dataclass(frozen=True)
class Posted:
    """A transfer that took effect, now or when the same was asked before."""

    key: str
    customer_id: str
    points: int


@dataclass(frozen=True)
class Refused:
    """Nothing was done, and why."""

    reason: Reason


def balance(store: Connection, programme: str, customer_id: str) -> Balance:
    """The member's points; nothing but zeros for who has no account."""
    found = store.all(SQL["balance"], programme=programme, customer_id=customer_id)
    names = set(Balance.__dataclass_fields__)
    return Balance(**{row["bucket"]: row["balance"] for row in found if row["bucket"] in names})


def balance_at(store: Connection, programme: str, customer_id: str, at: str) -> Balance:
    """The member's points as a till may spend them at `at`, whether or not the night came by: what has
    ended is gone, and what a reservation held past its time is back, after what is owed."""
    found = balance(store, programme, customer_id)
    values = {"programme": programme, "customer_id": customer_id, "at": at}
    back = int(store.scalar(SQL["lapsed"], **values)) if found.held else 0
    repaid = min(back, found.debt)
    available = int(store.scalar(SQL["own"], **values)) + back - repaid
    return Balance(available, found.pending, found.held - back, found.debt - repaid)


@dataclass(frozen=True)
class Member:
    """A member whose accounts are locked, as a request under `key` finds them."""

    customer_id: str
    key: str
    accounts: dict[str, Row]  # by bucket
    known: Row | None  # the transfer under the key
    due: list[Row]  # lots that have ended

    @property
    def available(self) -> Row:
        return self.accounts["available"]

    def posted(self, kind: str, points: int | None, of: str | None = None) -> Row | None:
        """What the same request did before; KeyConflict if the key is another request's."""
        if (found := self.known) is None:
            return None
        is_same = points in (None, found["amount"]) and found["reverses"] == of
        if (found["kind"], found["customer_id"]) != (kind, self.customer_id) or not is_same:
            raise KeyConflict(self.key)
        return found


@dataclass(frozen=True)
class Books:
    """The ledger of one programme at one instant, inside one write transaction."""

    store: Connection
    programme: str
    at: datetime  # UTC
    on: date  # the business date
    timezone: str = "UTC"  # the programme's: days end here
    expiry: Expiry | None = None  # the programme's: how points end, and what grace there is
    actor: str | None = None

    def hold(
        self, *, key: str, customer_id: str, points: int, expires_at: datetime
    ) -> Hold | Refused:
        """Set `points` aside until `expires_at`."""
        member = self._lock(customer_id, key)
        if found := member.posted("hold", points):
            return _hold(found)
        if self._spendable(member) < points or points <= 0:
            return Refused("no_points")
        available, held = member.available["account_id"], self.account(customer_id, "held")
        terms = Terms(expires_at=clock.stamp(expires_at))
        found = self.post(key, "hold", available, held, points, terms=terms)
        return _hold({**found, "customer_id": customer_id})

    def redeem(self, hold: str, points: int | None = None) -> Posted | Refused:
        """Spend what is held under the key `hold`, or `points` of it: the rest is released."""
        held = self._held(hold)
        if isinstance(held, Refused):
            return held
        points = held["amount"] if points is None else points
        if not 0 < points <= held["amount"]:
            return Refused("no_points")
        done = self._resolution(held)
        if done:
            is_same = done["kind"] == "redeem" and done["amount"] == points
            return _posted({**held, **done}) if is_same else Refused("resolved")
        if held["expires_at"] <= self.stamp:
            return Refused("timed_out")
        redeemed = self._system("redeemed")
        done = self.post(
            f"redeem:{hold}", "redeem", held["credit_id"], redeemed, points,
            source=("hold", hold), pending_id=held["transfer_id"],
        )  # fmt: skip
        if points < held["amount"]:
            rest = held["amount"] - points
            self._give_back(
                held, f"release:{hold}", "release", debit_id=held["credit_id"], points=rest
            )
            self.repay(held["customer_id"], f"release:{hold}")
        return _posted({**done, "customer_id": held["customer_id"]})

    def void(self, hold: str) -> Posted | Refused:
        """Give what is held under the key `hold` back to the lots it came from."""
        held = self._held(hold)
        if isinstance(held, Refused):
            return held
        done = self._resolution(held)
        if done is None:
            whole = {"debit_id": held["credit_id"], "points": held["amount"]}
            done = self._give_back(held, f"void:{hold}", "void", **whole)
            self.repay(held["customer_id"], done["idem_key"])
        is_same = done["kind"] == "void"
        return _posted({**held, **done}) if is_same else Refused("resolved")

    def spend(
        self, *, key: str, customer_id: str, points: int, short: Literal["refuse", "owe"] = "refuse"
    ) -> Posted | Refused:
        """Spend without a hold; `owe` what is lacking, for a till that could not ask."""
        asked = self._ask_for("system", "programme", "redeemed")
        member = self._lock(customer_id, key)
        if found := member.posted("redeem", points):
            return _posted(found)
        lacking = points - self._spendable(member)
        if points <= 0 or (lacking > 0 and short == "refuse"):
            return Refused("no_points")
        available, redeemed = member.available["account_id"], self._system("redeemed", asked)
        if lacking > 0:
            debt = self.account(customer_id, "debt")
            self.post(f"owe:{key}", "owe", debt, available, lacking, source=("transfer", key))
        done = self.post(key, "redeem", available, redeemed, points)
        return _posted({**done, "customer_id": customer_id})

    def grant(
        self, *, key: str, customer_id: str, points: int, rule: str = "grant", terms: Terms = NO_TERMS
    ) -> Posted | Refused:  # fmt: skip
        """Give points that no receipt earned: for a referral, a birthday, as a favour."""
        if found := self._lock(customer_id, key).posted("grant", points):
            return _posted(found)
        if points <= 0:
            return Refused("no_points")
        bucket = "pending" if terms.activates_at else "available"
        done = self.post(
            key, "grant", self._system("issuance"), self.account(customer_id, bucket), points,
            terms=terms, rule=(rule, "-"),
        )  # fmt: skip
        self.repay(customer_id, key)
        return _posted({**done, "customer_id": customer_id})

    def reverse(
        self, of: str, *, key: str | None = None, points: int | None = None
    ) -> Posted | Refused:
        """Give back what the redemption under the key `of` spent, or `points` of it: to the lots it
        came from, and in all never more than it spent."""
        key = key or f"reverse:{of}"
        spent = self._find(of)
        if spent is None:
            return Refused("unknown")
        if spent["kind"] != "redeem":
            return Refused("not_reversible")
        if found := self._lock(spent["customer_id"], key).posted("reverse", points, of):
            return _posted(found)
        before = int(self.store.scalar(SQL["given_back"], programme=self.programme, key=of))
        left = spent["amount"] - before
        points = left if points is None else points
        if not 0 < points <= left:
            return Refused("nothing_left")
        payer = self._find_by_id(spent["pending_id"]) if spent["pending_id"] else spent
        done = self._give_back(
            payer, key, "reverse", debit_id=spent["credit_id"], points=points, of=of
        )
        self.repay(spent["customer_id"], key)
        return _posted({**done, "customer_id": spent["customer_id"]})

    def release_due(self) -> int:
        """Void the holds whose time is out, as many as one transaction may; how many."""
        values = {"programme": self.programme, "until": self.stamp, "most": HOLDS_AT_ONCE}
        due = self.store.all(SQL["holds"], **values)
        return sum(isinstance(self.void(row["idem_key"]), Posted) for row in due)

    def balance(self, customer_id: str) -> Balance:
        return balance(self.store, self.programme, customer_id)

    # ---------- what they stand on

    @property
    def stamp(self) -> str:
        return clock.stamp(self.at)

    def share_lock(self) -> None:
        """Have a night's step, which takes the whole ledger, wait for this operation."""
        if self.store.dialect == "postgresql":
            self.store.soon(f"select pg_advisory_xact_lock_shared({LOCK})")

    def _lock(self, customer_id: str, key: str = "") -> Member:
        """The member's accounts, which nobody else changes until we are done; what a request under
        `key` did before, and which points have ended."""
        self.share_lock()
        values = {"programme": self.programme, "customer_id": customer_id}
        query = SQL["lock_member"]
        if self.store.dialect == "postgresql":
            query += " for update"
        locked = self.store.soon(query, **values)
        known = self.store.soon(SQL["transfer"], programme=self.programme, key=key)
        due = self.store.soon(DUE, **values, at=self.stamp)
        accounts = {row["bucket"]: row for row in locked.all()}
        if "available" not in accounts:  # a row to lock: two may come at once
            self.account(customer_id, "available")
            return self._lock(customer_id, key)
        return Member(customer_id, key, accounts, known.one(), due.all())

    def _spendable(self, member: Member) -> int:
        """What is available now: points whose last day is over are gone, though the night that
        takes them all has not come yet."""
        if not member.due:
            return int(member.available["balance"])
        for row in member.due:
            source = ("transfer", row["idem_key"])
            self.post(
                row["expire_key"], "expire", member.available["account_id"], self._system("breakage"),
                row["remaining"], source=source, rule=(row["rule"], row["rule_version"]),
                at=row["expires_at"], lot_id=row["lot_id"],
            )  # fmt: skip
        return self.balance(member.customer_id).available

    def _find(self, key: str) -> Row | None:
        return self.store.one(SQL["transfer"], programme=self.programme, key=key)

    def _find_by_id(self, transfer_id: int) -> Row:
        found = self._find(self.store.scalar(SQL["key"], transfer_id=transfer_id))
        assert found is not None  # noqa: S101 - a foreign key leads here
        return found

    def _held(self, key: str) -> Row | Refused:
        """The hold under `key`, its member locked."""
        found = self._find(key)
        if found is None or found["kind"] != "hold":
            return Refused("unknown")
        self._lock(found["customer_id"])
        return found

    def _resolution(self, held: Row) -> Row | None:
        return self.store.one(SQL["resolution"], hold_id=held["transfer_id"])

    def account(self, customer_id: str, bucket: str = "available") -> int:
        """The member's account, opened if need be."""
        return self._account("member", customer_id, bucket, 0)

    def _system(self, bucket: str, asked: Soon | None = None) -> int:
        return self._account("system", "programme", bucket, None, asked)

    def _account(
        self, owner_type: str, owner_id: str, bucket: str, opening: int | None,
        asked: Soon | None = None,
    ) -> int:  # fmt: skip
        found = (asked or self._ask_for(owner_type, owner_id, bucket)).one()
        if found is None:
            names = {"owner_type": owner_type, "owner_id": owner_id, "bucket": bucket}
            self.store.run(SQL["open_account"], programme=self.programme, **names, balance=opening)
            found = self._ask_for(owner_type, owner_id, bucket).one()
        assert found is not None  # noqa: S101 - it was opened in this transaction
        return int(found["account_id"])

    def _ask_for(self, owner_type: str, owner_id: str, bucket: str) -> Soon:
        names = {"owner_type": owner_type, "owner_id": owner_id, "bucket": bucket}
        return self.store.soon(SQL["account"], programme=self.programme, **names)

    def _give_back(
        self,
        payer: Row,
        key: str,
        kind: str,
        *,
        debit_id: int,
        points: int,
        of: str | None = None,
    ) -> Row:
        """A transfer back to the account that `payer` debited, and to its lots. What else has ended of
        them ends first: the grace is for what comes back."""
        if not self.expiry or self.expiry.kind != "inactivity":  # of which only the night can tell
            self._spendable(self._lock(payer["customer_id"]))
        pending = payer["transfer_id"] if kind in ("void", "release") else None
        done = self.post(
            key, kind, debit_id, payer["debit_id"], points,
            source=("transfer", of or payer["idem_key"]), pending_id=pending,
            reverses=of or payer["idem_key"],
        )  # fmt: skip
        self._restore(payer, done, of or payer["idem_key"])
        return done

    def _restore(self, payer: Row, done: Row, spent_key: str) -> None:
        transfer_id = done["transfer_id"]
        self.store.run(
            lots.SQL["restore"], programme=self.programme, spent=payer["transfer_id"],
            spent_key=spent_key, payer_key=payer["idem_key"], transfer_id=transfer_id,
            points=done["amount"],
        )  # fmt: skip
        self.store.soon(lots.SQL["apply_one"], first=transfer_id)
        today = self.at.astimezone(clock.zone(self.timezone)).date()
        until = today + timedelta(days=self.expiry.grace_days if self.expiry else 0)
        self.store.run(
            lots.SQL["spare"], at=self.stamp, transfer_id=transfer_id,
            expires_on=until.isoformat(), expires_at=day_after(until, self.timezone),
        )  # fmt: skip

    def repay(self, customer_id: str, key: str) -> None:
        """What came in pays back first what the member owes."""
        found = self.balance(customer_id)
        if points := min(found.available, found.debt):
            available, debt = (self.account(customer_id, b) for b in ("available", "debt"))
            self.post(f"repay:{key}", "repay", available, debt, points, source=("transfer", key))

    def post(
        self, key: str, kind: str, debit_id: int, credit_id: int, amount: int, *,
        source: tuple[str, str] = ("request", "-"), rule: tuple[str, str] = ("-", "-"),
        terms: Terms = NO_TERMS, **more: object,
    ) -> dict[str, Any]:  # fmt: skip
        """Insert the transfer, move both balances and its lots."""
        at = self.stamp
        row: dict[str, Any] = {
            "programme": self.programme, "key": key, "kind": kind, "debit_id": debit_id,
            "credit_id": credit_id, "amount": amount, "source_type": source[0],
            "source_id": source[1], "rule": rule[0], "rule_version": rule[1], "at": at,
            "posted_at": at, "business_date": self.on.isoformat(), "pending_id": None,
            "reverses": None, "actor": self.actor, "reason": None, **vars(terms), **more,
        }  # fmt: skip
        number = self.store.scalar(SQL["post"], **row)
        if number is None:  # another member's request took the key meanwhile
            raise KeyConflict(key)
        self.store.soon(SQL["move"], debit_id=debit_id, credit_id=credit_id, points=amount)
        if kind == "expire":
            self.store.soon(
                SQL["take_lot"], transfer_id=number, lot_id=row["lot_id"], points=amount
            )
        steps = () if row["pending_id"] else LOTS.get(kind, ())
        for step in steps:
            self.store.soon(step, first=number, account_id=debit_id, points=amount)
        return {**row, "transfer_id": number, "idem_key": key}


def _hold(row: Row) -> Hold:
    until = datetime.fromisoformat(row["expires_at"])
    return Hold(row["idem_key"], row["customer_id"], row["amount"], until)


def _posted(row: Row) -> Posted:
    return Posted(row["idem_key"], row["customer_id"], row["amount"])
