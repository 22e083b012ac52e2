"""How often at most: the caps of the contact policy, which deciding plans under and sending looks at once
more at the last moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tessera.documents import Document

Tag = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
Channel = Literal["email", "sms", "print"]
# What people choose in the preference centre: once in so many days.
PACES = {"weekly": 7, "monthly": 30}


class Limit(Document):
    """At most `max` messages in any `days` times 24 hours, or any `hours`; null: no limit."""

    max: int | None = Field(ge=0, strict=True)
    days: int | None = Field(None, ge=1, le=366, strict=True)
    hours: int | None = Field(None, ge=1, le=8784, strict=True)

    @model_validator(mode="after")
    def _one_span(self) -> Limit:
        if (self.days is None) == (self.hours is None):
            raise ValueError("say in how many 'days' or 'hours', one of them")
        return self

    @property
    def span(self) -> timedelta:
        return timedelta(days=self.days or 0, hours=self.hours or 0)

    @property
    def span_said(self) -> str:
        return f"{self.days} days" if self.days else f"{self.hours} hours"


class Cap(Limit):
    """A limit on messages to one person, or to all persons of a household together."""

    purpose: Literal["marketing"]  # service messages are not counted and never capped
    per: Literal["person", "household"] = "person"
    channel: Channel | None = None  # none said: all channels together
    tag: Tag | None = None  # counts, and limits, only messages with this tag

    def __str__(self) -> str:
        words = [str(self.max), self.tag, self.purpose, self.channel, "in", self.span_said]
        per = " per household" if self.per == "household" else ""
        return " ".join(word for word in words if word) + per


DEFAULT_CAPS = (Cap(purpose="marketing", max=2, days=7),)


class Caps(Document):
    """The part of the contact policy that holds of every message, whichever campaign it is of."""

    caps: tuple[Cap, ...] | None = DEFAULT_CAPS  # null: none; absent: the usual ones
    min_gap_hours: int | None = Field(None, ge=1, strict=True)

    @property
    def limits(self) -> list[Cap]:
        """The caps that limit something, the shortest span first."""
        found = [cap for cap in (*self._gap(), *(self.caps or ())) if cap.max is not None]
        return sorted(found, key=lambda cap: (cap.span, cap.max))

    def _gap(self) -> Iterator[Cap]:
        if self.min_gap_hours:
            yield Cap(purpose="marketing", max=1, hours=self.min_gap_hours)
