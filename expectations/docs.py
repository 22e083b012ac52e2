"""Data Docs: what every suite says, and how the latest files of each source and feed fared."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from great_expectations import ExpectationSuite
from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.core.expectation_validation_result import (
    expectationSuiteValidationResultSchema,
)
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

Answer = ExpectationSuiteValidationResult
SITE, INDEX = "tessera", "index.html"
LOG = logging.getLogger("great_expectations.render.renderer.site_builder")
KEPT = 3  # answers of one source and feed: pages cost time, and docs must not grow with the days


def label(answer: Answer, *, source: str, files: Mapping[int, str], at: datetime) -> None:
    """Say on the answer's page which files it is about: number -> name."""
    first, last = min(files), max(files)
    answer.batch_id = f"file {first}" if first == last else f"files {first}-{last}"
    answer.meta["run_id"] = RunIdentifier(run_name=_safe(source), run_time=at)
    named = ", ".join(f"{name} ({number})" for number, name in files.items())
    answer.meta["batch_spec"] = {"files": named}  # type: ignore[arg-type]  # shown as it is


def is_unfinished(folder: Path) -> bool:
    """Whether a page of what was kept is missing: its writer was killed, or had no room."""
    kept = _kept(folder)
    return any(_has_gaps(folder, path) for path in kept) or bool(
        kept and not (folder / INDEX).exists()
    )


def write(context: Any, folder: Path, suite_of: Callable[[str], ExpectationSuite]) -> None:
    """Write the pages that are missing below `folder` of the answers kept there; OSError without room.

    The pages of other sources and feeds stay. No page holds a value out of a row.
    """
    missing = [path for path in _kept(folder) if _has_gaps(folder, path)]
    found = {path: _recall(context, path) for path in _kept(folder)}
    for feed in {_feed(path) for path in found}:
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
    suites = [ExpectationSuiteIdentifier(_feed(path)) for path in missing]
    fresh = [key for path in missing for key in found[path]]
    with _no_page_lost():
        context.build_data_docs(site_names=[SITE], resource_identifiers=suites + fresh)


@contextmanager
def _no_page_lost() -> Iterator[None]:
    """Great Expectations logs the traceback of a page it could not write, and goes on."""
    said: list[str] = []

    def hear(record: logging.LogRecord) -> bool:
        said.append(record.getMessage().strip('\n".').splitlines()[-1])
        return "[Errno" not in said[-1]

    LOG.addFilter(hear)
    try:
        yield
    finally:
        LOG.removeFilter(hear)
    for line in said:
        if "[Errno" in line:
            raise OSError(line)


def keep(folder: Path, source: str, feed: str, answers: Sequence[Answer]) -> None:
    """Keep the latest `answers`, the last last, and take away the pages of those before."""
    (folder / INDEX).unlink(missing_ok=True)
    shutil.rmtree(folder / "validations" / feed / _safe(source), ignore_errors=True)
    path = folder / "results" / f"{_safe(source)}.{feed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    kept = [{"batch_id": a.batch_id, "answer": a.to_json_dict()} for a in answers[-KEPT:]]
    part.write_text(json.dumps(kept), "utf-8")
    part.replace(path)


def _kept(folder: Path) -> list[Path]:
    return sorted((folder / "results").glob("*.json"))


def _has_gaps(folder: Path, path: Path) -> bool:
    pages = folder / "validations" / _feed(path) / path.stem.rpartition(".")[0]
    return len(list(pages.rglob("*.html"))) < len(json.loads(path.read_text(encoding="utf-8")))


def _feed(path: Path) -> str:
    return path.stem.rpartition(".")[2]


def _recall(context: Any, path: Path) -> list[ValidationResultIdentifier]:
    """Put the kept answers where the site's builder looks for them; what it knows them by."""
    keys = []
    for kept in json.loads(path.read_text(encoding="utf-8")):
        answer = expectationSuiteValidationResultSchema.load(kept["answer"])
        answer.batch_id = kept["batch_id"]
        keys.append(_key(answer))
        context.validation_results_store.set(keys[-1], answer)
    return keys


def _key(answer: Answer) -> ValidationResultIdentifier:
    run = answer.meta["run_id"]
    run_id = run if isinstance(run, RunIdentifier) else RunIdentifier(**run)
    suite = ExpectationSuiteIdentifier(answer.suite_name)
    return ValidationResultIdentifier(suite, run_id, answer.batch_id)


def _safe(name: str) -> str:
    """`name` as part of a path."""
    return re.sub(r"[^\w-]", "_", name)
