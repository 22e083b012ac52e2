"""Approval: a campaign whose messages of one day are many waits for somebody's word.

What waits is derived: the messages of a campaign's version and day of which there are more than
were approved, once the campaign's of the day, in all versions, are too many. `approval.sql` beside this, and `claimable` in the sender's `outbox.sql`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from tessera import audit, clock
from tessera.documents import nearest
from tessera.errors import BadInput
from tessera.store import Connection, queries
from tessera.warehouse.inputs import replace_text
from tessera.workspace import Workspace

SQL = queries("tessera", "approval.sql")
Row = Mapping[str, Any]


def ask(connection: Connection, day: date, over: int | None) -> None:
    """Hold what the outbox has for `day` of each campaign with more than `over` recipients, until
    it is approved, and no other; to be called in the transaction that fills the outbox. None: nothing is held."""
    connection.run(SQL["let_go"], day=day.isoformat(), over=over)
    if over is not None:
        connection.run(SQL["ask"], day=day.isoformat(), over=over)


def count_again(connection: Connection, campaign: str) -> None:
    """Those of `campaign` that were cancelled since it was held are no recipients."""
    connection.run(SQL["count_again"], campaign=campaign)


def waiting(connection: Connection) -> list[Row]:
    """What waits for a word: campaign, day, recipients, and how many messages."""
    return connection.all(SQL["waiting"])


def sentence(row: Row) -> str:
    """Why the messages of `row` are not sent, and what to do."""
    day = row["business_date"]
    return (
        f"{row['messages']:,} messages of {row['campaign']} of {day} wait for approval, since "
        f"there are {row['recipients']:,} recipients: 'tessera campaign approve "
        f"{row['campaign']} --as-of {day}' lets them go."
    )


def approve(ws: Workspace, campaign: str) -> list[Row]:
    """Approve what there is now of `campaign` on the business date; BadInput when there is nothing
    to approve. The record is a row in the store and a file below `approvals/`."""
    key = {"campaign": campaign, "business_date": ws.business_date.isoformat()}
    at = clock.stamp(clock.now())
    with ws.store.write() as connection:
        count_again(connection, campaign)
        due = connection.all(SQL["approve"], **key, approved_by=audit.operator(ws), approved_at=at)
        for row in due:
            audit.record(ws, connection, "approve", f"campaign {campaign}", **{**key, **row})
        records = connection.all(SQL["approved"], **key)
    if not records:
        known = ws.campaigns()
        raise BadInput(
            f"Nothing of campaign '{campaign}' waits for approval on {key['business_date']}; "
            f"'tessera send' says what does.{'' if campaign in known else nearest(campaign, known)}"
        )
    return [_file(ws, record) for record in records]


def _file(ws: Workspace, record: Row) -> Row:
    """The approval as a file too, for those who keep such things."""
    name = "-".join(record[key] for key in ("business_date", "campaign", "campaign_version"))
    path = ws.home.root / "approvals" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(record, indent=1))
    return {**record, "file": str(path)}
