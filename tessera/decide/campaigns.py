"""The folder of campaign files: read, chosen from, and checked against all they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from tessera import documents
from tessera.decide import deployed, filters, policy, slots
from tessera.decide.campaign import Campaign, OnDate, OnEvent, Step, Variant, days
from tessera.decide.policy import ContactPolicy
from tessera.documents import Problem, Source, nearest
from tessera.errors import BadInput
from tessera.workspace import CAMPAIGNS, NO_TIER, PROGRAMME, programme_as_written

EARNED = "reward_earned"  # its messages tell the voucher that points became
EVENT_DAYS = 31  # how far back the mart customer_events goes
N = TypeVar("N", Step, Variant)


def load(project: Path, folder: Path | None = None) -> tuple[Campaign, ...]:
    """Every campaign of the project (or of `folder`, where there must be one), by name; BadInput
    lists all mistakes in all files."""
    found = list(_read(project, folder))
    if folder is not None and not found:
        raise BadInput(f"No campaign files (*.yml) are in {folder}; name the folder that has them.")
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
    return _called(f"Campaign '{campaign.campaign}' has no step", campaign.steps, name)


def content(step: Step, variant: str | None) -> Variant:
    """What the step says: its variant of that name, or its first; BadInput when there is none."""
    return _called(f"Step '{step.name}' has no variant", step.contents, variant)


def _called(missing: str, named: Sequence[N], name: str | None) -> N:
    known = {one.name: one for one in named}
    if name is not None and name not in known:
        raise BadInput(f"{missing} '{name}'.{nearest(name, filter(None, known))}")
    return known[name] if name is not None else named[0]


def schema(document: Literal["campaign", "policy"]) -> dict[str, Any]:
    """The JSON Schema of a campaign file or of the contact policy, for editors."""
    model = Campaign if document == "campaign" else ContactPolicy
    described = model.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def check(project: Path) -> list[Problem]:
    """Everything wrong with the campaigns, their audiences, fields, templates and translations, and the policy."""
    from tessera import say

    rules, problems, written = documents.read(project / policy.FILE, ContactPolicy, project=project)
    columns, crons = dbt_columns(project), deployed.crons(project)
    told: set[str] = set()  # of templates that several steps send
    templates: set[tuple[str, str]] = set()
    tags: set[str] | None = set()  # None: a campaign that cannot be read may have any
    for campaign, mistakes, source in _read(project):
        problems += mistakes
        if campaign is not None:
            problems += _unknown_audience(project, campaign, source)
            problems += _wrong_fields(campaign, source, columns)
            problems += _never_true(project, campaign, source)
            problems += _wrong_trigger(project, campaign, source, columns)
            problems += _never_told(campaign, source)
            problems += _bad_templates(project, campaign, source, told)
            templates |= {(template, campaign.channel) for _, template in campaign.templates()}
            problems += _unknown_rewards(project, campaign, source)
            problems += _against_policy(campaign, source, rules)
            problems += deployed.other_schedule(campaign, source, crons)
        tags = None if campaign is None or tags is None else tags.union(campaign.tags)
    there = {path.stem for path in (project / CAMPAIGNS).glob("*.y*ml")}
    problems += [*deployed.without_file(project, there), *say.gaps(project, templates)]
    problems += _unknown_costs(project, rules, written)
    return [*problems, *([] if tags is None else _unknown_tags(rules, written, tags))]


def wrong_fields(campaign: Campaign, columns: Mapping[str, str]) -> list[str]:
    """What is wrong with the campaign's filters, given the mart's columns (name -> SQL type)."""
    return [said for one in campaign.where for said in filters.mistakes(one, columns)]


def dbt_columns(project: Path) -> dict[str, str]:
    """The contracted columns of the customers mart, as the dbt project describes them."""
    return {column["name"]: _sql_type(column) for column in _described(project, "customers")}


def _described(project: Path, name: str) -> list[Mapping[str, Any]]:
    for path in sorted((project / "dbt" / "models").rglob("*.yml")):
        described = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for model in described.get("models") or []:
            if model.get("name") == name:
                return list(model.get("columns", []))
    return []


def _sql_type(column: Mapping[str, Any]) -> str:
    return str(column.get("data_type", "varchar"))


def _read(
    project: Path, folder: Path | None = None
) -> Iterator[tuple[Campaign | None, list[Problem], Source]]:
    seen: dict[str, str] = {}
    for path in sorted((folder or project / CAMPAIGNS).glob("*.y*ml")):
        campaign, problems, source = documents.read(path, Campaign, project=project)
        if (other := seen.setdefault(path.stem, path.name)) != path.name:
            said = f"there is a {other} beside this file already; remove one of them."
            problems.append(source.problem((), said))
        if campaign is not None and campaign.campaign != path.stem:
            said = f"a campaign is called as its file; write 'campaign: {path.stem}'."
            problems.append(source.problem(("campaign",), said))
        yield campaign, problems, source


def _unknown_audience(project: Path, campaign: Campaign, source: Source) -> Iterator[Problem]:
    models = (project / "dbt" / "models").rglob("audience_*.sql")
    known = {path.stem.removeprefix("audience_") for path in models}
    if campaign.audience is not None and campaign.audience not in known:
        said = f"dbt has no model audience_{campaign.audience}.{nearest(campaign.audience, known)}"
        yield source.problem(("audience",), said)


def _wrong_fields(
    campaign: Campaign, source: Source, columns: Mapping[str, str]
) -> Iterator[Problem]:
    for number, one in enumerate(campaign.where):
        for said in filters.mistakes(one, columns):
            yield source.problem(("where", number, "field"), said)


def _never_true(project: Path, campaign: Campaign, source: Source) -> Iterator[Problem]:
    values = few_values(project)
    for number, one in enumerate(campaign.where):
        for said in filters.never_true(one, values.get(one.field, ())):
            yield source.problem(("where", number, "field"), said)


def few_values(project: Path) -> dict[str, list[str]]:
    """The only values of some columns of the customers mart: of those whose description lists them, and tiers."""
    meta = {
        column["name"]: column.get("config", {}).get("meta", {})
        for column in _described(project, "customers")
    }
    known = {name: one["values"] for name, one in meta.items() if "values" in one}
    tiers = programme_as_written(project).get("tiers")
    levels = tiers.get("levels") if isinstance(tiers, dict) else None
    named = [one["tier"] for one in levels or () if isinstance(one, dict) and "tier" in one]
    return {**known, "tier": [*named, NO_TIER], "next_tier": named} if named else known


def _wrong_trigger(
    project: Path, campaign: Campaign, source: Source, columns: Mapping[str, str]
) -> Iterator[Problem]:
    trigger = campaign.trigger
    if isinstance(trigger, OnDate):
        if trigger.date not in columns:
            said = f"'{trigger.date}' is not a column of the customers mart."
            yield source.problem(("trigger", "date"), f"{said}{nearest(trigger.date, columns)}")
        elif filters.kind_of(columns[trigger.date]) != "date":
            yield source.problem(("trigger", "date"), f"'{trigger.date}' is not a date.")
    if isinstance(trigger, OnEvent) and trigger.event not in (known := _events(project)):
        said = (
            f"'{trigger.event}' is not an event of customer_events.{nearest(trigger.event, known)}"
        )
        yield source.problem(("trigger", "event"), said)

    if isinstance(trigger, OnEvent) and days(trigger.within) > EVENT_DAYS:
        said = f"customer_events holds {EVENT_DAYS} days; write {EVENT_DAYS}d or less."
        yield source.problem(("trigger", "within"), said)


def _events(project: Path) -> list[str]:
    """The events that the mart's own description accepts."""
    column = _column(project, "customer_events", "event")
    tests = column.get("data_tests") or column.get("tests") or []
    accepted = [one["accepted_values"] for one in tests if "accepted_values" in one]
    return [value for one in accepted for value in (one.get("arguments") or one).get("values", [])]


