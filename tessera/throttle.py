"""How fast messages may leave, as the contact policy says it: deciding accepts it, sending obeys it."""

from __future__ import annotations

from pydantic import Field

from tessera.documents import Document


class Throttle(Document):
    """All campaigns together, whoever sends."""

    per_minute: int = Field(ge=1, strict=True)


class WarmUp(Document):
    """A young sender's address gains trust slowly: so many messages to one domain on the first
    day it is written to, then ever more, until it is known."""

    first_day: int = Field(ge=1, strict=True)
    growth: float = Field(2.0, gt=1)
    days: int = Field(14, ge=1, strict=True)

    def allowed(self, day: int) -> int | None:
        """How many on the `day`-th day, counted from 0; None: as many as there are."""
        return None if day >= self.days else int(self.first_day * self.growth**day)
