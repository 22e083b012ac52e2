"""An expectation by its SQL, for what Great Expectations has no words for on DuckDB."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import great_expectations.expectations as gxe
import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.query_metric_provider import QueryMetricProvider


def table_of(query: str) -> str:
    """The table that holds what `query` found in the batch asked last."""
    return f"found_{hashlib.sha256(query.encode()).hexdigest()[:16]}"


class BadRowsFound(QueryMetricProvider):
    """How many rows a query finds. They are kept in a table: looking for repeated keys among
    millions of rows takes seconds, and whoever counts them will ask for them next."""

    metric_name = "bad_rows.found"
    value_keys = ("unexpected_rows_query",)
    query_param_name: ClassVar[str] = "unexpected_rows_query"

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805 - the decorator makes it a class method
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: object,
    ) -> int:
        batch, _, _ = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        query = cls._get_query_from_metric_value_kwargs(metric_value_kwargs)
        table = table_of(query)
        its = cls._get_substituted_batch_subquery_from_query_and_batch_selectable(
            query=query, batch_selectable=batch, execution_engine=execution_engine
        )
        literal = its.replace(":", r"\:")  # a colon names no parameter here
        execution_engine.execute_query(sa.text(f"create or replace table {table} as {literal}"))
        counted = execution_engine.execute_query(sa.text(f"select count(*) from {table}"))
        return int(counted.scalar_one())


class BadRows(gxe.UnexpectedRowsExpectation):
    """No row is found by the query. Only counts: what stands in the rows goes into no report."""

    column: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("bad_rows.found",)

    def _validate(self, metrics: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        found = metrics["bad_rows.found"]
        return {"success": found == 0, "result": {"observed_value": found}}
