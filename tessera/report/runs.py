"""The record of each run: when, as of when, how far it came, how it ended."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tessera import audit, clock
from tessera.locks import is_held
from tessera.outage import told
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.report", "run.sql")


@dataclass
class Run:
    """A run under way. `summary` has a key per finished stage, each with its `seconds`."""

    ws: Workspace
    run_id: int
    progress: Callable[[str], None]
    summary: dict[str, Any] = field(default_factory=dict)

    def stage(self, name: str, work: Callable[..., Any], **params: object) -> dict[str, Any]:
        """Do `work`, and keep its counts and seconds as the stage `name`."""
        begun = time.perf_counter()
        self.progress(f"{name:<10}")
        counts: dict[str, Any] = work(**params)
        seconds = round(time.perf_counter() - begun, 2)
        self.progress(f"{seconds:7.1f} s\n")
        self.summary[name] = {**counts, "seconds": seconds}
        with self.ws.store.write() as connection:
            connection.run(SQL["note"], run_id=self.run_id, summary=json.dumps(self.summary))
        return counts

    def fail(self, state: str, reason: str) -> None:
        """Close the record of a run that is 'failed' or 'killed', with the reason in the summary. A store
        that cannot be written keeps it open, and hides no reason: the next run closes it."""
        self.summary["error"] = reason
        try:
            self.end(state)
        except Exception as error:
            if told(error) is None:
                raise

    def end(self, state: str) -> None:
        """Close the record."""
        with self.ws.store.write() as connection:
            connection.run(
                SQL["end"],
                run_id=self.run_id,
                state=state,
                finished_at=clock.stamp(clock.now()),
                summary=json.dumps(self.summary),
            )


@contextmanager
def recorded(
    ws: Workspace,
    *,
    say: Callable[[str], None],
    progress: Callable[[str], None] = lambda _text: None,
) -> Iterator[Run]:
    """A run of the day, one at a time per home; one that raises is recorded as failed, one that
    was told to stop as killed. `progress` hears of each stage as it begins and ends."""
    with alone(ws, say):
        run = Run(ws, _begin(ws), progress)
        try:
            yield run
        except Exception as error:
            said = told(error)
            # Of a bug the kind alone: its text may quote a person's data.
            run.fail("failed", str(said or type(error).__name__))
            if said is None or said is error:
                raise
            raise said from error
        except BaseException as error:
            run.fail("killed", type(error).__name__)
            raise
        run.end("finished")


def _begin(ws: Workspace) -> int:
    started_at = clock.stamp(clock.now())
    with ws.store.write() as connection:
        connection.run(SQL["abandon"], finished_at=started_at)
        run_id = connection.scalar(
            SQL["begin"],
            business_date=ws.business_date.isoformat(),
            as_of=clock.stamp(ws.as_of),
            started_at=started_at,
        )
        audit.record(ws, connection, "run", f"day {ws.business_date}", run_id=run_id)
    return int(run_id)


def needless(ws: Workspace, asked_at: datetime | None = None) -> str | None:
    """Why a run of the business date, asked for in case there was none, has nothing to do: one ended
    well, or one is under way, or one of the day on which it was asked for did; None where there is something."""
    asked_on = clock.business_date(asked_at or ws.as_of, ws.settings.timezone)
    with ws.store.read() as connection:
        for day in (asked_on, ws.business_date):
            if connection.scalar(SQL["is_done"], business_date=day.isoformat()):
                return f"The day {day} is done."
    return "Another run is under way." if _is_under_way(ws) else None


def _is_under_way(ws: Workspace) -> bool:
    try:
        return is_held(ws.home.root / "run.lock")
    except FileNotFoundError:
        return False


@contextmanager
def alone(ws: Workspace, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the home's run lock; the operating system lets go of it however the process ends."""
    ws.home.root.mkdir(parents=True, exist_ok=True)
    with (ws.home.root / "run.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is under way in {ws.home.root}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
