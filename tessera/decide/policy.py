"""The contact policy: how often, at which hours, and to whom never."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tessera import documents
from tessera.documents import Document

FILE = Path("deployments/contact_policy.yml")
_TIME = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$|^24:00$")


def _time_of_day(value: str) -> str:
    if not _TIME.match(value):
        raise ValueError("write a time of day as 09:00")
    return value


Time = Annotated[str, AfterValidator(_time_of_day)]


def minutes(time: Time) -> int:
    """Minutes since midnight, by the clock on the wall."""
    hour, minute = time.split(":")
    return int(hour) * 60 + int(minute)


class Hours(Document):
    """A span of the day in the customer's own zone; past midnight when it ends before it starts."""

    start: Time
    end: Time

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"


class Window(Hours):
    """A span within one day."""

    @model_validator(mode="after")
    def _forward(self) -> Window:
        if minutes(self.start) >= minutes(self.end):
            raise ValueError("it must end after it starts, on the same day")
        return self


class Cap(Document):
    """At most `max` messages to one person in any `days` times 24 hours; null: no limit."""

    purpose: Literal["marketing"]  # service messages are not counted and never capped
    max: int | None = Field(ge=0, strict=True)
    days: int = Field(ge=1, le=366, strict=True)

    def __str__(self) -> str:
        return f"{self.max} {self.purpose} in {self.days} days"


DEFAULT_CAPS = (Cap(purpose="marketing", max=2, days=7),)


class ContactPolicy(Document):
    """What holds for all campaigns together."""

    caps: tuple[Cap, ...] | None = DEFAULT_CAPS  # null: none; absent: the usual ones
    global_control_group_share: float = Field(0, ge=0, le=1)
    quiet_hours: Hours | None = None
    send_window: Window = Window(start="09:00", end="19:30")
    stale_after_days: int = Field(1, ge=0, strict=True)

    @property
    def limits(self) -> list[Cap]:
        """The caps that limit something, the shortest span first."""
        found = [cap for cap in self.caps or () if cap.max is not None]
        return sorted(found, key=lambda cap: (cap.days, cap.max))

    @property
    def longest_days(self) -> int:
        """The longest span that any cap looks back over."""
        return max((cap.days for cap in self.limits), default=0)


def load(project: Path) -> ContactPolicy:
    """The project's policy; BadInput names file, line and key of every mistake."""
    return documents.load(project / FILE, ContactPolicy, project=project)
