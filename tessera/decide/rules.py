"""The campaigns and the policy a pass goes by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tessera.decide import campaigns as files
from tessera.decide import policy
from tessera.decide.campaign import Campaign
from tessera.decide.policy import ContactPolicy


@dataclass(frozen=True)
class Rules:
    """The campaigns and the policy a pass goes by."""

    policy: ContactPolicy
    campaigns: tuple[Campaign, ...]

    @classmethod
    def load(
        cls, project: Path, policy_file: Path | None = None, campaigns_dir: Path | None = None
    ) -> Rules:
        """Those of the project, or of another file and folder; BadInput for their mistakes."""
        return cls(policy.load(project, policy_file), files.load(project, campaigns_dir))
