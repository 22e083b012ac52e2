"""The figures of one day, from the published marts, the decisions, quarantine and the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tessera import clock
from tessera.consent import Guard, complaint_guard
from tessera.report import runs
from tessera.report.morning import Morning, Rows, morning
from tessera.report.sections import sections
from tessera.store import queries
from tessera.warehouse import marts, red
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

SQL = queries("tessera.report", "figures.sql")
STORE_SQL = queries("tessera.report", "store.sql")
WEEKS = 26
READMITTED = pa.schema({"file_id": pa.int64(), "row_number": pa.int64()})
MONTH = timedelta(days=29)  # and the day itself
MOST_RECEIPTS = 50  # of one customer in a week; who has more is no customer


@dataclass(frozen=True)
class Sales:
    """Money in minor units of `currency`; a span is the seven days before the business date."""

    currency: str
    other_currencies: tuple[str, ...]
    weekly: Rows  # week_on, revenue, receipts
    last_week: Mapping[str, int]  # revenue, receipts, with_card
    week_before: Mapping[str, int]
    crowded: Rows  # customer_id, receipts of the last week: more than MOST_RECEIPTS


@dataclass(frozen=True)
class Figures:
    """Everything the page says; None and empty rows where there is nothing yet."""

    business_date: date
    as_of: datetime
    modelled_on: date | None  # the day the models are of
    red: str | None  # what was red in their last build
    sales: Sales | None
    customers: Mapping[str, int] | None  # known, buyers, active
    recency_by_frequency: Rows  # recency, frequency, customers
    decisions: Rows  # campaign, reason, candidates
    held: Rows  # campaign, why, messages: what a template keeps waiting
    sends: Rows  # campaign, state, messages
    yesterday: Rows  # campaign, messages, sent, delivered, opened, clicked, bounced, unsubscribed
    guard: Guard  # whether so many complain that marketing has to stop
    points: Rows  # direction, kind, today, month: of thirty days
    balances: Rows  # bucket, members, points
    assertions: Rows  # programme, expected, actual
    files: Rows  # feed, files, landed, good, quarantined, refused, waiting
    refused: Rows  # file_id, feed, file, rows, reason
    quarantine: Rows  # feed, column, rule, found
    stages: Rows  # stage, seconds
    morning: Morning
    sections: Mapping[str, str]  # pieces of HTML by name


def figures(ws: Workspace) -> Figures:
    """The figures as of `ws.as_of`; an empty home has empty ones."""
    with _connect(ws) as duck:
        published = marts.is_published(ws.home)
        sales = _sales(ws, duck) if published else None
        return Figures(
            business_date=ws.business_date,
            as_of=ws.as_of,
            modelled_on=_modelled_on(ws) if published else None,
            red=red.found(ws.home),
            sales=sales,
            customers=_ask(duck, "customers")[0] if published else None,
            recency_by_frequency=_ask(duck, "recency_by_frequency") if published else (),
            decisions=_decisions(ws, duck, "decisions"),
            held=[*_decisions(ws, duck, "held"), *_waiting(ws)],
            quarantine=_quarantine(ws, duck),
            stages=_stages(ws),
            morning=morning(ws, duck),
            sections=sections(duck, sales.currency) if sales else {},
            **_from_store(ws),
        )


def _modelled_on(ws: Workspace) -> date:
    return clock.business_date(marts.current(ws.home).as_of, ws.settings.timezone)


def _connect(ws: Workspace) -> duckdb.DuckDBPyConnection:
    return ws.marts() if marts.is_published(ws.home) else duckdb.connect()


def _ask(duck: duckdb.DuckDBPyConnection, query: str, **params: object) -> list[dict[str, Any]]:
    return named(duck.execute(SQL[query], params))


def _sales(ws: Workspace, duck: duckdb.DuckDBPyConnection) -> Sales | None:
    duck.execute(SQL["week"])
    duck.executemany("insert into week values (?, ?)", _weeks(ws))
    duck.execute(SQL["receipt"], {"as_of": clock.naive(ws.as_of)})
    currencies = [row["currency"] for row in _ask(duck, "currency", as_of=clock.naive(ws.as_of))]
    if not currencies:
        return None
    today, currency = ws.business_date, currencies[0]
    begins = [_begins(ws, today - timedelta(days=days)) for days in (14, 7, 0)]
    week_before, last_week = (
        _ask(duck, "span", currency=currency, since=since, until=until)[0]
        for since, until in pairwise(begins)
    )
    return Sales(
        currency,
        tuple(currencies[1:]),
        weekly=_ask(duck, "weekly", currency=currency),
        last_week=last_week,
        week_before=week_before,
        crowded=_ask(duck, "crowded", since=begins[1], until=begins[2], most=MOST_RECEIPTS),
    )


def _weeks(ws: Workspace) -> list[tuple[date, datetime]]:
    """The Mondays of the weeks shown; the last week is the one that ends with yesterday."""
    yesterday = ws.business_date - timedelta(days=1)
    last = yesterday - timedelta(days=yesterday.weekday())
    mondays = [last - timedelta(weeks=weeks) for weeks in reversed(range(WEEKS))]
    return [(monday, _begins(ws, monday)) for monday in mondays]


def _begins(ws: Workspace, day: date) -> datetime:
    """The instant `day` begins at in the shop's zone, as the marts write it: UTC without saying so."""
    return clock.naive(clock.day_starts(day, clock.zone(ws.settings.timezone)))


def _decisions(ws: Workspace, duck: duckdb.DuckDBPyConnection, query: str) -> Rows:
    found = _files(ws.home.decisions / f"date={ws.business_date}", "*.parquet")
    return _ask(duck, query, files=found) if found else ()


def _waiting(ws: Workspace) -> Rows:
    with ws.store.read() as connection:
        return connection.all(STORE_SQL["held"])


def _quarantine(ws: Workspace, duck: duckdb.DuckDBPyConnection) -> Rows:
    found = _files(ws.home.quarantine, "*/file_id=*/*.parquet")
    if not found:
        return ()
    with ws.store.read() as connection:
        duck.register("readmitted", connection.arrow(STORE_SQL["readmitted"], READMITTED))
    return _ask(duck, "quarantine", files=found)


def _files(folder: Path, pattern: str) -> list[str]:
    return sorted(str(path) for path in folder.glob(pattern))


def _from_store(ws: Workspace) -> Mapping[str, Any]:
    day = ws.business_date.isoformat()
    with ws.store.read() as connection:
        dated: dict[str, Any] = {
            name: connection.all(STORE_SQL[name], business_date=day)
            for name in ("sends", "assertions")
        }
        since = (ws.business_date - MONTH).isoformat()
        dated["points"] = connection.all(STORE_SQL["points"], since=since, business_date=day)
        before = (ws.business_date - timedelta(days=1)).isoformat()
        dated["yesterday"] = connection.all(STORE_SQL["yesterday"], business_date=before)
        dated["guard"] = complaint_guard(connection, ws.as_of)
        return dated | {
            name: connection.all(STORE_SQL[name]) for name in ("balances", "files", "refused")
        }


def _stages(ws: Workspace) -> Rows:
    """Seconds per stage of the day's first run; the report cannot time itself."""
    with ws.store.read() as connection:
        run = connection.one(runs.SQL["timed"], business_date=ws.business_date.isoformat())
    summary = json.loads(run["summary"] or "{}") if run else {}
    return [
        {"stage": stage, "seconds": counts["seconds"]}
        for stage, counts in summary.items()
        if isinstance(counts, dict) and "seconds" in counts and stage != "report"
    ]
