"""Know: every customer's purchases to come and recommendations, after the marts are published."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow

from flows.runtime import in_words, note
from tessera.errors import BadInput
from tessera.know.scores import ScoreReport, score
from tessera.outage import is_full
from tessera.workspace import open_workspace

NOTHING = ScoreReport("none", 0, 0, 0.0, 0)


@flow(name="know")
@in_words
def know(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """Score everybody anew. A day goes on without: yesterday's scores stay, and `skipped` says why. On a
    full disk it ends: with room again, it decides by today's."""
    try:
        return {**asdict(score(open_workspace(as_of, home=home))), "skipped": None}
    except BadInput as error:  # a young shop, of which too little is known
        return {**asdict(NOTHING), "skipped": str(error)}
    except Exception as error:
        if is_full(error):
            raise
        note(f"know: {type(error).__name__}")  # its words might name a customer
        return {**asdict(NOTHING), "skipped": f"failed: {type(error).__name__}"}
