"""What a voucher is good for: typed, in whole minor units, and judged without a database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal

from pydantic import Field, NonNegativeInt, model_validator

from tessera.documents import Document


class Line(Document):
    """One product in a basket. `amount` is what the whole line costs, in minor units."""

    product: str = Field(min_length=1, max_length=100)
    category: str | None = Field(None, max_length=100)
    amount: NonNegativeInt = Field(le=10**12, strict=True)
    quantity: int | None = Field(None, ge=0, le=10**9, strict=True)  # pieces, where that is known


class Terms(Document):
    """What a code takes off, from what, when, how often, and beside which others.

    Neither `percent` nor `amount`: the code is handed in for the thing its reward names.
    """

    percent: int | None = Field(None, ge=1, le=100, strict=True)
    amount: int | None = Field(None, gt=0, strict=True)
    at_most: int | None = Field(None, gt=0, strict=True)  # of a percentage
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$")
    min_basket: int = Field(0, ge=0, strict=True)
    products: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    valid_days: int | None = Field(None, ge=1, le=36_500, strict=True)  # the day it is given is one
    valid_from: date | None = None
    valid_until: date | None = None
    uses: int = Field(1, ge=1, le=10_000, strict=True)
    stacks: bool = False  # may be used beside others that may
    per_customer: bool = False  # only by whom it was given to
    codes: Literal["made", "pool"] = "made"  # pool: only those that were made or imported before

    @model_validator(mode="after")
    def _make_sense(self) -> Terms:
        if self.percent and self.amount:
            raise ValueError("a voucher takes off a percentage or an amount, not both")
        if (self.amount or self.min_basket or self.at_most) and not self.currency:
            raise ValueError("an amount of money needs its 'currency'")
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValueError("'valid_until' lies before 'valid_from'")
        return self

    @property
    def body(self) -> str:
        """The terms as they are kept."""
        return self.model_dump_json(exclude_defaults=True)

    def version(self, reward: str) -> str:
        return hashlib.sha256(f"{reward}\x1f{self.body}".encode()).hexdigest()[:16]

    def last_day(self, given_on: date) -> date | None:
        """The day that is printed, the last one, for a code given on `given_on`. A code that is not good
        yet has all its days from when it is."""
        ends = [self.valid_until] if self.valid_until else []
        if self.valid_days:
            first = max(given_on, self.valid_from or given_on)
            ends.append(first + min(timedelta(days=self.valid_days - 1), date.max - first))
        return min(ends) if ends else None

    def discount(self, basket: Sequence[Line], currency: str) -> int | None:
        """What it takes off `basket`, in minor units; None when the basket does not qualify."""
        eligible = [line.amount for line in basket if self._takes(line)]
        whole = sum(line.amount for line in basket)
        if (self.currency and self.currency != currency) or whole < self.min_basket:
            return None
        if not eligible and (self.percent or self.amount or self.products or self.categories):
            return None
        return self._off(sum(eligible))

    def _takes(self, line: Line) -> bool:
        if not self.products and not self.categories:
            return True
        return line.product in self.products or (line.category or "") in self.categories

    def _off(self, amount: int) -> int:
        if self.percent:
            return min(amount * self.percent // 100, self.at_most or amount)
        return min(amount, self.amount or 0)
