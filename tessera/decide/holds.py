"""What is due on a day, and what holds a campaign then, whoever its candidates are."""

from __future__ import annotations

from collections.abc import Sequence

from tessera.decide import campaigns as files
from tessera.decide import schedule, tables
from tessera.decide.planner import Rules, stale
from tessera.workspace import Workspace


def due(ws: Workspace) -> list[str]:
    """The campaigns whose schedule names the business date."""
    day = ws.business_date
    return [one.campaign for one in files.load(ws.project) if schedule.is_due(one.schedule, day)]


def holds(ws: Workspace, names: Sequence[str], rules: Rules | None = None) -> dict[str, str]:
    """Why each of the campaigns `names` that is held today is held."""
    rules = rules or Rules.load(ws.project)
    old, day = stale(ws, rules.policy), ws.business_date
    found = {
        one.campaign: f"stale data: {old}" if old else tables.held_by(one, rules.policy, day)
        for one in files.choose(rules.campaigns, names)
    }
    return {name: why for name, why in found.items() if why}
