"""What is due on a day, and what holds a campaign then, whoever its candidates are."""

from __future__ import annotations

from collections.abc import Sequence

from tessera import clock
from tessera.decide import campaigns as files
from tessera.decide import schedule, tables
from tessera.decide.policy import ContactPolicy
from tessera.decide.rules import Rules
from tessera.warehouse import marts, red
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


def stale(ws: Workspace, rules: ContactPolicy) -> str | None:
    """Why the marts cannot be trusted for the business date; None when they can."""
    if what := red.found(ws.home):
        return f"red build: {what}"
    built = clock.business_date(marts.current(ws.home).as_of, ws.settings.timezone)
    age = (ws.business_date - built).days
    return None if 0 <= age <= rules.stale_after_days else f"marts of {built}"
