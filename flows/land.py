"""The land flow: a retailer's files come in. The rules live in `tessera.land`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from flows.runtime import in_words
from tessera import land as stage
from tessera.errors import BadInput
from tessera.land import LandReport
from tessera.land.files import Unreachable
from tessera.urls import holds_password, without_password
from tessera.workspace import open_workspace


def _is_worth_another_try(_task: object, _run: object, state: Any) -> bool:
    """Only a place that did not answer is; a bad file stays bad."""
    return isinstance(state.result(raise_on_failure=False), Unreachable)


@task(
    name="land files",
    retries=3,
    retry_delay_seconds=[5, 30, 120],
    retry_condition_fn=_is_worth_another_try,
    cache_policy=NO_CACHE,
)
def _land(source: str, path: str, as_of: str | None, home: str | None) -> LandReport:
    return stage.land(open_workspace(as_of, home=home), source, path)


@flow(name="land")
@in_words
def land(
    source: str, path: str, as_of: str | None = None, home: str | None = None
) -> dict[str, Any]:
    """Land the files at `path`; fails, after landing the others, when one of them was refused."""
    if holds_password(path):
        forget_password()
        raise BadInput(
            f"The password in {without_password(path)} would stand on Prefect's pages: write ${{NAME}} in its "
            "place and set NAME in the environment that 'tessera up' is started in."
        )
    report = _land(source, path, as_of, home)
    report.raise_if_refused()
    return asdict(report)


def forget_password() -> None:
    """Take it out of what Prefect keeps of this run."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    parameters = dict(context.parameters or {})
    parameters["path"] = without_password(str(parameters["path"]))
    with get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, parameters=parameters)


@flow(name="land engine")
@in_words
def land_engine(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """Land what the engine exported about itself on earlier days."""
    report = stage.land_engine(open_workspace(as_of, home=home))
    report.raise_if_refused()
    return asdict(report)
