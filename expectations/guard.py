"""Great Expectations at work: suites asked of landed files in DuckDB, and Data Docs of the answers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import duckdb_engine
import great_expectations as gx
from great_expectations import ExpectationSuite
from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.core.expectation_validation_result import (
    ExpectationValidationResult,
    expectationSuiteValidationResultSchema,
)
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

from expectations import suite_of
from expectations.bad_rows import table_of
from expectations.rules import ROW

# Great Expectations reads a result after it has given its connection back, and the rollback that
# comes with that takes the result away. We only read: every statement is its own transaction.
for _name in ("do_begin", "do_commit", "do_rollback"):
    setattr(duckdb_engine.Dialect, _name, lambda _self, _connection: None)

# One pass gives counts and the query that finds every bad row; never a value out of one.
COUNTS_AND_QUERIES = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "exclude_unexpected_values": True,
    "return_unexpected_index_query": True,
    "unexpected_index_column_names": list(ROW),
}
SITE = "tessera"


class CannotJudge(RuntimeError):
    """A rule that could not be evaluated: a mistake in the suite, which says nothing of the data."""


@dataclass(frozen=True)
class Finding:
    """A rule that some rows break, and the query that selects them from the view `landed`."""

    rule: str
    column: str
    found: int
    query: str


@dataclass(frozen=True)
class Guard:
    """One DuckDB in memory, whose view `landed` is what the suites are asked of. A context manager."""

    docs: Path
    db: duckdb.DuckDBPyConnection
    context: Any
    source: Any
    answers: dict[tuple[str, str], list[ExpectationSuiteValidationResult]] = field(
        default_factory=dict
    )

    @classmethod
    def open(cls, docs: Path, *, memory: str, threads: int, spill: Path) -> Guard:
        """`memory`, `threads` and `spill` are DuckDB's; Data Docs are written to `docs`."""
        stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
        context = gx.get_context(
            mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores)
        )
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        # A named database in memory is one for all connections of this process.
        source = context.data_sources.add_sql(
            "landing", connection_string=f"duckdb:///:memory:{uuid4().hex}"
        )
        engine = source.get_execution_engine().engine
        db: duckdb.DuckDBPyConnection = engine.raw_connection().driver_connection.duplicate()
        db.execute(f"set memory_limit = '{memory}'")
        db.execute(f"set threads = {threads}")
        db.execute(f"set temp_directory = '{str(spill).replace(chr(39), chr(39) * 2)}'")
        db.execute("set preserve_insertion_order = false")
        return cls(docs, db, context, source)

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()
        self.source.get_execution_engine().engine.dispose()

    def ask(
        self,
        feed: str,
        *,
        source: str,
        files: Mapping[int, str],
        parameters: Mapping[str, str],
        at: datetime,
    ) -> list[Finding]:
        """The broken rules of `feed`'s suite in the view `landed`, which holds `files` (number ->
        name); CannotJudge if a rule cannot be evaluated."""
        answer = self._answer(feed, _title(source, list(files)), source, parameters, at)
        for result in answer.results:
            _raise_if_unevaluated(feed, result)
        answer.meta["batch_spec"] = {"files": ", ".join(f"{n} ({i})" for i, n in files.items())}
        self.context.validation_results_store.set(_key(answer), answer)  # with its files
        self.answers.setdefault((source, feed), []).append(answer)
        return [_finding(result) for result in answer.results if _found(result)]

    def _answer(
        self, feed: str, title: str, source: str, parameters: Mapping[str, str], at: datetime
    ) -> ExpectationSuiteValidationResult:
        suite = self._suite(feed)
        asset = self.source.add_table_asset(f"{feed} {title}", table_name="landed")
        definition = self.context.validation_definitions.add(
            gx.ValidationDefinition(
                name=asset.name, data=asset.add_batch_definition_whole_table("all"), suite=suite
            )
        )
        return definition.run(
            result_format=COUNTS_AND_QUERIES,
            expectation_parameters=dict(parameters),
            run_id=RunIdentifier(run_name=_safe(source), run_time=at),
        )

    def _suite(self, feed: str) -> ExpectationSuite:
        if feed not in {known.name for known in self.context.suites.all()}:
            return self.context.suites.add(suite_of(feed))
        return suite_of(feed)

    def write_docs(self) -> None:
        """Data Docs with the latest answers for each source and feed. They hold no values."""
        if not self.answers:
            return
        fresh = [self._keep(*key, answers) for key, answers in self.answers.items()]
        for path in _results(self.docs):
            self._recall(path)
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(self.docs)}
        self.context.add_data_docs_site(
            SITE,
            {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": backend,
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            },
        )
        suites = [ExpectationSuiteIdentifier(feed) for _, feed in self.answers]
        pages = suites + [key for keys in fresh for key in keys]
        self.context.build_data_docs(site_names=[SITE], resource_identifiers=pages)

    def _keep(
        self, source: str, feed: str, answers: Sequence[ExpectationSuiteValidationResult]
    ) -> list[ValidationResultIdentifier]:
        """Replace what is kept of this source and feed, pages included: docs must not grow."""
        shutil.rmtree(self.docs / "validations" / feed / _safe(source), ignore_errors=True)
        path = self.docs / "results" / f"{_safe(source)}.{feed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        kept = [{"batch_id": a.batch_id, "answer": a.to_json_dict()} for a in answers]
        part.write_text(json.dumps(kept), "utf-8")
        part.replace(path)
        return [_key(answer) for answer in answers]

    def _recall(self, path: Path) -> None:
        store = self.context.validation_results_store
        for kept in json.loads(path.read_text(encoding="utf-8")):
            answer = expectationSuiteValidationResultSchema.load(kept["answer"])
            answer.batch_id = kept["batch_id"]
            self._suite(answer.suite_name)  # its page stays, too
            if not store.has_key(_key(answer)):
                store.add(_key(answer), answer)


