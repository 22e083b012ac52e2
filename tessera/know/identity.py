"""From how probable on two customers are one: `deployments/identity.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from tessera import documents
from tessera.documents import Document
from tessera.workspace import Workspace

FILE = Path("deployments/identity.yml")
Share = Annotated[float, Field(gt=0, lt=1)]


class Thresholds(Document):
    """A pair is merged from `automatic` on, asked about from `review` on, and never below."""

    automatic: Share = 0.99
    review: Share = 0.2
    twice: Share = 0.03  # of customers, thought to be there twice before anybody looks
    every_day: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if self.review > self.automatic:
            raise ValueError("'review' may not be above 'automatic'")
        return self

    @classmethod
    def of(cls, ws: Workspace) -> Thresholds:
        """Those of the project, or the ones it comes with; BadInput with one line per mistake."""
        path = ws.project / FILE
        return documents.load(path, cls, project=ws.project) if path.exists() else cls()
