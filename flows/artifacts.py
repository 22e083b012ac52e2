"""What Prefect's pages show of a day: Markdown and tables, nobody's data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from tessera.report.summary import reasons, stages
from tessera.workspace import Workspace


def publish(ws: Workspace, summary: dict[str, Any]) -> None:
    """The day's summary beside its flow run, with links to the report and the Data Docs."""
    create_markdown_artifact(
        markdown(ws, summary), key="day", description=f"What happened on {ws.business_date}"
    )
    create_table_artifact(stages(summary), key="day-stages", description="Stages of the day")
    create_table_artifact(reasons(summary), key="day-reasons", description="Decisions by reason")


def publish_page(ws: Workspace) -> None:
    """The report beside its flow run: in short, with a link to the whole page."""
    text = (ws.home.report / "index.md").read_text(encoding="utf-8")
    create_markdown_artifact(
        markdown=f"{text}\nThe whole page: {_link(ws.home.report)}\n",
        key="report",
        description=f"The report of {ws.business_date}",
    )


def publish_decisions(report: dict[str, Any], campaign: str | None) -> None:
    """A row per campaign of a pass: how many of whom, by reason, and why it is held if it is."""
    rows = [
        {
            "campaign": one["campaign"],
            "held": report["held"].get(one["campaign"], ""),
            "candidates": one["candidates"],
            **one["reasons"],
        }
        for one in report["campaigns"]
    ]
    judged = {row["campaign"] for row in rows}
    resting = {name: why for name, why in report["held"].items() if name not in judged}
    create_table_artifact(
        [*rows, *({"campaign": name, "held": why} for name, why in resting.items())],
        key=f"decide-{campaign}".replace("_", "-") if campaign else "decide",
        description=f"Decisions of {report['business_date']}",
    )


def markdown(ws: Workspace, summary: dict[str, Any]) -> str:
    """The day as a table of stages, and where to look."""
    rows = "\n".join(
        f"| {row['stage']} | {row['what']} | {row['seconds']} |" for row in stages(summary)
    )
    alerts = "".join(f"- **{alert}**\n" for alert in summary["alerts"])
    return (
        f"# {ws.business_date}\n\n{alerts}\n| stage | what | seconds |\n|---|---|---:|\n{rows}\n\n"
        f"Report: {_link(ws.home.report)}\n\nData Docs: {_link(ws.home.data_docs)}\n"
    )


def _link(folder: Path) -> str:
    """With the path to read: browsers follow no link from a page of the web to a file."""
    page = folder / "index.html"
    return f"[{page}]({page.as_uri()})"
