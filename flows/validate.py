"""Validate: every landed file without a verdict is judged by its feed's suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect import flow

from expectations.docs import is_unfinished
from expectations.guard import Guard
from flows.runtime import in_words
from tessera import clock
from tessera.errors import Refused
from tessera.land import quarantine, readmission, restoration, verdict
from tessera.land.quarantine import Choice
from tessera.land.readmission import Readmitted
from tessera.land.verdict import READMITTED, Batch, Limits, Verdict
from tessera.workspace import Workspace, open_workspace

NAMED_AT_MOST = 5


@dataclass(frozen=True)
class ValidateReport:
    """What was judged, in files and in rows."""

    files_judged: int = 0
    files_accepted: int = 0
    files_refused: int = 0
    rows_good: int = 0
    rows_bad: int = 0  # quarantined
    rows_refused: int = 0  # in the files refused
    reasons: dict[str, int] = field(default_factory=dict)  # rule -> how often broken
    refusals: tuple[str, ...] = ()  # a sentence for each refused file


@flow(name="validate")
@in_words
def validate(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """Judge what was landed; raises Refused when a whole file was."""
    report = judge(open_workspace(as_of, home=home))
    raise_if_refused(report)
    return asdict(report)


def raise_if_refused(report: ValidateReport) -> None:
    """Refused, with what to do, if the report has a refused file."""
    if not report.refusals:
        return
    named = ". ".join(report.refusals[:NAMED_AT_MOST])
    more = len(report.refusals) - NAMED_AT_MOST
    raise Refused(
        f"{report.files_refused} of {report.files_judged} files were refused, and nothing of them "
        f"reached the models. {named}{f' (and {more} more)' if more > 0 else ''}. Correct the file "
        "and land it again, or take it as it is with 'tessera quarantine allow FILE_ID'."
    )


def judge(ws: Workspace, only: int | None = None) -> ValidateReport:
    """Judge all files without a verdict (or `only` one): good rows to `validated/`, bad ones to
    `quarantine/`, the verdict to the manifest, the answers to the Data Docs. What was judged and is lost
    is put back before."""
    with verdict.one_judge(ws.home):
        restoration.restore(ws)
        files = verdict.pending(ws, only)
        pages = ws.home.data_docs
        if not files and not is_unfinished(pages):
            return ValidateReport()
        memory, threads = ws.settings.duckdb_memory, ws.settings.threads
        spill = ws.home.root / "tmp" / "validate"
        with Guard.open(
            project=ws.project, pages=pages, memory=memory, threads=threads, spill=spill
        ) as guard:
            verdicts, reasons = [], Counter[str]()
            for batch in verdict.batches(files):
                verdicts += _judge_batch(ws, guard, batch)
                reasons.update(verdict.reasons(guard.db))
            guard.write_docs()
    return _report(verdicts, reasons)


def _judge_batch(ws: Workspace, guard: Guard, batch: Batch) -> list[Verdict]:
    """The verdicts of a batch, committed last of all, in one transaction."""
    db = guard.db
    verdict.show(db, ws.home, batch)
    for finding in _ask(ws, guard, batch):
        verdict.add_reasons(
            db, finding.query, rule=finding.rule, column=finding.column, expected=finding.found
        )
    if batch.source == READMITTED:
        readmission.check(ws, db, batch.files[0])
    verdict.settle_reasons(db)
    limits = Limits(**guard.suite(batch.feed).meta["limits"])
    verdicts = verdict.weigh(ws, db, batch, limits)
    for found in verdicts:
        quarantine.write(db, ws.home, found)
    with ws.store.write() as store:
        for found in verdicts:
            verdict.commit(store, found, as_of=ws.as_of)
            if batch.source == READMITTED:
                readmission.commit(ws, store, db, found.file)
    return verdicts


def _ask(ws: Workspace, guard: Guard, batch: Batch) -> Iterable[Any]:
    if not any(file.rows for file in batch.files):
        return []  # of no rows there is nothing to ask
    landed = clock.naive(batch.landed_at)
    return guard.ask(
        batch.feed,
        source=batch.source,
        files={file.file_id: file.name for file in batch.files},
        parameters={
            "landed_on": landed.date().isoformat(),
            "day_after_landing": (landed + timedelta(days=1)).isoformat(sep=" "),
        },
        at=ws.as_of,
    )


def _report(verdicts: list[Verdict], reasons: Counter[str]) -> ValidateReport:
    accepted = [v.measures for v in verdicts if v.is_accepted]
    refused = [v for v in verdicts if not v.is_accepted]
    return ValidateReport(
        files_judged=len(verdicts),
        files_accepted=len(accepted),
        files_refused=len(refused),
        rows_good=sum(its.rows - its.bad_rows for its in accepted),
        rows_bad=sum(v.quarantined for v in verdicts),
        rows_refused=sum(v.measures.rows for v in refused),
        reasons=dict(reasons.most_common()),
        refusals=tuple(v.sentence for v in refused),
    )


def readmit(ws: Workspace, path: Path) -> Readmitted:
    """Re-admit the rows of an exported CSV that was corrected."""
    landed, already = readmission.land_file(ws, path)
    return _readmit(ws, landed, already=already)


def retry(ws: Workspace, choice: Choice) -> Readmitted:
    """Judge open rows again by the suites as they are now."""
    return _readmit(ws, readmission.land_again(ws, choice), already=0)


def _readmit(ws: Workspace, landed: dict[int, int], *, already: int) -> Readmitted:
    reasons = Counter[str]()
    for file_id in landed:
        reasons.update(judge(ws, only=file_id).reasons)
    return readmission.outcome(
        ws, list(landed), rows=sum(landed.values()), already=already, reasons=dict(reasons)
    )
