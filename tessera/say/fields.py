"""What a template may show of a customer, and nothing else: a first name is usually enough."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from jinja2 import Undefined

# Fields of the person; any of them may be missing.
CUSTOMER = {
    "given_name": "Anna",
    "points_balance": 1250,
    "points_expiring": 300,
    "points_expire_on": date(2026, 4, 30),
    "tier": "silver",
    "next_tier": "gold",
    "points_to_next_tier": 340,
    "favourite_category": "Coffee & Tea",
    "favourite_store": "Harbour Street",
    "last_purchase_on": date(2026, 1, 14),
    "usual_products": ("Ground coffee 500 g", "Oat drink 1 l"),
    "suggested_products": ("Dark chocolate 100 g", "Ginger biscuits 200 g"),
}
NOBODY = {"points_balance": 0}  # of whom nothing is known: the ledger has no account
# Always there: the message's own surroundings.
GROUPS = {
    "campaign": ("name", "step", "occurrence"),
    "links": ("unsubscribe", "preferences", "score", "referral", "confirm", "shop"),
    "shop": ("name", "postal_address", "email"),
    "voucher": ("code", "valid_until"),
    "referral": ("code", "invited_by"),
}
SELDOM = ("voucher", "referral")  # of these, any field may be missing
# The code that goes with the message, if one does. What previews show is worth nothing at any till.
VOUCHER = {"code": "0000-0000-00000", "valid_until": date(2026, 4, 30)}
REFERRAL = {"code": "0000-0000-00000", "invited_by": "Ben"}
# What the layout needs to know about the language it speaks.
LANGUAGE = ("lang", "dir", "start")


class Empty(Undefined):
    """A field this customer has no value for: false in an `if`, replaced by `default`, but an
    error when printed, so that nobody is ever greeted as 'None'."""

    __slots__ = ()
    __str__ = __iter__ = __len__ = Undefined._fail_with_undefined_error  # noqa: SLF001


def empty(name: str) -> Empty:
    """What stands for a field of which a customer has none: it may be asked for, but not printed."""
    hint = f"'{name}' is empty for this customer; ask {{% if {name} %}} before showing it"
    return Empty(hint=hint, name=name)


def fill(data: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `data` a template may show; customer fields without a value become `Empty`."""
    person = {name: _clean(data.get(name)) for name in CUSTOMER}
    filled = {name: empty(name) if value is None else value for name, value in person.items()}
    groups = {name: data[name] for name in GROUPS if name in data}
    return {**groups, **{name: _some(name, data.get(name) or {}) for name in SELDOM}, **filled}


def _some(group: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A message without a code shows none; a code without an end has no last day."""
    kept = {name: _clean(data.get(name)) for name in GROUPS[group]}
    return {
        name: empty(f"{group}.{name}") if value is None else value for name, value in kept.items()
    }


def _clean(value: Any) -> Any:
    """Text without control characters and stray spaces; None when nothing is left."""
    if isinstance(value, (list, tuple)):
        return [kept for kept in map(_clean, value) if kept] or None
    if not isinstance(value, str):
        return value
    kept = "".join(c if c.isprintable() or c in JOINERS else " " for c in value)
    return " ".join(kept.split()) or None


JOINERS = "\u200c\u200d"  # part of the spelling in Persian and of many emoji, though not printable


def sample(*, full: bool = True) -> dict[str, Any]:
    """A made-up customer's data, for checks and previews; `full=False` knows nothing of them."""
    surroundings = {
        "campaign": {"name": "example", "step": "first", "occurrence": "first"},
        "links": {
            "unsubscribe": "https://shop.example/u/sample",
            "preferences": "https://shop.example/p/sample",
            "score": "https://shop.example/s/sample",
            "referral": "https://shop.example/r/sample",
            "confirm": "https://shop.example/c/sample",
            "shop": "https://shop.example",
        },
        "shop": {
            "name": "The Shop",
            "postal_address": "1 Market Street, 10001 Sampletown",
            "email": "club@shop.example",
        },
        "voucher": VOUCHER,
        "referral": REFERRAL if full else {},
    }
    return {**(CUSTOMER if full else NOBODY), **surroundings}
