"""When Prefect starts campaigns must be what their own files say: `deployments/prefect.yaml`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from tessera.decide.campaign import Campaign
from tessera.documents import Problem, Source, nearest

FILE = Path("deployments/prefect.yaml")
Crons = dict[str, list[str]]


def crons(project: Path) -> Crons:
    """The cron lines of each campaign that is deployed. What is wrong with the file as such is for Prefect to
    say, and without one there are none."""
    return {name: lines for _, name, lines in _deployed(project)}


def without_file(project: Path, campaigns: Collection[str]) -> Iterator[Problem]:
    """Deployments of what is none of `campaigns`: each of their runs would fail."""
    for place, name, _ in _deployed(project):
        if name not in campaigns:
            root = yaml.compose((project / FILE).read_text(encoding="utf-8"))
            source = Source(project / FILE, str(FILE), root)
            said = (
                f"there is no campaign '{name}', so Prefect's runs of it fail; take the deployment out, or write the "
                f"campaign's file.{nearest(name, campaigns)}"
            )
            yield source.problem(("deployments", place, "parameters", "campaign"), said)


def _deployed(project: Path) -> list[tuple[int, str, list[str]]]:
    """Of each campaign that is deployed its place in the file, its name and its cron lines."""
    try:
        found = yaml.safe_load((project / FILE).read_text(encoding="utf-8"))
        return [
            (place, one["parameters"]["campaign"], _crons(one))
            for place, one in enumerate(found["deployments"])
            if (one.get("parameters") or {}).get("campaign")
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return []


def _crons(deployment: dict[str, Any]) -> list[str]:
    return [one["cron"] for one in deployment.get("schedules") or []]


def other_schedule(campaign: Campaign, source: Source, known: Crons) -> Iterator[Problem]:
    """That Prefect would start the campaign by another line than its own file's."""
    found = known.get(campaign.campaign, [campaign.schedule])
    if found != [campaign.schedule]:
        there = " and ".join(f"'{cron}'" for cron in found) or "no schedule"
        said = f"this is '{campaign.schedule}', but {FILE} has {there}; write the same in both."
        yield source.problem(("schedule",), said)