def _results(docs: Path) -> Iterator[Path]:
    yield from sorted((docs / "results").glob("*.json"))


def _key(answer: ExpectationSuiteValidationResult) -> ValidationResultIdentifier:
    run = answer.meta["run_id"]
    run_id = run if isinstance(run, RunIdentifier) else RunIdentifier(**run)
    suite = ExpectationSuiteIdentifier(answer.suite_name)
    return ValidationResultIdentifier(suite, run_id, answer.batch_id)


def _safe(name: str) -> str:
    """`name` as part of a path."""
    return re.sub(r"[^\w-]", "_", name)


def _title(source: str, file_ids: list[int]) -> str:
    first, last = file_ids[0], file_ids[-1]
    return f"of {_safe(source)}, " + (f"file {first}" if first == last else f"files {first}-{last}")


def _raise_if_unevaluated(feed: str, result: ExpectationValidationResult) -> None:
    """An expectation that raised says `success: false` like one that found bad rows."""
    info = result.exception_info or {}
    causes = [info] if "raised_exception" in info else list(info.values())
    for cause in causes:
        if cause.get("raised_exception"):
            said = result.expectation_config.meta
            raise CannotJudge(
                f"The rule '{said['rule']}' of {feed}.{said['column']} cannot be evaluated: "
                f"{cause.get('exception_message')}"
            )


def _found(result: ExpectationValidationResult) -> int:
    """How many values break the rule."""
    found = result.result.get("unexpected_count", result.result.get("observed_value"))
    return int(found or 0)


def _finding(result: ExpectationValidationResult) -> Finding:
    said, config = result.expectation_config.meta, result.expectation_config
    query = result.result.get("unexpected_index_query")
    if query is None:
        query = f"select * from {table_of(config.kwargs['unexpected_rows_query'])}"
    return Finding(said["rule"], said["column"], _found(result), query.rstrip("; \n"))
