"""Decide: judge every candidate and fill the outbox."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import State, flow
from prefect.context import FlowRunContext
from prefect.states import Completed

from flows import pauses
from flows.artifacts import publish_decisions
from flows.runtime import in_words
from tessera import decide as stage
from tessera.decide.holds import due
from tessera.send import end_all_late
from tessera.workspace import open_workspace


@flow(name="decide")
@in_words
def decide(
    campaign: str | None = None,
    as_of: str | None = None,
    home: str | None = None,
    dry_run: bool = False,
) -> dict[str, Any] | State[Any]:
    """One pass over the campaigns of the day less those that are paused, or over one whatever the
    day when it is started by hand; again adds nothing. Ends as `Held` when every campaign of the pass is held."""
    ws = open_workspace(as_of, home=home)
    names = [campaign] if campaign else due(ws)
    is_shown = FlowRunContext.get() is not None
    resting = pauses.resting(ws, names, is_one=bool(campaign)) if is_shown else {}
    awake = [name for name in names if name not in resting]
    if not dry_run:
        end_all_late(ws)
    report = asdict(stage.decide(ws, awake, dry_run=dry_run).with_resting(resting))
    if is_shown:
        publish_decisions(report, campaign)
    if names and len(report["held"]) == len(names):
        said = "; ".join(f"{name}: {why}" for name, why in report["held"].items())
        return Completed(name="Held", message=said, data=report)
    return report
