"""The programme file: earn rules, what returns take back, how long points last, tiers; typed."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tessera import clock, documents
from tessera.documents import Document, Misplaced, nearest
from tessera.errors import BadInput
from tessera.reward.rules import MOST, EarnRule, Gift, Name, Points
from tessera.reward.terms import Expiry
from tessera.reward.worth import Referral, Worth
from tessera.vouchers.terms import Terms as VoucherTerms
from tessera.workspace import NO_TIER, PROGRAMME

FILE = PROGRAMME
__all__ = ["FILE", "EarnRule", "Programme", "load"]


class Reward(Document):
    """A voucher that a campaign's step may grant; `limit`: so many in all. With `at_points`, so many
    points of a member become one by themselves."""

    reward: Name
    limit: int | None = Field(None, ge=0, le=MOST, strict=True)
    at_points: Points | None = None
    voucher: VoucherTerms = VoucherTerms()

    @model_validator(mode="after")
    def _can_be_kept(self) -> Reward:
        if self.voucher.at_most and not self.voucher.percent:
            said = "'at_most' says nothing without 'percent'; take it out, or write a smaller 'amount'."
            raise Misplaced(("voucher", "at_most"), said)
        if self.at_points and (self.limit is not None or self.voucher.codes == "pool"):
            raise ValueError(
                f"'{self.reward}' is given for points ('at_points'), so it can have no 'limit' and "
                "its codes must be 'made': no member's points may find it gone"
            )
        return self


class Tier(Document):
    """Members from so much on; their points are multiplied by a fraction such as 3/2."""

    tier: Name
    least: int = Field(ge=0, le=MOST, strict=True)  # points earned, less what was taken back
    multiplier: str = Field("1", pattern=r"^[1-9]\d{0,3}(/[1-9]\d{0,3})?$")

    @property
    def factor(self) -> Fraction:
        return Fraction(self.multiplier)


class Tiers(Document):
    """What a member reached within the last `months` makes the tier: at once upwards. A tier
    lasts `keep_months` and `grace_days`; then it is reviewed, and falls to what the member's
    points are worth, or by one level (`one_down`)."""

    months: int = Field(12, gt=0, le=120, strict=True)
    keep_months: int = Field(12, ge=0, le=120, strict=True)
    grace_days: int = Field(0, ge=0, le=366, strict=True)
    downgrade: Literal["to_measure", "one_down", "never"] = "to_measure"
    levels: tuple[Tier, ...] = Field(min_length=1)

    @field_validator("levels")
    @classmethod
    def _rise(cls, levels: tuple[Tier, ...]) -> tuple[Tier, ...]:
        for i, level in enumerate(levels):
            if level.tier == NO_TIER and level.least:
                said = f"'{NO_TIER}' is who has no tier; give this one another name, or 'least: 0'."
                raise Misplaced((i,), said)
        for i, (low, high) in enumerate(itertools.pairwise(levels), 1):
            if high.least <= low.least or high.tier in [one.tier for one in levels[:i]]:
                raise Misplaced((i,), f"'{high.tier}' must need more than '{low.tier}' before it.")
        return levels


class Programme(Document):
    """One loyalty programme."""

    programme: Name
    beside: tuple[Name, ...] = ()  # programmes whose ledgers stay as they are while this one begins
    currency: str = Field(pattern=r"^([A-Z]{3}|any)$")
    timezone: str | None = None  # days begin and end here; default the shop's
    earn_rules: tuple[EarnRule, ...] = Field(min_length=1)
    pending_days: int = Field(0, ge=0, le=366, strict=True)
    returns: Literal["only_pending", "debt", "within_balance"]
    expiry: Expiry | None = None
    tiers: Tiers | None = None
    leap_day: Literal["feb-28", "mar-1"] = "feb-28"  # when 29 February's birthday is in other years
    gifts: tuple[Gift, ...] = ()
    pool: Literal["household"] | None = None  # who lives together may spend each other's points
    rewards: tuple[Reward, ...] = ()
    worth: Worth | None = None  # what points pay at the till; absent: they pay no money
    # Of a member at tills; absent: as many as they like.
    redemptions_a_day: int | None = Field(None, ge=1, le=1_000, strict=True)
    referral: Referral | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        try:
            clock.zone(name or "UTC")
        except BadInput as error:
            raise ValueError(str(error)) from None
        return name

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
        if len([one for one in rewards if one.at_points]) > 1:
            raise ValueError("points can become only one reward by themselves ('at_points')")
        return rewards

    @field_validator("gifts")
    @classmethod
    def _given_once(cls, gifts: tuple[Gift, ...]) -> tuple[Gift, ...]:
        if len({one.gift for one in gifts}) < len(gifts):
            raise ValueError("two gifts have the same name")
        return gifts

    @model_validator(mode="after")
    def _knows_its_tiers(self) -> Programme:
        known = self.tier_names
        for i, rule in enumerate(self.earn_rules):
            for name in rule.only.tiers or ():
                if name not in known:
                    at = ("earn_rules", i, "only", "tiers")
                    raise Misplaced(at, f"'{name}' is not a tier of `tiers`.{nearest(name, known)}")
        return self

    @property
    def leap_day_of_year(self) -> str:
        """Month and day, as dates are written, of a birthday on 29 February in other years."""
        return {"feb-28": "02-28", "mar-1": "03-01"}[self.leap_day]

    def zone(self, shop: str) -> str:
        """Where the programme's days begin and end."""
        return self.timezone or shop

    @property
    def tier_names(self) -> list[str]:
        """The tiers there are, lowest first. A member may have one that was renamed since."""
        return [one.tier for one in self.tiers.levels] if self.tiers else []

    def rates(self) -> list[dict[str, Any]]:
        """What each rule gives in each tier, '' being none: a row per rule and tier. Its version
        tells the multiplier, by which a later return is reckoned."""
        factors = {"": Fraction(1)}
        factors |= {one.tier: one.factor for one in self.tiers.levels} if self.tiers else {}
        return [
            {
                "rule": rule.rule,
                "tier": tier,
                "version": rule.version + (f"*{factor}" if factor != 1 else ""),
                "numerator": rule.points * factor.numerator,
                "denominator": rule.per * factor.denominator,
            }
            for rule in self.earn_rules
            for tier, factor in factors.items()
        ]


def load(project: Path) -> Programme:
    """The project's programme; BadInput names file, line and key of every mistake."""
    return documents.load(project / FILE, Programme, project=project)