def _column(project: Path, model: str, name: str) -> Mapping[str, Any]:
    return next((one for one in _described(project, model) if one["name"] == name), {})


def _never_told(campaign: Campaign, source: Source) -> Iterator[Problem]:
    """Openings and clicks on a channel of which none are heard: what asks for them would wait for ever."""
    for place, outcome in campaign.outcomes():
        word = outcome.removeprefix("not_")
        if campaign.channel != "email" and word in ("opened", "clicked"):
            said = (
                f"nobody tells whether a text message or a letter was {word}; ask for 'purchased'."
            )
            yield source.problem(place, said)


def _bad_templates(
    project: Path, campaign: Campaign, source: Source, told: set[str]
) -> Iterator[Problem]:
    from tessera import say

    known, folder = rewards(project), project / "templates"
    for place, template in campaign.templates():
        if not (folder / template).is_dir():
            near = nearest(template, _template_names(folder))
            said = f"there is no template templates/{template}.{near}"
            yield source.problem(place, said)
            continue
        shown = _voucher(known, campaign, campaign.steps[int(place[1])])
        for said in say.faults(project, template, campaign.channel, voucher=shown):
            if said not in told:
                told.add(said)
                yield source.problem(place, said)


def _template_names(folder: Path) -> set[str]:
    """The folders that hold parts of a message."""
    parts = [part for kind in ("txt", "html") for part in folder.rglob(f"*.{kind}")]
    return {part.parent.relative_to(folder).as_posix() for part in parts} - {".", "web"}


