"""A voucher at the till: is it good, for whom and for what; and who gets the last use of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from tessera import clock
from tessera.store import Connection, queries
from tessera.vouchers import codes
from tessera.vouchers.terms import Line, Terms

SQL = queries("tessera.vouchers", "spending.sql")
LEFT = ("calling", "accepted", "ambiguous", "reconciled")  # messages that somebody may have read


@dataclass(frozen=True)
class Basket:
    """What is being bought, in minor units of one currency."""

    currency: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)


@dataclass(frozen=True)
class Judged:
    """One code at one till: `why` it is not taken, or None, and what it takes off."""

    code: str
    why: str | None = None
    reward: str | None = None
    discount: int = 0
    stacks: bool = True
    valid_until: str | None = None


def judge(
    store: Connection,
    typed: str,
    basket: Basket,
    *,
    customer_id: str | None,
    at: datetime,
    day: date,
    offline_at: datetime | None = None,
    lock: bool = True,
) -> Judged:
    """Whether a code may be used now; in a writing transaction nobody else judges it meanwhile.

    A code that is unknown and one that this till has no business with look the same. `offline_at`:
    when it was taken already, so that how often is not asked, nor what was said of it afterwards.
    """
    code = codes.tidy(typed)
    if code == codes.TEST_CODE:
        return Judged(code, "test-code")
    locked = "for update of voucher" if lock and store.dialect == "postgresql" else ""
    row = store.one(SQL["voucher"].format(lock=locked), code=code)
    if row is None or not _was_given(row["batch"], row["body"], row["message_state"]):
        return Judged(code, "unknown-voucher")
    terms = Terms.model_validate_json(row["body"])
    owners = {row["customer_id"], row["merged_into"]} - {None}
    if owners and customer_id not in owners:
        return Judged(code, "unknown-voucher")
    off = terms.discount(basket.lines, basket.currency)
    taken = store.scalar(SQL["taken"], code=code, at=clock.stamp(at))
    why = _out_of_time(row, day, offline_at)
    if why is None and taken >= row["uses"] and offline_at is None:
        why = "voucher-used"
    if why is None and off is None:
        why = "basket-does-not-qualify"
    discount = 0 if why else off or 0
    return Judged(code, why, row["reward"], discount, terms.stacks, row["valid_until"])


def _out_of_time(row: Mapping[str, Any], day: date, offline_at: datetime | None) -> str | None:
    """By the shop's calendar: good from the first instant of a day through the last of another."""
    gone = row["withdrawn_at"] and datetime.fromisoformat(row["withdrawn_at"])
    if gone and (offline_at is None or offline_at >= gone):
        return "voucher-withdrawn"
    if (row["valid_from"] or "") > day.isoformat():
        return "voucher-not-valid-yet"
    return "voucher-expired" if day.isoformat() > (row["valid_until"] or "9999") else None


def _was_given(batch: str | None, body: str, message_state: str | None) -> bool:
    """Whether somebody may hold this code in their hands: its message left, or it was printed."""
    if message_state is not None:
        return message_state in LEFT
    return batch is None or Terms.model_validate_json(body).codes == "made"


def judge_all(
    store: Connection, typed: Sequence[str], basket: Basket, **of: object
) -> list[Judged]:
    """Several codes on one receipt; in the order of the codes, so that no two tills wait for each
    other. What they take off together is never more than the basket."""
    unique = sorted({codes.tidy(one) for one in typed})
    judged = [judge(store, one, basket, **of) for one in unique]  # type: ignore[arg-type]
    if len(unique) > 1:
        judged = [
            one if one.why or one.stacks else replace(one, why="does-not-stack", discount=0)
            for one in judged
        ]
    return _capped(judged, basket.total)


def _capped(judged: Sequence[Judged], left: int) -> list[Judged]:
    found = []
    for one in judged:
        discount = min(one.discount, left)
        left -= discount
        found.append(replace(one, discount=discount))
    return found


def use(store: Connection, redemption_id: str, judged: Sequence[Judged]) -> None:
    """The codes are this redemption's, for as long as it holds or when it is used."""
    rows = [
        {"redemption_id": redemption_id, "code": one.code, "discount": one.discount}
        for one in judged
    ]
    store.run_many(SQL["use"], rows)


def kept_discount(store: Connection, redemption_id: str, kept: Basket) -> int:
    """What this redemption's codes take off what the customer keeps: below a voucher's minimum,
    nothing."""
    rows = store.all(SQL["of_redemption"], redemption_id=redemption_id)
    of = [(int(row["discount"]), Terms.model_validate_json(row["body"])) for row in rows]
    off = [min(was, terms.discount(kept.lines, kept.currency) or 0) for was, terms in of]
    return min(sum(off), kept.total)
