"""What is due on a day, and what holds a campaign then, whoever its candidates are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tessera import clock
from tessera.decide import campaigns as files
from tessera.decide import schedule
from tessera.decide.policy import ContactPolicy
from tessera.decide.tables import Course
from tessera.warehouse import marts, red
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def due(ws: Workspace) -> list[str]:
    """The campaigns whose schedule names the business date."""
    day = ws.business_date
    return [one.campaign for one in files.load(ws.project) if schedule.is_due(one.schedule, day)]


def with_templates_seen(
    duck: DuckDBPyConnection, ws: Workspace, courses: Sequence[Course]
) -> list[Course]:
    """`courses`, of which those of today know what is wrong with a template of theirs, if anything."""
    # Jinja2 and Babel take as long to import as a small pass.
    from tessera.say.soundness import unsound

    spoken = duck.execute("select distinct language from customers").fetchall()
    languages = [language for (language,) in spoken]
    contents = [one for course in courses if not course.due_in for one in _contents(course)]
    broken = unsound(ws.project / "templates", ws.settings.language, contents, languages)
    return [
        replace(course, broken=next(filter(None, map(broken.get, _contents(course))), None))
        for course in courses
    ]


def _contents(course: Course) -> list[tuple[str, str]]:
    return [(template, course.campaign.channel) for _, template in course.campaign.templates()]


def of_pass(duck: DuckDBPyConnection) -> dict[str, str]:
    """Why each campaign of a pass that is held is held."""
    return dict(duck.execute(HELD).fetchall())


HELD = """
select campaign, coalesce('stale data: ' || getvariable('stale'), broken_by, held_by) as held
from course
where is_current and due_in = 0 and held is not null
"""


def stale(ws: Workspace, rules: ContactPolicy) -> str | None:
    """Why the marts cannot be trusted for the business date; None when they can."""
    if what := red.found(ws.home):
        return f"red build: {what}"
    built = clock.business_date(marts.current(ws.home).as_of, ws.settings.timezone)
    age = (ws.business_date - built).days
    return None if 0 <= age <= rules.stale_after_days else f"marts of {built}"
