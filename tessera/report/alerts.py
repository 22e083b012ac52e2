"""What somebody should look at today, a sentence each."""

from __future__ import annotations

from contextlib import closing

from tessera.errors import BadInput
from tessera.store import queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

SQL = queries("tessera.report", "alerts.sql")
SCORES = "net_promoter_scores"


def alerts(ws: Workspace) -> list[str]:
    """Of this month and the last; none before anything was published."""
    try:
        is_there = SCORES in marts.current(ws.home).marts
    except BadInput:
        return []
    if not is_there:
        return []
    with closing(marts.connect(ws.home)) as connection:
        fallen = connection.execute(SQL["fallen"], {"today": ws.business_date}).fetchall()
    return [
        f"The net promoter score of {month:%Y-%m} is {score} ({low} to {high}, {answers} answers), "
        f"{-change} below the month before: a fall beyond chance."
        for month, score, low, high, answers, change in fallen
    ]
