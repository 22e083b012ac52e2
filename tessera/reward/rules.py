"""Earn rules: on what, under which conditions, how many points, up to which cap."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tessera.documents import Document

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
Points = Annotated[int, Field(gt=0, le=1_000_000_000, strict=True)]
MOST = 1_000_000_000_000
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Texts = Annotated[tuple[str, ...], Field(min_length=1)]


class Only(Document):
    """All that is said must hold. The first four look at the lines, the others at the receipt."""

    products: Texts | None = None
    categories: Texts | None = None
    brands: Texts | None = None
    stores: Texts | None = None
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)] | None = None
    tiers: Texts | None = None
    first_purchase: Literal[True] | None = None
    birthday: Literal["day", "month"] | None = None
    least_amount: int | None = Field(
        None, gt=0, le=MOST, strict=True
    )  # of the receipt, minor units
    since: date | None = None  # these days included
    until: date | None = None

    @property
    def looks_at_receipt(self) -> bool:
        """Whether the lines alone do not tell."""
        return bool(set(self.model_dump(exclude_none=True)) - {"products", "categories", "brands"})


class Cap(Document):
    """Points of one rule at most: for a receipt, a member's day, a member ever, everybody ever."""

    transaction: Points | None = None
    day: Points | None = None
    member: Points | None = None
    budget: Points | None = None


class EarnRule(Document):
    """`points` for every `per` of what the rule counts. Whole numbers throughout."""

    rule: Name
    points: int = Field(gt=0, le=1_000_000, strict=True)
    per: int = Field(gt=0, le=1_000_000_000, strict=True)
    basis: Literal["currency", "item", "order"] = "currency"  # minor units, pieces, receipts
    rounding: Literal["down", "nearest", "up"] = "down"
    only: Only = Only()
    cap: Cap = Cap()
    stacking: Literal["add", "best"] = "add"  # best: of all such rules, the one that gives most

    @property
    def version(self) -> str:
        return _version(self)

    @property
    def pays_some_lines(self) -> bool:
        """Whether it hangs on how much each line costs, not on their sum alone."""
        only = self.only
        return self.basis == "currency" and bool(only.products or only.categories or only.brands)

    @property
    def hangs_on_others(self) -> bool:
        """Whether what else is bought until the night decides too."""
        cap = self.cap
        return bool(self.only.first_purchase or cap.day or cap.member or cap.budget)

    def row(self, position: int) -> dict[str, Any]:
        """The rule as a row of the earning step's table `rule`."""
        said = self.only.model_dump()
        caps = {f"cap_{name}": value for name, value in self.cap.model_dump().items()}
        own: dict[str, Any] = {"rule": self.rule, "basis_of": self.basis, "position": position}
        own |= {"rounding": self.rounding, "stacking": self.stacking}
        return own | said | caps | {"looks_at_receipt": self.only.looks_at_receipt}

    @model_validator(mode="after")
    def _spans_days(self) -> EarnRule:
        if self.only.since and self.only.until and self.only.since > self.only.until:
            raise ValueError(f"rule '{self.rule}' ends ('until') before it begins ('since')")
        return self


class Gift(Document):
    """Points without a purchase: each year on the birthday, or once for joining."""

    gift: Name
    points: int = Field(gt=0, le=1_000_000, strict=True)
    to_mark: Literal["birthday", "joining"]
    since: date | None = None  # days that are marked; these included
    until: date | None = None

    @property
    def version(self) -> str:
        return _version(self)

    @model_validator(mode="after")
    def _spans_days(self) -> Gift:
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"gift '{self.gift}' ends ('until') before it begins ('since')")
        return self


def _version(rule: Document) -> str:
    """Changes with the rule, and only with it: a transfer remembers which one it was."""
    return hashlib.sha256(rule.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:12]
