"""Reading back what was decided, for as long as the files are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import duckdb

from tessera.decide import index
from tessera.decide.reasons import Reason
from tessera.errors import BadInput
from tessera.home import Home
from tessera.quoting import literal
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

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


def refuse_unknown(ws: Workspace, campaign: str | None) -> None:
    """BadInput when there is no such campaign, and never was one that decided anything."""
    if campaign is None:
        return
    from tessera.documents import nearest  # its libraries would slow other questions down

    days = (day for week in index.weeks(ws.home) for day in week.days)
    known = ws.campaigns().union(*(day.files for day in days))
    if campaign not in known:
        raise BadInput(f"There is no campaign '{campaign}'.{nearest(campaign, known)}")


def find(home: Home, asked: Question, *, limit: int | None = None) -> list[dict[str, Any]]:
    """The decisions asked for, by day, campaign and customer; `send_at` is UTC."""
    if asked.reason is not None and asked.reason not in set(Reason):
        raise BadInput(f"'{asked.reason}' is not a reason; there are {', '.join(Reason)}.")
    files = list(_files(home, asked))
    if not files:
        return []
    with duckdb.connect() as connection:
        found = connection.execute(
            "select * replace (strftime(send_at, '%Y-%m-%dT%H:%M:%S+00:00') as send_at, "
            "strftime(decided_at, '%Y-%m-%dT%H:%M:%S+00:00') as decided_at) "
            f"from read_parquet([{', '.join(map(literal, files))}], union_by_name = true, "
            f"hive_partitioning = false) where {_condition(asked)} "
            "order by business_date, campaign, customer_id, step, occurrence "
            + ("" if limit is None else f"limit {limit:d}")
        )
        return named(found)


def _condition(asked: Question) -> str:
    """In plain SQL: DuckDB imports pandas for a parameter, a third of the time of a question."""
    wanted = {
        name: literal(str(value)) for name, value in asdict(asked).items() if value is not None
    }
    tests = {"on": "business_date = {}", "since": "business_date >= {}"}
    return " and ".join(
        [
            "true",
            *(tests.get(name, f"{name} = {{}}").format(value) for name, value in wanted.items()),
        ]
    )


def _files(home: Home, asked: Question) -> Iterator[str]:
    """The files to look into: of a week with an index, the one where the customer is if any."""
    for week in index.weeks(home):
        days = [day for day in week.days if _is_asked(day.date, asked)]
        bucket = week.bucket(asked.customer_id) if days and asked.customer_id else None
        if bucket is None:
            yield from (path for day in days for path in _of_campaign(day, asked.campaign))
        elif os.path.exists(bucket):  # noqa: PTH110 - it is text
            yield bucket


def _is_asked(day: date, asked: Question) -> bool:
    return asked.on in (None, day) and (asked.since is None or day >= asked.since)


def _of_campaign(day: index.Day, campaign: str | None) -> Iterator[str]:
    return (path for name, path in day.files.items() if campaign in (None, name))
