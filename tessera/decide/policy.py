"""The contact policy: how often, at which hours, and to whom never."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from tessera import documents
from tessera.blackouts import Blackout
from tessera.caps import Caps, Limit, Tag
from tessera.documents import Document, Misplaced
from tessera.say.fields import CUSTOMER
from tessera.throttle import Throttle, WarmUp

FILE = Path("deployments/contact_policy.yml")
MONTH = timedelta(days=30)  # as often as people can choose to hear from the shop at least
_TIME = re.compile(r"^(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)$")


def _time_of_day(value: str) -> str:
    if not _TIME.match(value):
        raise ValueError("write a time of day as 09:00")
    return value


Time = Annotated[
    str, AfterValidator(_time_of_day), Field(json_schema_extra={"pattern": _TIME.pattern})
]


def _shown(value: str) -> str:
    if value not in CUSTOMER:
        raise ValueError(f"no template knows it; there are {', '.join(CUSTOMER)}")
    return value


Shown = Annotated[str, AfterValidator(_shown)]


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


class Fatigue(Document):
    """Who has read nothing of the last `unread` messages, nor for `silent_days`, gets fewer."""

    level: Tag
    unread: int = Field(ge=1, le=10_000, strict=True)
    silent_days: int = Field(ge=1, le=36_500, strict=True)
    caps: tuple[Limit, ...] = Field(min_length=1)  # max: 0 is the sunset

    @property
    def asks(self) -> tuple[int, int]:
        return self.unread, self.silent_days


class Costs(Document):
    """What `tessera plan` reckons with, in minor units: nobody is billed by it."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    per_thousand_messages: int = Field(0, ge=0, strict=True)
    rewards: dict[str, Annotated[int, Field(ge=0, strict=True)]] = Field(default={})  # of one each


class Rhythm(Document):
    """`max` messages of a campaign in any `days`, while the journey is younger than `until_day`."""

    max: int = Field(ge=1, strict=True)
    days: int = Field(ge=1, le=366, strict=True)
    until_day: int | None = Field(None, ge=1, le=36_500, strict=True)


# A burst in the first week, weekly for three weeks, then monthly.
NURTURE = (
    Rhythm(max=3, days=7, until_day=7),
    Rhythm(max=1, days=7, until_day=28),
    Rhythm(max=1, days=30),
)


class ContactPolicy(Caps):
    """What holds for all campaigns together."""

    fatigue: tuple[Fatigue, ...] = ()
    cadences: dict[Tag, tuple[Rhythm, ...]] = Field(default={"nurture": NURTURE})
    reserve_days: int = Field(0, ge=0, le=30, strict=True)
    global_control_group_share: float = Field(0, ge=0, le=1, strict=True)
    quiet_hours: Hours | None = None
    send_window: Window = Window(start="09:00", end="19:30")
    blackout_dates: tuple[Blackout, ...] = ()  # of marketing
    throttle: Throttle | None = None
    warm_up: WarmUp | None = None
    wait_for_events_hours: int = Field(24, ge=1, strict=True)
    stale_after_days: int = Field(1, ge=0, strict=True)
    approval_over: int | None = Field(None, ge=0, strict=True)  # messages of a campaign and day
    costs: Costs | None = None
    may_show: tuple[Shown, ...] | None = None  # what of a person templates show; absent: anything

    @model_validator(mode="after")
    def _mildest_first(self) -> ContactPolicy:
        """Who is on several levels is on the last of them: a milder one there would undo the others."""
        for number, (one, other) in enumerate(pairwise(self.fatigue), 1):
            (unread, days), after = one.asks, other.asks
            if one.asks == after or after[0] < unread or after[1] < days:
                than = "the same as" if one.asks == after else "less than"
                said = (
                    f"level '{other.level}' asks for {than} '{one.level}' before it; write the "
                    "mildest first, with 'unread' and 'silent_days' that grow."
                )
                raise Misplaced(("fatigue", number), said)
        return self

    def window(self, own: Window | None) -> Window:
        """The send window of a campaign that says its `own`, or none."""
        return own or self.send_window

    @property
    def tiring(self) -> list[tuple[Fatigue, Limit]]:
        """The limits of each fatigue level, mildest level first."""
        return [
            (level, limit)
            for level in self.fatigue
            for limit in level.caps
            if limit.max is not None
        ]

    def since(self, as_of: datetime) -> datetime:
        """From when on a message may count under a limit, and a day more."""
        return as_of - self._longest - timedelta(days=1)

    @property
    def _longest(self) -> timedelta:
        """The longest span that any limit looks back over."""
        spans = [cap.span for cap in self.limits] + [limit.span for _, limit in self.tiring]
        rhythms = [timedelta(days=one.days) for found in self.cadences.values() for one in found]
        return max([*spans, *rhythms, MONTH], default=timedelta())


def load(project: Path, file: Path | None = None) -> ContactPolicy:
    """The project's policy, or that of `file`; BadInput names file, line and key of a mistake."""
    return documents.load(file or project / FILE, ContactPolicy, project=project)
