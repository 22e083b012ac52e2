"""One campaign: who, what, when and how often, typed; there are no expressions in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, model_validator
from pydantic import Tag as Marked

from tessera import clock
from tessera.blackouts import Blackout
from tessera.caps import Channel, Tag
from tessera.decide import schedule
from tessera.decide.filters import Filter
from tessera.decide.policy import Window
from tessera.documents import Document, Instant, Loc, Misplaced, as_day, nearest

NAME = r"^[a-z][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=60)]
Template = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*(/[a-z][a-z0-9_-]*)*$")]
DAYS = r"^[0-9]{1,3}d$"
YEAR = 365
DAYS_MAX = 36_500  # a hundred years: for ever, for a campaign


def days(text: str) -> int:
    """How many days '7d' are."""
    if not re.fullmatch(DAYS, text):
        raise ValueError("write whole days as 7d")
    return int(text[:-1])


def _some_days(text: str) -> str:
    if not days(text):
        raise ValueError("write 1d at least")
    return text


def _several(value: object) -> object:
    """A list may be written as the one thing it holds."""
    return [value] if isinstance(value, (str, dict)) else value


def _no_number(value: object) -> object:
    """A number would be taken for seconds since 1970."""
    if isinstance(value, (int, float)):
        raise ValueError("write a date as 2026-12-31, or an instant as 2026-12-31T18:00")  # noqa: TRY004
    return as_day(value) if isinstance(value, str) else value


def _no_never(end: datetime | date) -> datetime | date:
    """After the last day of the calendar there is none."""
    if end.year not in clock.YEARS:
        raise ValueError("leave it out where there is no end")
    return end


End = Annotated[Instant | date, BeforeValidator(_no_number), AfterValidator(_no_never)]
Days = Annotated[
    str,
    BeforeValidator(lambda value: f"{value}" if isinstance(value, int) else value),
    AfterValidator(lambda text: f"{days(text)}d"),
    Field(json_schema_extra={"pattern": DAYS}),
]
Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(_several, json_schema_input_type=Name | list[Name]),
    Field(min_length=1),
]
Outcome = Literal[
    "opened", "clicked", "purchased", "redeemed",
    "not_opened", "not_clicked", "not_purchased", "not_redeemed",
]  # fmt: skip
Exit = Literal[
    "purchased", "redeemed", "clicked", "unsubscribed", "complaint_opened", "left_audience"
]


class Scored(Document):
    """The answer to the satisfaction question lies within, or without, these bounds."""

    scored: tuple[int, int] | None = None
    not_scored: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Scored:
        bounds = [found for found in (self.scored, self.not_scored) if found]
        if len(bounds) != 1 or bounds[0][0] > bounds[0][1]:
            raise ValueError("write {scored: [0, 6]} or {not_scored: [0, 6]}")
        return self


class Condition(Document):
    """What became of an earlier step. Of a step that was not sent, only the negatives are true."""

    step: Name
    was: Annotated[
        Annotated[Outcome, Marked("an outcome")] | Annotated[Scored, Marked("an answer")],
        Discriminator(lambda said: "an outcome" if isinstance(said, str) else "an answer"),
    ]

    def __str__(self) -> str:
        if not isinstance(self.was, Scored):
            return f"{self.step} was {self.was}"
        word = "scored" if self.was.scored else "not_scored"
        low, high = self.was.scored or self.was.not_scored or (0, 0)
        return f"{self.step} was {word} {low}-{high}"


Conditions = Annotated[
    tuple[Condition, ...],
    BeforeValidator(_several, json_schema_input_type=Condition | list[Condition]),
]


class Variant(Document):
    """One of several contents of a step."""

    name: Name
    template: Template
    weight: int = Field(1, ge=0, le=1000, strict=True)


class Choice(Document):
    """When a variant has won: so many messages of each, and so sure of the difference."""

    winner_by: Literal["opened", "clicked", "purchased"]
    after_messages: int = Field(500, ge=10, strict=True)
    confidence: float = Field(0.95, gt=0.5, lt=1)


class Grant(Document):
    """A voucher of the programme that goes with the message."""

    voucher: Name


class Step(Document):
    """One message of a campaign; a step follows the one before, or those it names."""

    name: Name
    template: Template | None = None
    variants: tuple[Variant, ...] = ()
    choose: Choice | None = None
    after: Days = "0d"  # since the step it follows; the first: since the customer came in
    follows: Names | None = None
    only_if: Conditions = ()
    grant: Grant | None = None

    @model_validator(mode="after")
    def _has_content(self) -> Step:
        if (self.template is None) == (not self.variants):
            raise ValueError("a step needs 'template' or 'variants', one of them")
        if len({one.name for one in self.variants}) < len(self.variants):
            raise ValueError("two variants have the same name")
        if self.variants and not any(one.weight for one in self.variants):
            raise ValueError("one variant at least needs a weight above 0")
        if self.choose and not self.variants[1:]:
            raise ValueError("'choose' needs two variants at least")
        return self

    @property
    def after_days(self) -> int:
        return days(self.after)

    @property
    def contents(self) -> tuple[Variant, ...]:
        """The variants; a step without any has one without a name."""
        if self.template is None:
            return self.variants
        return (Variant.model_construct(name="", template=self.template, weight=1),)


def _steps_named(step: Step) -> Iterator[tuple[Loc, str]]:
    """Where the step names others, and which."""
    for place, name in enumerate(step.follows or ()):
        yield ("follows", place), name
    for place, one in enumerate(step.only_if):
        yield ("only_if", place, "step"), one.step


class Goal(Document):
    """What the campaign is for, counted by the report."""

    event: Literal["purchased"]
    within: Annotated[Days, AfterValidator(_some_days)]


class Scheduled(Document):
    """The audience as it is on the days of the schedule."""

    kind: Literal["scheduled"] = "scheduled"

    def __str__(self) -> str:
        return "scheduled"


class OnEvent(Document):
    """An event of the mart `customer_events`, until `within` days after it."""

    event: Name
    within: Days = "7d"

    def __str__(self) -> str:
        return f"event {self.event}"


class OnDate(Document):
    """The yearly return of a date of the customers mart."""

    date: str
    leap_day: Literal["feb_28", "mar_1"] = "feb_28"  # where 29 February is kept in other years
    before: Days = "0d"
    within: Days = "0d"

    @model_validator(mode="after")
    def _within_a_year(self) -> OnDate:
        if days(self.before) + days(self.within) >= YEAR:
            said = f"'before' and 'within' must come to less than {YEAR}d, when the date returns."
            raise Misplaced(("within",), said)
        return self

    def __str__(self) -> str:
        return f"date {self.date}"


def _kind_of_trigger(said: object) -> str:
    """By its key, so that a mistake is told once and not once for each kind there is."""
    named = dict(said) if isinstance(said, dict | Document) else {}
    return next((f"on {key}" for key in ("event", "date") if key in named), "scheduled")


Trigger = Annotated[
    Annotated[Scheduled, Marked("scheduled")]
    | Annotated[OnEvent, Marked("on event")]
    | Annotated[OnDate, Marked("on date")],
    Discriminator(_kind_of_trigger),
]


class Campaign(Document):
    """One campaign file."""

    campaign: Name
    purpose: Literal["marketing", "service"]
    channel: Channel = "email"
    tags: tuple[Tag, ...] = ()
    audience: Name | None = None
    trigger: Trigger = Scheduled()
    where: tuple[Filter, ...] = ()
    priority: int = Field(0, ge=0, le=1000, strict=True)  # the higher goes first
    schedule: Annotated[str, AfterValidator(schedule.check)]
    send_window: Window | None = None
    at_best_hour: bool = False
    blackout_dates: tuple[Blackout, ...] = ()
    control_group_share: float = Field(0, ge=0, le=1, strict=True)
    re_entry_after_days: int | None = Field(None, ge=1, le=DAYS_MAX, strict=True)
    exit_on: tuple[Exit, ...] = ()
    content_repeat: Literal["never", "allow"] = "never"
    on_cap: Literal["defer", "drop"] = "defer"
    cadence: Name | None = None
    not_after: End | None = None
    valid: Days | None = None
    valid_hours: int | None = Field(None, ge=1, le=24 * DAYS_MAX, strict=True)
    steps: tuple[Step, ...] = Field(min_length=1)
    goal: Goal | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Campaign:
        if self.audience is None and isinstance(self.trigger, Scheduled):
            raise ValueError("say for whom it is: 'audience', or a 'trigger'")
        if self.campaign == "global":
            said = (
                "'global' is how the control group of all campaigns is called; choose another name."
            )
            raise Misplaced(("campaign",), said)
        for mistake in self._wrong_steps():
            raise mistake
        return self

    def _wrong_steps(self) -> Iterator[Misplaced]:
        if self.steps[0].follows or self.steps[0].only_if:
            yield Misplaced(("steps", 0), "the first step follows none, and nothing was before it.")
        for number, step in enumerate(self.steps):
            earlier = [one.name for one in self.steps[:number]]
            if step.name in earlier:
                yield Misplaced(
                    ("steps", number, "name"), f"there is a step '{step.name}' already."
                )
            if number and step.after_days < 1:
                said = "a step after the first needs 'after', a day at least."
                yield Misplaced(("steps", number, "after"), said)
            for place, name in _steps_named(step):
                if name not in earlier:
                    said = f"'{name}' is no step before '{step.name}'.{nearest(name, earlier)}"
                    yield Misplaced(("steps", number, *place), said)

    @property
    def version(self) -> str:
        """Changes with what the file means, and only with it."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:12]

    @property
    def valid_days(self) -> int | None:
        return days(self.valid) if self.valid else None

    def follows(self, number: int) -> tuple[str, ...]:
        """The steps that step `number` follows; none for the first."""
        if number == 0:
            return ()
        return self.steps[number].follows or (self.steps[number - 1].name,)

    def templates(self) -> Iterator[tuple[Loc, str]]:
        """Where each template is named, and which."""
        for number, step in enumerate(self.steps):
            if step.template:
                yield ("steps", number, "template"), step.template
            for place, variant in enumerate(step.variants):
                yield ("steps", number, "variants", place, "template"), variant.template

    def outcomes(self) -> Iterator[tuple[Loc, str]]:
        """Where it asks what became of a message, and for what."""
        yield from ((("exit_on", place), word) for place, word in enumerate(self.exit_on))
        for number, step in enumerate(self.steps):
            if step.choose:
                yield ("steps", number, "choose", "winner_by"), step.choose.winner_by
            for place, one in enumerate(step.only_if):
                if not isinstance(one.was, Scored):
                    yield ("steps", number, "only_if", place, "was"), one.was

    def ends_at(self, shop: ZoneInfo) -> datetime | None:
        """The instant after which nothing of it is sent, UTC; a date holds to its end."""
        if self.not_after is None:
            return None
        if not isinstance(self.not_after, datetime):
            return clock.day_ends(self.not_after, shop)
        moment = self.not_after
        return (moment if moment.tzinfo else moment.replace(tzinfo=shop)).astimezone(UTC)
