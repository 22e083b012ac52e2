"""What is scheduled each day, and about how many messages that will be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import duckdb

from tessera import clock
from tessera.decide import index, schedule, tables
from tessera.decide.campaign import Campaign
from tessera.decide.holds import stale
from tessera.decide.planner import dry_pass
from tessera.decide.rules import Rules
from tessera.errors import BadInput
from tessera.store import queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

SQL = queries("tessera.decide", "agenda.sql")
WEEKS = 4  # that are looked back over
DAYS_MAX = 366


@dataclass(frozen=True)
class Entry:
    """One campaign on one day it is scheduled."""

    date: str
    weekday: str
    campaign: str
    expected: int | None  # messages; None: nothing is known yet
    basis: str  # how that is expected
    held: str | None  # why nothing of it goes out on that day


@dataclass(frozen=True)
class Expectation:
    """What is known of a campaign's volume: its runs of the last weeks, or a plan for today."""

    runs: Mapping[date, int]
    plan: int | None
    unknown: str | None  # why there is no plan

    def on(self, day: date) -> tuple[int | None, str]:
        """Messages expected, and from what: the median forgives a day that was unlike others."""
        alike = [n for ran_on, n in self.runs.items() if ran_on.weekday() == day.weekday()]
        if alike:
            return round(median(alike)), f"last {len(alike)} {day:%A}{'s' if alike[1:] else ''}"
        if self.runs:
            last = f"last {len(self.runs)} runs" if len(self.runs) > 1 else "last run"
            return round(median(self.runs.values())), last
        return self.plan, self.unknown or "a plan for today"


def agenda(ws: Workspace, first: date, last: date) -> list[Entry]:
    """Every campaign on every day from `first` to `last` that its schedule names."""
    if not 0 <= (last - first).days < DAYS_MAX:
        raise BadInput(
            f"A calendar goes from a day to a later one, within a year: not {first} to {last}."
        )
    rules = Rules.load(ws.project)
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    due = [(day, one) for day in days for one in rules.campaigns if _is_due(ws, one, day)]
    expected = _expectations(ws, rules, {one.campaign for _, one in due})
    return [_entry(day, one, rules, expected[one.campaign]) for day, one in due]


def _is_due(ws: Workspace, one: Campaign, day: date) -> bool:
    zone = clock.zone(ws.settings.timezone)
    ends_at = one.ends_at(zone)
    is_over = ends_at is not None and ends_at <= clock.day_starts(day, zone)
    return not is_over and schedule.is_due(one.schedule, day)


def _entry(day: date, one: Campaign, rules: Rules, expected: Expectation) -> Entry:
    messages, basis = expected.on(day)
    held = tables.held_by(one, rules.policy, day)
    if held:
        messages, basis = 0, "held"
    return Entry(day.isoformat(), f"{day:%a}", one.campaign, messages, basis, held)


def _expectations(ws: Workspace, rules: Rules, names: set[str]) -> dict[str, Expectation]:
    runs = _runs(ws)
    unknown = sorted(names - set(runs))
    why = _unknown(ws, rules) if unknown else None
    plans = _plans(ws, rules, unknown) if unknown and why is None else {}
    return {name: Expectation(runs.get(name, {}), plans.get(name), why) for name in names}


def _unknown(ws: Workspace, rules: Rules) -> str | None:
    """Why nothing can be planned today: a pass that is held would plan none, which says nothing of later days."""
    if not marts.is_published(ws.home):
        return "no marts yet"
    why = stale(ws, rules.policy)
    return why and f"no plan for today: {why}"


def _runs(ws: Workspace) -> dict[str, dict[date, int]]:
    files = dict(_files(ws))
    if not files:
        return {}
    with duckdb.connect() as duck:
        rows = duck.execute(SQL["runs"], {"files": list(files.values())}).fetchall()
    told = {(name, day): planned for name, day, planned in rows}
    found: dict[str, dict[date, int]] = {}
    for name, day in files:
        planned = told.get((name, day), 0)  # nobody was a candidate
        if planned is not None:
            found.setdefault(name, {})[day] = planned
    return found


def _files(ws: Workspace) -> Iterator[tuple[tuple[str, date], str]]:
    """The decisions of each campaign and day."""
    since = ws.business_date - timedelta(weeks=WEEKS)
    for week in index.weeks(ws.home):
        for day in week.days:
            if since <= day.date < ws.business_date:
                yield from (((name, day.date), path) for name, path in day.files.items())


def _plans(ws: Workspace, rules: Rules, names: list[str]) -> dict[str, int]:
    """What each would plan if it ran today."""
    with dry_pass(ws, rules, names) as (duck, _):
        found = dict(duck.execute(SQL["today"]).fetchall())
    return dict.fromkeys(names, 0) | found
