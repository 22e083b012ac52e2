"""The versions of campaigns that have been used: a journey keeps the one that it began under."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tessera import clock
from tessera.decide.campaign import Campaign
from tessera.decide.tables import Course
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.decide", "versions.sql")


def keep(store: Connection, ws: Workspace, campaigns: Sequence[Campaign]) -> None:
    """Write down the campaigns as they are; a version that is known stays as it was."""
    store.run_many(SQL["keep_version"], [_version(one, ws) for one in campaigns])


def begun_under(store: Connection, current: Sequence[Course]) -> Iterator[Course]:
    """The earlier versions of the campaigns, under which journeys may still be on their way."""
    now = {(one.campaign.campaign, one.campaign.version) for one in current}
    names = {f"campaign{i}": one.campaign.campaign for i, one in enumerate(current)}
    marks = ", ".join(f":{name}" for name in names) or "''"
    for row in store.all(SQL["versions"].format(campaigns=marks), **names):
        if (row["campaign"], row["version"]) not in now:
            try:
                body = Campaign.model_validate(json.loads(row["body"]))
            except ValidationError:  # of a Tessera that knew keys this one does not
                continue
            yield Course(body, is_current=False)


def _version(campaign: Campaign, ws: Workspace) -> Mapping[str, Any]:
    return {
        "campaign": campaign.campaign,
        "version": campaign.version,
        "body": campaign.model_dump_json(exclude_defaults=True, by_alias=True),
        "at": clock.stamp(ws.as_of),
    }
