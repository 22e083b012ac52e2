"""Money: whole minor units (cents, pence, rial) of a currency, never floats."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import format_currency, get_currency_precision


def minor_exponent(currency: str) -> int:
    """How many decimals `currency` has (CLDR): 2 for EUR, 0 for JPY, 3 for KWD."""
    return get_currency_precision(currency)


def to_major(amount: int, currency: str) -> Decimal:
    """`amount` in minor units as major units, exactly."""
    return Decimal(amount).scaleb(-minor_exponent(currency))


def format_money(amount: int, currency: str) -> str:
    """`amount` in minor units as the report and the command line write it."""
    return format_currency(to_major(amount, currency), currency, locale="en")
