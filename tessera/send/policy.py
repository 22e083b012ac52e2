"""How fast and how often messages may leave: the part of the contact policy that sending obeys."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import ConfigDict, Field

from tessera import documents
from tessera.blackouts import Blackout
from tessera.caps import Caps
from tessera.throttle import Throttle, WarmUp

FILE = Path("deployments/contact_policy.yml")


class SendingPolicy(Caps):
    """What sending reads of the contact policy; the rest is decide's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    throttle: Throttle | None = None
    warm_up: WarmUp | None = None
    blackout_dates: tuple[Blackout, ...] = ()  # of marketing
    wait_for_events_hours: int = Field(24, ge=1, strict=True)

    @property
    def wait_for_events(self) -> timedelta:
        return timedelta(hours=self.wait_for_events_hours)


def load(project: Path) -> SendingPolicy:
    """The project's policy; BadInput names file, line and key of every mistake."""
    if not (project / FILE).exists():
        return SendingPolicy(caps=None)
    return documents.load(project / FILE, SendingPolicy, project=project)