def _voucher(known: Mapping[str, Mapping[str, Any]], campaign: Campaign, step: Step) -> list[str]:
    """What the step's messages can show of a voucher, their own or an earlier step's: without one nothing,
    and no last day where none is."""
    so_far = campaign.steps[: campaign.steps.index(step) + 1]
    name = next((one.grant.voucher for one in reversed(so_far) if one.grant), None)
    if name is None and str(campaign.trigger) == f"event {EARNED}":
        name = next((name for name, one in known.items() if one.get("at_points")), None)
    if name is None:
        return []
    its = known.get(name, {}).get("voucher") or {}
    is_known = name in known and isinstance(its, dict)
    ends = not is_known or its.get("valid_days") or its.get("valid_until")
    return ["code", "valid_until"] if ends else ["code"]


def _unknown_rewards(project: Path, campaign: Campaign, source: Source) -> Iterator[Problem]:
    known = rewards(project)
    for number, one in enumerate(campaign.steps):
        if one.grant and one.grant.voucher not in known:
            said = f"{PROGRAMME} has no reward '{one.grant.voucher}'."
            said += nearest(one.grant.voucher, known)
            yield source.problem(("steps", number, "grant", "voucher"), said)


def rewards(project: Path) -> dict[str, Mapping[str, Any]]:
    """The programme's rewards by name, as written; none when there is no programme."""
    listed = programme_as_written(project).get("rewards")
    named = listed if isinstance(listed, list) else []
    return {str(one["reward"]): one for one in named if isinstance(one, dict) and "reward" in one}


def _unknown_costs(project: Path, rules: ContactPolicy | None, source: Source) -> Iterator[Problem]:
    """The cost of a reward that nobody gives; the one that was meant would be free."""
    known = rewards(project)
    for name in rules.costs.rewards if rules and rules.costs else ():
        if name not in known:
            said = f"{PROGRAMME} has no reward '{name}'.{nearest(name, known)}"
            yield source.problem(("costs", "rewards", name), said)


def _unknown_tags(
    rules: ContactPolicy | None, source: Source, known: set[str]
) -> Iterator[Problem]:
    """A cap on a tag that no campaign has would limit nothing, and nobody would notice."""
    for number, cap in enumerate((rules.caps if rules else None) or ()):
        if cap.tag and cap.tag not in known:
            said = f"no campaign has the tag '{cap.tag}'.{nearest(cap.tag, known)}"
            yield source.problem(("caps", number, "tag"), said)


def _against_policy(
    campaign: Campaign, source: Source, rules: ContactPolicy | None
) -> Iterator[Problem]:
    if rules is None:
        return
    window = rules.window(campaign.send_window)
    if not slots.open_hours(window, rules.quiet_hours):
        said = f"the send window {window} lies wholly in the quiet hours {rules.quiet_hours}."
        yield source.problem(("send_window",), said)
    if campaign.cadence is not None and campaign.cadence not in rules.cadences:
        said = f"the policy has no cadence '{campaign.cadence}'."
        yield source.problem(("cadence",), said + nearest(campaign.cadence, rules.cadences))
