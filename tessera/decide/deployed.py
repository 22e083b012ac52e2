"""When Prefect starts campaigns must be what their own files say: `deployments/prefect.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tessera.decide.campaign import Campaign
from tessera.documents import Problem, Source

FILE = Path("deployments/prefect.yaml")
Crons = dict[str, list[str]]


def crons(project: Path) -> Crons:
    """The cron lines of each campaign that is deployed. What is wrong with the file as such is for Prefect to
    say, and without one there are none."""
    try:
        found = yaml.safe_load((project / FILE).read_text(encoding="utf-8"))
        deployed = [
            one for one in found["deployments"] if (one.get("parameters") or {}).get("campaign")
        ]
        return {one["parameters"]["campaign"]: _crons(one) for one in deployed}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return {}


def _crons(deployment: dict[str, Any]) -> list[str]:
    return [one["cron"] for one in deployment.get("schedules") or []]


def other_schedule(campaign: Campaign, source: Source, known: Crons) -> Iterator[Problem]:
    """That Prefect would start the campaign by another line than its own file's."""
    found = known.get(campaign.campaign, [campaign.schedule])
    if found != [campaign.schedule]:
        there = " and ".join(f"'{cron}'" for cron in found) or "no schedule"
        said = f"this is '{campaign.schedule}', but {FILE} has {there}; write the same in both."
        yield source.problem(("schedule",), said)
