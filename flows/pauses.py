"""Which campaigns are paused: in Prefect, where somebody pressed the button."""

from __future__ import annotations

from typing import Any

WHY = "paused in Prefect"


def paused() -> set[str]:
    """The campaigns whose deployment is paused, or has its schedule switched off."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=["campaign"]))
    with get_client(sync_client=True) as client:
        found = client.read_deployments(deployment_filter=tagged)
    return {str(one.parameters["campaign"]) for one in found if is_paused(one.model_dump())}


def is_paused(deployment: dict[str, Any]) -> bool:
    """Whether a deployment, as Prefect's API tells of it, does not run by itself though it could."""
    schedules = deployment["schedules"]
    is_off = bool(schedules) and not any(one["active"] for one in schedules)
    return bool(deployment["paused"]) or is_off
