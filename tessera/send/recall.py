"""What a provider keeps until it is due can be held back there, by the batch id it was sent under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

from tessera import clock
from tessera.clock import stamp
from tessera.send.messengers import open_messenger
from tessera.send.messengers.base import Messenger
from tessera.send.outbox import SQL
from tessera.workspace import Workspace

Row = Mapping[str, Any]
SOON = timedelta(minutes=10)  # nearer to the hour nothing is promised


@runtime_checkable
class Recalls(Protocol):
    """A messenger whose provider can be asked to hold a batch back."""

    def new_batch(self) -> str: ...

    def hold(self, batch_id: str, how: Literal["pause", "cancel", "resume"]) -> None: ...


@dataclass
class ProviderBatches:
    """One batch id per campaign and business date, asked for when the first message needs it."""

    ws: Workspace
    messenger: Messenger
    known: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, row: Row) -> str | None:
        """The batch of a message that is scheduled; None when it leaves at once, or for good."""
        scheduled = datetime.fromisoformat(row["send_at"]) > clock.now() + SOON
        if not scheduled or not isinstance(self.messenger, Recalls):
            return None
        key = (row["campaign"], row["business_date"])
        if key not in self.known:
            self.known[key] = self._kept(self.messenger, *key)
        return self.known[key]

    def _kept(self, messenger: Recalls, campaign: str, day: str) -> str:
        values = {"campaign": campaign, "day": day, "messenger": self.messenger.name}
        with self.ws.store.read() as connection:
            found = connection.scalar(SQL["batch_of"], **values)
        if found is None:
            made = messenger.new_batch()
            with self.ws.store.write() as connection:
                connection.run(SQL["keep_batch"], **values, batch_id=made)
                found = connection.scalar(SQL["batch_of"], **values)
        return str(found)


def recall(ws: Workspace, campaign: str, how: Literal["pause", "cancel", "resume"]) -> int:
    """Ask the provider to hold back what it keeps of `campaign`; how many messages are cancelled
    there."""
    with ws.store.read() as connection:
        batches = connection.all(SQL["batches_of"], campaign=campaign)
    if not batches:
        return 0
    messenger = open_messenger(ws)
    try:
        if isinstance(messenger, Recalls):
            for row in batches:
                if row["messenger"] == messenger.name:
                    messenger.hold(row["batch_id"], how)
    finally:
        messenger.close()
    if how != "cancel":
        return 0
    after = stamp(clock.now() + SOON)
    with ws.store.write() as connection:
        values = {"campaign": campaign, "messenger": messenger.name}
        return connection.run(SQL["recalled"], **values, after=after, at=stamp(ws.as_of))
