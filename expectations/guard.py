"""Great Expectations at work: suites asked of landed files in DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import duckdb_engine
import great_expectations as gx
from great_expectations import ExpectationSuite
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from sqlalchemy.types import NullType

from expectations import docs
from expectations.bad_rows import table_of
from expectations.rules import ROW
from expectations.suites import suite_of
from tessera.errors import BadInput, OutOfSpace
from tessera.outage import says_full
from tessera.quoting import literal

# Great Expectations reads a result after it has given its connection back, and the rollback that
# comes with that takes the result away. We only read: every statement is its own transaction.
for _name in ("do_begin", "do_commit", "do_rollback"):
    setattr(duckdb_engine.Dialect, _name, lambda _self, _connection: None)
# No rule asks for the map of what could not be cast; an unknown type would be warned of.
duckdb_engine.Dialect.ischema_names["map"] = lambda *_types: NullType()

# One pass gives counts and the query that finds every bad row; never a value out of one.
COUNTS_AND_QUERIES = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "exclude_unexpected_values": True,
    "return_unexpected_index_query": True,
    "unexpected_index_column_names": list(ROW),
}


class CannotJudge(BadInput):
    """A rule that could not be evaluated: a mistake in the suite, which says nothing of the data."""

    def __init__(self, feed: str, rule: str, column: str, why: str) -> None:
        first = why.partition("\n")[0].rstrip(".")
        super().__init__(
            f"expectations/{feed}.py: the rule '{rule}' of {feed}.{column} cannot be evaluated: "
            f"{first[first.startswith('(') and first.find(') ') + 2 :]}."
        )


@dataclass(frozen=True)
class Finding:
    """A rule that some rows break, and the query that selects them from the view `landed`."""

    rule: str
    column: str
    found: int
    query: str


@dataclass
class Guard:
    """One DuckDB in memory, whose view `landed` is what the suites are asked of. A context manager."""

    db: duckdb.DuckDBPyConnection
    context: Any
    engine: Any
    pages: Path  # where Data Docs lie
    project: Path  # whose suites are asked
    answers: dict[tuple[str, str], list[docs.Answer]] = field(default_factory=dict)
    batches: Any = None  # Great Expectations' name for what `landed` shows
    suites: dict[str, ExpectationSuite] = field(default_factory=dict)

    @classmethod
    def open(cls, *, project: Path, pages: Path, memory: str, threads: int, spill: Path) -> Guard:
        """`memory`, `threads` and `spill` are DuckDB's."""
        stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
        context = gx.get_context(
            mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores)
        )
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        # A named database in memory is one for all connections of this process.
        url = f"duckdb:///:memory:{uuid4().hex}"
        source = context.data_sources.add_sql("landing", connection_string=url)
        engine = source.get_execution_engine().engine
        db: duckdb.DuckDBPyConnection = engine.raw_connection().driver_connection.duplicate()
        db.execute(f"set memory_limit = '{memory}'")
        db.execute(f"set threads = {threads}")
        db.execute(f"set temp_directory = {literal(str(spill))}")
        db.execute("set preserve_insertion_order = false")
        return cls(db, context, engine, pages, project)

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()
        self.engine.dispose()

    def suite(self, feed: str) -> ExpectationSuite:
        """The project's suite of `feed`; BadInput says what is wrong with it."""
        if feed not in self.suites:
            self.suites[feed] = suite_of(feed, self.project)
        return self.suites[feed]

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
        if self.batches is None:  # only now there is such a view
            table = self.context.data_sources.get("landing").add_table_asset("landed", "landed")
            self.batches = table.add_batch_definition_whole_table("all")
        answer = self.batches.get_batch().validate(
            self.suite(feed),
            result_format=COUNTS_AND_QUERIES,
            expectation_parameters=dict(parameters),
        )
        for result in answer.results:
            _raise_if_unevaluated(feed, result)
        docs.label(answer, source=source, files=files, at=at)
        its = self.answers.setdefault((source, feed), [])
        its.append(answer)
        docs.keep(self.pages, source, feed, its)
        return [self._finding(feed, result) for result in answer.results if _found(result)]

    def _finding(self, feed: str, result: ExpectationValidationResult) -> Finding:
        said, config = result.expectation_config.meta, result.expectation_config
        query = result.result.get("unexpected_index_query")
        if query is None:
            query = f"select * from {table_of(config.kwargs['unexpected_rows_query'])}"
            columns = [column[0] for column in self.db.execute(f"{query} limit 0").description]
            if not set(ROW) <= set(columns):
                why = f"its query must select {' and '.join(ROW)}"
                raise CannotJudge(feed, said["rule"], said["column"], why)
        return Finding(said["rule"], said["column"], _found(result), query.rstrip("; \n"))

    def write_docs(self) -> None:
        """Data Docs of what was asked, and of what was kept of a judge who was killed before its pages."""
        if docs.is_unfinished(self.pages):
            docs.write(self.context, self.pages, self.suite)


def _raise_if_unevaluated(feed: str, result: ExpectationValidationResult) -> None:
    """An expectation that raised says `success: false` like one that found bad rows."""
    info = result.exception_info or {}
    causes = [info] if "raised_exception" in info else list(info.values())
    for cause in causes:
        if cause.get("raised_exception"):
            said, why = result.expectation_config.meta, str(cause.get("exception_message"))
            if says_full(why):
                raise OutOfSpace
            raise CannotJudge(feed, said["rule"], said["column"], why)


def _found(result: ExpectationValidationResult) -> int:
    """How many values break the rule."""
    found = result.result.get("unexpected_count", result.result.get("observed_value"))
    return int(found or 0)
