"""Campaign files: who is written to, with what, when; typed, and refused when they say more than
this version can do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, Field, model_validator

from tessera import documents
from tessera.decide import filters, policy, schedule, slots
from tessera.decide.filters import Filter
from tessera.decide.policy import ContactPolicy, Window
from tessera.documents import Document, Problem, Source, nearest
from tessera.errors import BadInput

FOLDER = Path("deployments/campaigns")
NAME = r"^[a-z][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=60)]


def _days(text: str) -> int:
    if not re.fullmatch(r"\d{1,3}d", text):
        raise ValueError("write whole days as 7d")
    return int(text[:-1])


Days = Annotated[str, AfterValidator(lambda text: f"{_days(text)}d")]


class Step(Document):
    """One message of a campaign; later steps follow the one before."""

    name: Name
    template: str = Field(pattern=r"^[a-z][a-z0-9_-]*(/[a-z][a-z0-9_-]*)*$")
    after: Days = "0d"  # since the step before, the first: since the customer came to the audience

    @property
    def after_days(self) -> int:
        return _days(self.after)


class Goal(Document):
    """What the campaign is for, counted by the report."""

    event: Literal["purchased"]
    within: Days

    @property
    def within_days(self) -> int:
        return _days(self.within)


class Campaign(Document):
    """One campaign file."""

    campaign: Name
    purpose: Literal["marketing", "service"]
    audience: Name
    where: tuple[Filter, ...] = ()
    priority: int = Field(0, ge=0, le=1000, strict=True)  # the higher goes first
    schedule: Annotated[str, AfterValidator(schedule.check)]
    send_window: Window | None = None
    control_group_share: float = Field(0, ge=0, le=1)
    re_entry_after_days: int | None = Field(None, ge=1, strict=True)
    content_repeat: Literal["never", "allow"] = "never"
    not_after: datetime | date | None = None
    valid_hours: int | None = Field(None, ge=1, strict=True)
    steps: tuple[Step, ...] = Field(min_length=1)
    goal: Goal | None = None

    @model_validator(mode="after")
    def _steps_make_sense(self) -> Campaign:
        if len({step.name for step in self.steps}) < len(self.steps):
            raise ValueError("two steps have the same name")
        if any(step.after_days < 1 for step in self.steps[1:]):
            raise ValueError("a step after the first needs 'after', a day at least")
        return self

    @property
    def version(self) -> str:
        """Changes with what the file means, and only with it."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:12]

    def ends_at(self, shop: ZoneInfo) -> datetime | None:
        """The instant after which nothing of it is sent, UTC; a date holds to its end."""
        if self.not_after is None:
            return None
        if not isinstance(self.not_after, datetime):
            return slots.end_of(self.not_after, shop)
        moment = self.not_after
        return (moment if moment.tzinfo else moment.replace(tzinfo=shop)).astimezone(UTC)


def load(project: Path) -> tuple[Campaign, ...]:
    """Every campaign of the project, by name; BadInput lists all mistakes in all files."""
    found = list(_read(project))
    documents.refuse([problem for _, problems, _ in found for problem in problems])
    return tuple(campaign for campaign, _, _ in found if campaign is not None)


def choose(campaigns: Sequence[Campaign], names: Sequence[str]) -> tuple[Campaign, ...]:
    """The campaigns called `names`; BadInput when there is no such campaign."""
    known = {campaign.campaign: campaign for campaign in campaigns}
    for name in names:
        if name not in known:
            raise BadInput(f"There is no campaign '{name}'.{nearest(name, known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def step(campaign: Campaign, name: str | None) -> Step:
    """The step called `name`, or the first; BadInput when there is no such step."""
    known = {one.name: one for one in campaign.steps}
    if name is not None and name not in known:
        raise BadInput(
            f"Campaign '{campaign.campaign}' has no step '{name}'.{nearest(name, known)}"
        )
    return known[name] if name else campaign.steps[0]


def check(project: Path) -> list[Problem]:
    """Everything wrong with the campaigns, their audiences, fields and templates, and the policy."""
    rules, problems, _ = documents.read(project / policy.FILE, ContactPolicy, project=project)
    columns = dbt_columns(project)
    for campaign, mistakes, source in _read(project):
        problems += mistakes
        if campaign is not None:
            problems += _unknown_audience(project, campaign, source)
            problems += _wrong_fields(campaign, source, columns)
            problems += _bad_templates(project, campaign, source)
            problems += _never_open(campaign, source, rules)
    return problems


def wrong_fields(campaign: Campaign, columns: Mapping[str, str]) -> list[str]:
    """What is wrong with the campaign's filters, given the mart's columns (name -> SQL type)."""
    return [said for one in campaign.where for said in filters.mistakes(one, columns)]


def dbt_columns(project: Path) -> dict[str, str]:
    """The contracted columns of the customers mart, as the dbt project describes them."""
    for path in sorted((project / "dbt" / "models").rglob("*.yml")):
        described = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for model in described.get("models") or []:
            if model.get("name") == "customers":
                return {column["name"]: _sql_type(column) for column in model.get("columns", [])}
    return {}


def _sql_type(column: Mapping[str, Any]) -> str:
    return str(column.get("data_type", "varchar"))


def _read(project: Path) -> Iterator[tuple[Campaign | None, list[Problem], Source]]:
    for path in sorted((project / FOLDER).glob("*.y*ml")):
        campaign, problems, source = documents.read(path, Campaign, project=project)
        if campaign is not None and campaign.campaign != path.stem:
            said = f"a campaign is called as its file; write 'campaign: {path.stem}'."
            problems.append(source.problem(("campaign",), said))
        yield campaign, problems, source


def _unknown_audience(project: Path, campaign: Campaign, source: Source) -> Iterator[Problem]:
    models = (project / "dbt" / "models").rglob("audience_*.sql")
    known = {path.stem.removeprefix("audience_") for path in models}
    if campaign.audience not in known:
        said = f"dbt has no model audience_{campaign.audience}.{nearest(campaign.audience, known)}"
        yield source.problem(("audience",), said)


def _wrong_fields(
    campaign: Campaign, source: Source, columns: Mapping[str, str]
) -> Iterator[Problem]:
    for number, one in enumerate(campaign.where):
        for said in filters.mistakes(one, columns):
            yield source.problem(("where", number, "field"), said)


def _bad_templates(project: Path, campaign: Campaign, source: Source) -> Iterator[Problem]:
    from tessera import say

    for number, step in enumerate(campaign.steps):
        for said in say.check(project, step.template):
            yield source.problem(("steps", number, "template"), said)


def _never_open(
    campaign: Campaign, source: Source, rules: ContactPolicy | None
) -> Iterator[Problem]:
    if rules is None:
        return
    window = campaign.send_window or rules.send_window
    if not slots.open_hours(window, rules.quiet_hours):
        said = f"the send window {window} lies wholly in the quiet hours {rules.quiet_hours}."
        yield source.problem(("send_window",), said)
