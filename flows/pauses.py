"""Which campaigns rest: paused in Prefect, where somebody pressed the button, or started by a schedule
that is no longer theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flows import server
from tessera.decide.holds import due
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

WHY = "paused in Prefect"
MADE_UP_FOR = "made up for"  # the tag of a run that takes the place of one the schedule wanted


def resting(ws: Workspace, names: Sequence[str], *, is_one: bool) -> dict[str, str]:
    """Why those campaigns of a flow run's pass rest that do. One by itself rests when Prefect's schedule
    started it for a day that its own file does not name: the file was changed since it was deployed. So it does
    when made up for after that day, where today's own pass judges it anyway, on marts that are not built yet.
    Whoever pauses a campaign whose run waits to be made up for means that too."""
    if not is_one:
        return _paused_of(names)
    moment = scheduled_for()
    if moment is None:
        return {}
    then = replace(ws, as_of=moment)
    if not set(names) <= set(due(then)):
        why = f"its own file does not name {then.business_date}"
    elif then.business_date != ws.business_date and set(names) <= set(due(ws)):
        why = f"the day of {ws.business_date} judges it"
    else:
        return _paused_of(names)
    return {name: why if name in ws.campaigns() else "its own file is gone" for name in names}


def _paused_of(names: Sequence[str]) -> dict[str, str]:
    return dict.fromkeys(sorted(paused() & set(names)), WHY)


def scheduled_for() -> datetime | None:
    """When Prefect's schedule wanted this flow run; None when somebody started it."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    by_schedule = run and (run.auto_scheduled or MADE_UP_FOR in run.tags)
    return run.expected_start_time if run and by_schedule else None


def known(ws: Workspace) -> dict[str, str]:
    """Why each campaign rests that is paused at this home's server, for who decides by hand; nothing where
    no server is up, for nobody can be asked."""
    api = server.users_own(ws) or server.kept_server(ws)
    if api is None:
        return {}
    server.keep_to(ws)
    from flows.runtime import connected

    with server.explained(api, ws.home.prefect), connected(api):
        return dict.fromkeys(sorted(paused()), WHY)


def paused() -> set[str]:
    """The campaigns whose deployment is paused, or has its schedule switched off."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=["campaign"]))
    found: list[DeploymentResponse] = []
    with get_client(sync_client=True) as client:
        while page := client.read_deployments(deployment_filter=tagged, offset=len(found)):
            found += page
    return {str(one.parameters["campaign"]) for one in found if is_paused(one.model_dump())}


def is_paused(deployment: dict[str, Any]) -> bool:
    """Whether a deployment, as Prefect's API tells of it, does not run by itself though it could."""
    schedules = deployment["schedules"]
    is_off = bool(schedules) and not any(one["active"] for one in schedules)
    return bool(deployment["paused"]) or is_off
