"""One customer's decisions in words, with what became of the messages."""

from __future__ import annotations

from typing import Any

from tessera.decide import decisions
from tessera.decide.decisions import Question
from tessera.decide.reasons import sentence
from tessera.workspace import Workspace


def explained(ws: Workspace, asked: Question) -> list[dict[str, Any]]:
    """The decisions asked for, each with `since` (what happened to its message) and `said`."""
    rows = decisions.find(ws.home, asked)
    if not any(row.get("send_key") for row in rows) or asked.customer_id is None:
        return [{**row, "since": [], "said": sentence(row)} for row in rows]
    from tessera.decide import fates  # the store's libraries take as long as all the rest

    with ws.store.read() as store:
        found = fates.of_customer(store, asked.customer_id)
    return [_explained(row, found.get(row["send_key"] or "", [])) for row in rows]


def _explained(row: dict[str, Any], since: list[Any]) -> dict[str, Any]:
    from tessera.decide import fates

    words = [sentence(row).removesuffix("."), *map(fates.said, since)]
    return {**row, "since": since, "said": f"{'; '.join(words)}."}
