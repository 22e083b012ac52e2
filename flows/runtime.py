"""Runs a flow in this process under this home's Prefect server, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flows import server
from tessera.outage import is_full, told
from tessera.workspace import Workspace

DRAIN_SECONDS_MAX = 10
P = ParamSpec("P")
R = TypeVar("R")


def in_words(work: Callable[P, R]) -> Callable[P, R]:
    """Where what a flow stands on gives way, its store or its disk, Prefect's pages say the sentence that the
    command line says."""

    @wraps(work)
    def spoken(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return work(*args, **kwargs)
        except Exception as error:
            if (said := told(error)) is None or said is error:
                raise
            raise said from error

    return spoken


@contextlib.contextmanager
def spared(what: str) -> Iterator[None]:
    """What a day can do without: a fault in it is noted, without its words, which might name a customer. On a
    full disk the day ends."""
    try:
        yield
    except Exception as error:
        if is_full(error):
            raise
        note(f"{what}: {type(error).__name__}")


def run_day(ws: Workspace) -> dict[str, Any]:
    """The summary of `daily` as of `ws.as_of`: one key per stage."""
    with server.serving(ws, meanwhile=_warm_up, say=note) as api, connected(api):
        from flows.daily import daily

        return dict(daily(as_of=ws.as_of.isoformat(), home=str(ws.home.root)))


def note(line: str) -> None:
    """One line on standard error; the result has standard output to itself."""
    sys.stderr.write(f"{line}\n")


def progress(text: str) -> None:
    """How far the day is, for who watches; a log has the summary."""
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()


@contextlib.contextmanager
def connected(api: str) -> Iterator[None]:
    """Flows called here report to `api`, and have reported when this ends."""
    from prefect import settings

    ours = settings.temporary_settings({settings.PREFECT_API_URL: api})
    with ours, without_heartbeats(), no_word_of_the_log():
        try:
            yield
        finally:
            _drain()


@contextlib.contextmanager
def without_heartbeats() -> Iterator[None]:
    """Flows called here have no pulse of their own: somebody watches their process already.

    Each sync flow would spend a second on ending its heartbeat thread, and only settings, not
    the environment, can say that there is none.
    """
    from prefect import settings

    with settings.temporary_settings({settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@contextlib.contextmanager
def no_word_of_the_log() -> Iterator[None]:
    """What cannot be logged because the disk is full would be a traceback for each line of the log, or a
    line of Prefect's."""
    usual, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = usual


def _drain() -> None:
    """Send what is still queued: after the server is gone Prefect would try for a minute."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=DRAIN_SECONDS_MAX)
    APILogWorker.drain_all(timeout=DRAIN_SECONDS_MAX)


def _warm_up() -> None:
    """Import what the day needs, while the server is still starting. None of it is garbage: not to
    look for any meanwhile, nor through all of it later, saves a fifth of the time."""
    gc.disable()
    try:
        import flows.daily  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()
