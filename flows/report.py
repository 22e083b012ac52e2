"""The report page, from what the day left behind and what campaigns were worth until it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from prefect import flow

from flows.artifacts import publish_page
from flows.runtime import in_words, spared
from tessera.decide import index
from tessera.errors import BadInput
from tessera.report import told
from tessera.report.alerts import Alert
from tessera.send import staff
from tessera.workspace import Workspace, open_workspace


@flow(name="report")
@in_words
def report(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """Write `report/index.html`, and show it on Prefect's pages too; the counts on it."""
    from tessera.report import report as write

    ws = open_workspace(as_of, home=home)
    judge(ws)
    written = write(ws)
    publish_page(ws)
    tell(ws, written.alerts)
    put_in_order(ws)
    return asdict(written)


def tell(ws: Workspace, alerts: Sequence[Alert]) -> None:
    """Write to the staff of what is new; killed in between, rather twice than never."""
    if new := told.news(ws.home, alerts):
        subject = f"{ws.business_date}: {len(new)} to look at"
        lines = [*map(str, new), "The report of the day says more."]
        key = told.key(ws.business_date, new)
        if not staff.write(ws, staff.Note(key, "report", subject, lines), ws.as_of):
            return
    told.remember(ws.home, alerts)


def judge(ws: Workspace) -> None:
    """Judge the campaigns, once for a day and its marts. A page goes out without: yesterday's results
    stay on it."""
    from tessera.know.results import are_current, results
    from tessera.reward.programme import load

    with spared("results"), suppress(BadInput):  # nothing is published yet
        if not are_current(ws):
            club = load(ws.project)
            results(ws, club.worth.point if club.worth else None, club.currency)


def put_in_order(ws: Workspace) -> None:
    """The decisions of weeks that are over, once more by customer. Without, each question reads them all."""
    with spared("decisions"):
        index.refresh(ws.home, before=ws.business_date, memory=ws.settings.duckdb_memory)
