"""The programme file: earn rules and the return policy, typed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tessera import documents
from tessera.documents import Document
from tessera.reward.worth import Referral, Worth
from tessera.vouchers.terms import Terms as VoucherTerms

FILE = Path("deployments/programme.yml")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class EarnRule(Document):
    """`points` for every `per` minor units of a receipt's sales. Whole numbers throughout."""

    rule: Name
    points: int = Field(gt=0, le=1_000_000, strict=True)
    per: int = Field(gt=0, le=1_000_000_000, strict=True)
    rounding: Literal["down", "nearest", "up"] = "down"

    def points_for(self, basis: int) -> int:
        """The points of a receipt, as the night's posting reckons them."""
        factor, add = {"down": (1, 0), "nearest": (2, self.per), "up": (1, self.per - 1)}[
            self.rounding
        ]
        return (basis * self.points * factor + add) // (self.per * factor)

    @property
    def version(self) -> str:
        """Changes with the rule, and only with it: a transfer remembers which one it was."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:12]


class Reward(Document):
    """A voucher that a campaign's step may grant; `limit`: so many in all."""

    reward: Name
    limit: int | None = Field(None, ge=0, strict=True)
    voucher: VoucherTerms = VoucherTerms()


class Programme(Document):
    """One loyalty programme."""

    programme: Name
    currency: str = Field(pattern=r"^([A-Z]{3}|any)$")
    earn_rules: tuple[EarnRule, ...] = Field(min_length=1)
    returns: Literal["debt", "within_balance"]
    rewards: tuple[Reward, ...] = ()
    worth: Worth | None = None  # what points pay at the till; absent: they pay no money
    referral: Referral | None = None

    @field_validator("earn_rules")
    @classmethod
    def _named_once(cls, rules: tuple[EarnRule, ...]) -> tuple[EarnRule, ...]:
        if len({rule.rule for rule in rules}) < len(rules):
            raise ValueError("two rules have the same name")
        return rules

    @field_validator("rewards")
    @classmethod
    def _offered_once(cls, rewards: tuple[Reward, ...]) -> tuple[Reward, ...]:
        if len({one.reward for one in rewards}) < len(rewards):
            raise ValueError("two rewards have the same name")
        return rewards


def load(project: Path) -> Programme:
    """The project's programme; BadInput names file, line and key of every mistake."""
    return documents.load(project / FILE, Programme, project=project)
