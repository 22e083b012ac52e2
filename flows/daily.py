"""The day, room by room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import State, flow, tags
from prefect.states import Completed

from flows.artifacts import publish
from flows.decide import decide
from flows.hear import hear
from flows.identity import identity
from flows.know import know
from flows.land import land
from flows.model import model
from flows.pauses import scheduled_for
from flows.report import report
from flows.reward import reward
from flows.runtime import in_words, note, progress, without_heartbeats
from flows.send import send
from flows.validate import validate
from tessera.home import Home
from tessera.person import duplicates, resume
from tessera.report import runs
from tessera.report.summary import complete
from tessera.workspace import Workspace, open_workspace


@flow(name="daily")
@in_words
def daily(
    as_of: str | None = None, home: str | None = None, unless_done: bool = False
) -> dict[str, Any] | State[Any]:
    """Everything that happens on a day; the counts and seconds of each stage.

    A stage that fails ends the day: those after it do not run, and what is done stays done. With
    `unless_done` it ends as `Skipped` where the day is done already, or is being done.
    """
    ws = open_workspace(as_of, home=home)
    if unless_done and (why := runs.needless(ws, scheduled_for())):
        return Completed(name="Skipped", message=why)
    day = {"as_of": ws.as_of.isoformat(), "home": str(ws.home.root)}
    with runs.recorded(ws, say=note, progress=progress) as run, within(ws):
        resume(ws)  # an erasure that was killed: before anything is decided about anybody
        run.stage("hear", hear, **day)
        run.stage("land", engine_rows, **day)
        run.stage("validate", validate, **day)
        if duplicates.is_daily(ws):
            run.stage("identity", identity, **day)
        run.stage("model", model, **day)
        run.stage("know", know, **day)
        run.stage("reward", reward, **day)
        run.stage("decide", decide, **day)
        run.stage("send", send, **day)
        run.stage("report", report, **day)
        run.summary = complete(ws, run.summary)
    publish(ws, run.summary)
    return run.summary


@contextmanager
def within(ws: Workspace) -> Iterator[None]:
    """Flows called here are tagged with the day and leave the pulse to the day itself."""
    with tags(ws.business_date.isoformat()), without_heartbeats():
        yield


def engine_rows(*, as_of: str, home: str) -> dict[str, Any]:
    """The engine's own rows come back by the front door, once there are any."""
    folder = Home(Path(home)).engine
    if not any(folder.rglob("*.parquet")):
        return {"rows": 0}
    return land("engine", str(folder), as_of=as_of, home=home)
