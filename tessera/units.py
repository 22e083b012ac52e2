"""Money in minor units and points as integers; floats never carry either."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import NewType

from babel.numbers import format_currency, get_currency_precision

Minor = NewType("Minor", int)  # cents, pence, rial: the smallest unit of a currency
Points = NewType("Points", int)


def minor_exponent(currency: str) -> int:
    """How many decimals `currency` has (CLDR): 2 for EUR, 0 for JPY, 3 for KWD."""
    return get_currency_precision(currency)


def to_minor(amount: Decimal, currency: str) -> Minor:
    """`amount` in major units as minor units, half away from zero."""
    scaled = amount.scaleb(minor_exponent(currency))
    return Minor(int(scaled.quantize(Decimal(1), rounding=ROUND_HALF_UP)))


def to_major(amount: int, currency: str) -> Decimal:
    """`amount` in minor units as major units, exactly."""
    return Decimal(amount).scaleb(-minor_exponent(currency))


def format_money(amount: int, currency: str, locale: str = "en") -> str:
    """`amount` in minor units as people of `locale` write it."""
    return format_currency(to_major(amount, currency), currency, locale=locale)
