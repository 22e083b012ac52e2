"""Data Docs: what every suite says, and how the latest files of each source and feed fared."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.core.expectation_validation_result import (
    expectationSuiteValidationResultSchema,
)
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

from expectations import suite_of

Answer = ExpectationSuiteValidationResult
SITE = "tessera"
KEPT = 3  # answers of one source and feed: pages cost time, and docs must not grow with the days


def label(answer: Answer, *, source: str, files: Mapping[int, str], at: datetime) -> None:
    """Say on the answer's page which files it is about: number -> name."""
    first, last = min(files), max(files)
    answer.batch_id = f"file {first}" if first == last else f"files {first}-{last}"
    answer.meta["run_id"] = RunIdentifier(run_name=_safe(source), run_time=at)
    answer.meta["batch_spec"] = {"files": ", ".join(f"{n} ({i})" for i, n in files.items())}


def write(context: Any, folder: Path, answers: Mapping[tuple[str, str], Sequence[Answer]]) -> None:
    """Write the pages of `answers` (source and feed -> answers, the latest last) below `folder`.

    The pages of other sources and feeds stay. No page holds a value out of a row.
    """
    for (source, feed), its in answers.items():
        _keep(folder, source, feed, its[-KEPT:])
    for feed in {feed for path in _kept(folder) for feed in [_recall(context, path)]}:
        context.suites.add(suite_of(feed))
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
    context.add_data_docs_site(
        SITE,
        {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": backend,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    suites = [ExpectationSuiteIdentifier(feed) for _, feed in answers]
    fresh = [_key(answer) for its in answers.values() for answer in its[-KEPT:]]
    context.build_data_docs(site_names=[SITE], resource_identifiers=suites + fresh)


def _keep(folder: Path, source: str, feed: str, answers: Sequence[Answer]) -> None:
    shutil.rmtree(folder / "validations" / feed / _safe(source), ignore_errors=True)
    path = folder / "results" / f"{_safe(source)}.{feed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    kept = [{"batch_id": a.batch_id, "answer": a.to_json_dict()} for a in answers]
    part.write_text(json.dumps(kept), "utf-8")
    part.replace(path)


def _kept(folder: Path) -> list[Path]:
    return sorted((folder / "results").glob("*.json"))


def _recall(context: Any, path: Path) -> str:
    """Put the kept answers where the site's builder looks for them; their feed."""
    for kept in json.loads(path.read_text(encoding="utf-8")):
        answer = expectationSuiteValidationResultSchema.load(kept["answer"])
        answer.batch_id = kept["batch_id"]
        context.validation_results_store.set(_key(answer), answer)
    return path.stem.rpartition(".")[2]


def _key(answer: Answer) -> ValidationResultIdentifier:
    run = answer.meta["run_id"]
    run_id = run if isinstance(run, RunIdentifier) else RunIdentifier(**run)
    suite = ExpectationSuiteIdentifier(answer.suite_name)
    return ValidationResultIdentifier(suite, run_id, answer.batch_id)


def _safe(name: str) -> str:
    """`name` as part of a path."""
    return re.sub(r"[^\w-]", "_", name)
