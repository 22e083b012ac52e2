"""What was tried, and how careful to be with offers: `deployments/offers.yml`, which a project may do
without."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tessera import documents
from tessera.documents import Problem
from tessera.know.fitting import Floats
from tessera.know.offers import Terms

FILE = Path("deployments/offers.yml")

Days = Annotated[str, Field(pattern=r"^[0-9]{1,3}d$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Offering(documents.Document):
    """A trial, what an offer earns and costs, and whom to leave alone."""

    trial: str
    within: Days = "14d"
    margin_share: Share
    cost_share: Share
    contact_cost: float = Field(0, ge=0)
    sure: Share = 0.8
    rest: Days = "28d"
    exploration: Share = 0.05

    def terms(self, basket: Floats) -> Terms:
        return Terms(
            margin=basket * self.margin_share,
            cost=basket * self.cost_share,
            contact=self.contact_cost,
            sure=self.sure,
            rest_days=int(self.rest[:-1]),
            exploration=self.exploration,
        )

    @classmethod
    def of(cls, project: Path) -> Offering | None:
        """The project's; BadInput with one line per mistake."""
        path = project / FILE
        return documents.load(path, cls, project=project) if path.exists() else None


def check(project: Path) -> list[Problem]:
    """Every mistake in the file."""
    path = project / FILE
    return documents.read(path, Offering, project=project)[1] if path.exists() else []
