"""Reading back what was decided, for as long as the files are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from tessera.decide.reasons import Reason
from tessera.errors import BadInput
from tessera.home import Home

COLUMNS = (
    "business_date",
    "campaign",
    "step",
    "customer_id",
    "occurrence",
    "reason",
    "decided_by",
    "send_at",
)


@dataclass(frozen=True)
class Question:
    """Which decisions are asked for; None: all."""

    on: date | None = None
    since: date | None = None
    campaign: str | None = None
    reason: str | None = None
    customer_id: str | None = None


def day(text: str | None, option: str) -> date | None:
    """The date typed for `option`; BadInput when it is not one."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadInput(f"{option} '{text}' is not a date; write it as 2026-03-31.") from None


def find(home: Home, asked: Question, *, limit: int | None = None) -> list[dict[str, Any]]:
    """The decisions asked for, by day, campaign and customer; `send_at` is UTC."""
    if asked.reason is not None and asked.reason not in set(Reason):
        raise BadInput(f"'{asked.reason}' is not a reason; there are {', '.join(Reason)}.")
    files = [str(path) for path in _files(home, asked)]
    if not files:
        return []
    with duckdb.connect() as connection:
        found = connection.execute(
            "select * replace (strftime(send_at, '%Y-%m-%dT%H:%M:%S+00:00') as send_at, "
            "strftime(decided_at, '%Y-%m-%dT%H:%M:%S+00:00') as decided_at) "
            "from read_parquet($files, union_by_name = true, hive_partitioning = false) "
            "where ($customer is null or customer_id = $customer) "
            "and ($reason is null or reason = $reason) "
            "order by business_date, campaign, customer_id, step, occurrence limit $limit",
            {"files": files, "customer": asked.customer_id, "reason": asked.reason, "limit": limit},
        )
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _files(home: Home, asked: Question) -> Iterator[Path]:
    for folder in sorted(home.decisions.glob("date=*")):
        on = folder.name.removeprefix("date=")
        if (asked.on is None or on == asked.on.isoformat()) and (
            asked.since is None or on >= asked.since.isoformat()
        ):
            yield from sorted(folder.glob(f"{asked.campaign or '*'}.parquet"))
