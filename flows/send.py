"""The send flow: what is due goes out; a messenger that cannot be reached is tried again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import State, flow, task
from prefect.states import Completed

from flows.runtime import in_words
from tessera.send import send as send_due
from tessera.send.lifeline import at_work
from tessera.send.messengers.base import Unusable
from tessera.workspace import open_workspace


def _cannot_be_reached(_task: object, _run: object, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), Unusable)


@task(
    name="send due messages",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=_cannot_be_reached,
)
def deliver(as_of: str | None, home: str | None) -> dict[str, Any]:
    """Safe to try again: what was sent is not sent twice."""
    return asdict(send_due(open_workspace(as_of, home=home)))


@flow(name="send")
@in_words
def send(as_of: str | None = None, home: str | None = None) -> dict[str, Any] | State[Any]:
    """Send every message due before the end of the business date; the counts. Ends as `Skipped` when it is
    for now and somebody is sending: a throttled sender takes hours, and a second one would hold up the rest."""
    if as_of is None and at_work(open_workspace(home=home).home.senders):
        return Completed(
            name="Skipped", message="Another run is sending; what is due goes with it or the next."
        )
    return deliver(as_of, home)
