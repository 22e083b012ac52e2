"""What tills say and hear: the bodies of the till's API, from which its document is made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from tessera.documents import Document

MOST = 10**12


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 1.0 is a whole one, true is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _instant(text: str) -> str:
    """RFC 3339 with its offset, as the store writes instants."""
    if "T" not in text.upper():
        raise ValueError("write an instant with its offset, such as 2026-03-31T12:00:00Z")
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("name the offset, such as Z or +03:00")
    return _utc(at).isoformat(timespec="seconds")


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:  # the first and last hours that can be written
        return at.replace(tzinfo=UTC)


Whole = Annotated[int, Field(strict=True, ge=0, le=MOST), BeforeValidator(_whole)]
Pieces = Annotated[int, Field(strict=True, ge=0, le=10**9), BeforeValidator(_whole)]
Card = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._:/-]{0,63}$", examples=["K000017"])]
Code = Annotated[str, Field(pattern=r"^[0-9A-Za-z -]{1,80}$", examples=["7KQW-3H2M-9TZ46"])]
Product = Annotated[str, Field(pattern="^[!-~][ -~]{0,99}$", examples=["4006381333931"])]
Category = Annotated[str, Field(pattern="^[!-~\u00a1-\ud7ff][ -~\u00a0-\ud7ff]{0,99}$")]
Receipt = Annotated[str, Field(pattern="^[!-~]{1,100}$", examples=["S01-20260331-0042"])]
KEY = r"^[0-9A-Za-z][0-9A-Za-z._:-]{0,99}$"
Key = Annotated[str, Field(pattern=KEY, examples=["S01-0042-1"])]
Device = Annotated[str, Field(pattern="^[!-~]{1,200}$")]
Instant = Annotated[
    str, AfterValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]


class Line(Document):
    """One product in a basket; `amount` is what the whole line costs, in minor units. `quantity`, in
    pieces, matters to rules that count them."""

    product: Product
    category: Category | None = None
    amount: Whole
    # Unsaid it is no part of a request, so that one from before there was such a thing is the same.
    quantity: Pieces | None = Field(None, exclude_if=lambda value: value is None)


class Basket(Document):
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["EUR"])]
    lines: Annotated[list[Line], Field(max_length=500)]


class CardQuestion(Document):
    card: Card


class SpendQuestion(Document):
    """Points need the card they are on; some vouchers do."""

    card: Card | None = None
    points: Whole = 0
    vouchers: Annotated[tuple[Code, ...], Field(max_length=10)] = ()
    basket: Basket
    receipt: Receipt | None = None


class Reserve(SpendQuestion):
    hold_seconds: Annotated[int, Field(strict=True, ge=5, le=3600), BeforeValidator(_whole)] = 900


class Validate(Document):
    code: Code
    card: Card | None = None
    basket: Basket


class Settle(Document):
    receipt: Receipt | None = None


class Void(Document):
    """Nothing more needs to be said."""


class GiveBack(Document):
    """What the customer keeps in all, whatever came back before."""

    kept: Basket


class Enrol(Document):
    """Hand out a card. `referral` is a friend's code; `device` anything that tells devices apart."""

    card: Card
    referral: Code | None = None
    device: Device | None = None


class Replace(Document):
    card: Card
    new_card: Card


class Offline(Document):
    key: Key
    at: Instant


class OfflineRedeem(Offline, SpendQuestion):
    kind: Literal["redeem"]


class OfflineVoid(Offline):
    """`of`: the key of the request that made the redemption."""

    kind: Literal["void"]
    of: Key


class OfflineEnrol(Offline, Enrol):
    kind: Literal["enrol"]


class OfflineReplace(Offline, Replace):
    kind: Literal["replace"]


AnyOffline = Annotated[
    OfflineRedeem | OfflineVoid | OfflineEnrol | OfflineReplace, Field(discriminator="kind")
]


class Batch(Document):
    operations: Annotated[list[AnyOffline], Field(min_length=1, max_length=200)]


# What is answered


class Points(Document):
    """`available` may be spent now; `pending` later; `held` is reserved; `debt` is owed. `household` is
    what those who live with the member could add, where the programme lets them."""

    available: int
    pending: int
    held: int
    debt: int
    household: int


class Member(Document):
    card: str
    given_name: str | None
    level: str | None
    points: Points
    referral_code: str | None


class Voucher(Document):
    """`problem` is null for a voucher that may be used."""

    code: str
    reward: str | None
    discount: int
    valid_until: str | None
    problem: str | None


class Quote(Document):
    """Money in minor units. `points_needed` pay all that is left; `points_usable` of them are there.
    `points_earned` is null where that depends on what a till does not know."""

    total: int
    discount: int
    vouchers: list[Voucher]
    points_needed: int
    points_usable: int
    paid_by_points: int
    to_pay: int
    points_earned: int | None


class Redemption(Document):
    redemption: str
    state: Literal["held", "lapsed", "used", "void"]
    held_until: str | None
    points: int
    points_back: int
    paid_by_points: int
    discount: int
    receipt: str | None


class Returned(Redemption):
    """`refund` is the money to be paid out for everything that came back so far."""

    discount_kept: int
    paid_kept: int
    points_returned: int
    refund: int


class Enrolled(Document):
    """`referral`: whether the friend's code is one."""

    card: str
    referral: bool


class Replaced(Document):
    card: str
    replaced: str


class Result(Document):
    key: str
    status: Literal["done", "waiting", "refused"]
    problem: str | None


class Results(Document):
    """One for each operation, in their order. `waiting`: for something that another till will post."""

    results: list[Result]


class Mistake(Document):
    """Where in the body, and what is wrong there."""

    at: str
    message: str


class Problem(Document):
    """RFC 9457. `type` is `urn:tessera:till:` and a name that does not change; `about` a code."""

    type: str
    title: str
    status: int
    about: str | None = None
    mistakes: list[Mistake] | None = None
