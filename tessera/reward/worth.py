"""What points pay for, both ways, and what bringing a friend is worth; in whole numbers."""

from __future__ import annotations

from fractions import Fraction

from pydantic import Field, field_validator

from tessera.documents import Document


class Worth(Document):
    """So many `points` pay `pays` minor units of a receipt. `expected`: the share of all points that
    will ever be spent, as the books reckon with it."""

    points: int = Field(gt=0, le=1_000_000, strict=True)
    pays: int = Field(gt=0, le=1_000_000_000, strict=True)
    expected: str = Field("1", pattern=r"^[1-9]\d{0,5}(/[1-9]\d{0,5})?$")

    @field_validator("expected")
    @classmethod
    def _is_a_share(cls, share: str) -> str:
        if Fraction(share) > 1:
            raise ValueError(f"{share} of all points cannot be spent; write a fraction up to 1")
        return share

    @property
    def told(self) -> dict[str, object]:
        """As the models take it."""
        share = Fraction(self.expected)
        return {
            "points": self.points,
            "pays": self.pays,
            "expected": [share.numerator, share.denominator],
        }

    @property
    def point(self) -> Fraction:
        """What one point pays, in minor units."""
        return Fraction(self.pays, self.points)

    def money(self, points: int) -> int:
        """What `points` pay, in whole minor units."""
        return points * self.pays // self.points

    def needed(self, amount: int) -> int:
        """The fewest points that pay `amount` to the last unit."""
        return -(-amount * self.points // self.pays)


class Referral(Document):
    """Both sides' points once the friend's first purchase of `min_purchase` was kept for `kept_days`."""

    points: int = Field(ge=0, le=1_000_000, strict=True)  # for who brought the friend
    friend_points: int = Field(0, ge=0, le=1_000_000, strict=True)
    kept_days: int = Field(14, ge=0, le=365, strict=True)
    min_purchase: int = Field(1, ge=1, strict=True)  # in minor units
    most: int | None = Field(None, ge=0, strict=True)  # friends that one member is rewarded for
