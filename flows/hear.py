"""The hear flow: provider events are taken in, and closed days go back to the front door."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow

from flows.runtime import in_words
from tessera.errors import BadInput
from tessera.hear import export
from tessera.hear import hear as take_in
from tessera.workspace import open_workspace


@flow(name="hear")
@in_words
def hear(
    paths: list[str] | None = None, as_of: str | None = None, home: str | None = None
) -> dict[str, Any]:
    """Hear `paths`, or the home's inbox, then export every closed day; the counts.

    BadInput, after all that could be heard, when a file is not JSON.
    """
    ws = open_workspace(as_of, home=home)
    heard = take_in(ws, None if paths is None else [Path(path) for path in paths])
    counts = {**asdict(heard), "exported": asdict(export(ws))}
    if heard.refused:
        raise BadInput(" ".join(heard.refused))
    return counts
