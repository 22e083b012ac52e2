"""The summary of a run: the stages' own counts, and beside them what the home holds by now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from tessera.report.figures import STORE_SQL
from tessera.report.reconciliation import Reconciliation, reconcile
from tessera.workspace import Workspace

Summary = Mapping[str, Any]

# A stage in a few words; the names are those of `complete`.
WHAT = {
    "hear": "{events:,} events heard, {new:,} new",
    "land": "{rows_landed:,} rows landed so far",
    "validate": "{quarantined:,} rows in quarantine, {files_judged:,} files judged now",
    "identity": "{merged:,} customers merged, {to_review:,} pairs to look at",
    "model": "{models_built:,} models: {lines:,} lines, {baskets:,} baskets, {customers:,} customers",
    "know": "{customers:,} customers scored, {recommendations:,} recommendations",
    "reward": "{points_posted:,} points posted",
    "decide": "{planned:,} of {candidates:,} candidates planned",
    "send": "{accepted:,} messages accepted",
    "report": "{page}",
}


def complete(ws: Workspace, stages: Summary) -> dict[str, Any]:
    """The whole run: where and when, a key per stage, and where every receipt line is.

    `rows_landed` and `quarantined` are of the home, not of this run: after a second run they are
    the same. Points posted are those earned and those taken back.
    """
    seconds = sum(counts["seconds"] for counts in stages.values())
    lines = reconcile(ws, corrected=stages["model"]["superseded_lines"])
    return {
        "as_of": ws.as_of.isoformat(),
        "business_date": ws.business_date.isoformat(),
        "home": str(ws.home.root),
        **{stage: {**counts, **_named(ws, stage, counts)} for stage, counts in stages.items()},
        "alerts": [*_of_models(stages, lines), *(a["says"] for a in stages["report"]["alerts"])],
        "reconciliation": asdict(lines),
        "seconds": round(seconds, 2),
    }


def _of_models(stages: Summary, lines: Reconciliation) -> Iterator[str]:
    """What is not right with what the day was decided by."""
    if lines.lost:
        yield (
            f"{lines.lost:,} receipt lines were landed and are not in the models: everything since is by what "
            "is left. Look for what is missing in landing/ and validated/."
        )
    yield from stages["model"]["warnings"]


def _named(ws: Workspace, stage: str, counts: Summary) -> Summary:
    """What the run is asked for, by the name it is asked by."""
    if stage == "model":
        return {"models_built": counts["models"]}
    if stage == "reward":
        return {"points_posted": counts["points_earned"] + counts["points_clawed_back"]}
    if stage not in ("land", "validate"):
        return {}
    with ws.store.read() as connection:
        files = connection.all(STORE_SQL["files"])
        readmitted = len(connection.all(STORE_SQL["readmitted"]))
    if stage == "validate":
        return {"quarantined": sum(file["quarantined"] for file in files) - readmitted}
    return {
        "rows_landed": sum(file["landed"] for file in files),
        "feeds": {file["feed"]: file["landed"] for file in files},
    }


def stages(summary: Summary) -> list[dict[str, Any]]:
    """A row per stage: what it did, in how many seconds."""
    return [
        {
            "stage": stage,
            "what": what.format(**summary[stage]),
            "seconds": summary[stage]["seconds"],
        }
        for stage, what in WHAT.items()
        if stage in summary  # a project may not want duplicates looked for every day
    ]


def reasons(summary: Summary) -> list[dict[str, Any]]:
    """A row per reason of the day's decisions, the most frequent first."""
    found = summary["decide"]["reasons"]
    return [
        {"reason": reason, "candidates": count}
        for reason, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
