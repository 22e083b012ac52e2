"""What a message needs to know of its customers, read in bulk from the published marts and the
ledger at the moment of writing: the outbox itself holds no personal data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb

from tessera.store import queries
from tessera.workspace import Workspace, programme_as_written

SQL = queries("tessera.say", "customers.sql")


@dataclass(frozen=True)
class Customer:
    """One addressee: where to write, and the fields a template may show."""

    customer_id: str
    email: str | None
    phone: str | None
    language: str | None
    fields: Mapping[str, Any]
    has_complaint_open: bool = False


@dataclass(frozen=True)
class Customers:
    """The customers of one published snapshot."""

    ws: Workspace

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The marts, opened when first asked for; BadInput when none are published."""
        connection = self.ws.marts()
        for missing in ("no_stores", "no_products", "no_recommendations"):
            connection.execute(SQL[missing])
        return connection

    def read(self, ids: Sequence[str]) -> dict[str, Customer]:
        """Those of `ids` whom the marts know."""
        rows = self.query(SQL["customers"], ids)
        points, products = self._points(ids), self._products(ids)
        return {
            row["customer_id"]: _customer({**row, **products.get(row["customer_id"], {})}, points)
            for row in rows
        }

    def query(self, sql: str, ids: Sequence[str], **values: str) -> list[dict[str, Any]]:
        """Rows of the marts for the customers `$ids`."""
        found = self.connection.execute(sql, {"ids": list(ids), **values}).to_arrow_table()
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows

    def prospects_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Who of `ids` was a prospect before: under which number, and who that is now."""
        if not ids:
            return {}
        rows = self.query(SQL["prospects"], ids)
        return {row["customer_id"]: row["into_customer_id"] for row in rows}

    def _products(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The names of what each is recommended."""
        if not ids:
            return {}
        rows = self.query(SQL["recommended"], ids, least=min(ids), most=max(ids))
        return {row.pop("customer_id"): row for row in rows}

    @cached_property
    def _programme(self) -> str | None:
        return programme_as_written(self.ws.project).get("programme")

    def _points(self, ids: Sequence[str]) -> dict[str, int]:
        with self.ws.store.read() as connection:
            query = SQL["balances"].format(ids=connection.listed("ids"))
            rows = connection.all(query, ids=json.dumps(ids), programme=self._programme)
            return {row["customer_id"]: int(row["points"]) for row in rows}


def _customer(row: Mapping[str, Any], points: Mapping[str, int]) -> Customer:
    customer_id = row["customer_id"]
    fields = {**row, "points_balance": points.get(customer_id, 0)}
    return Customer(
        customer_id,
        row["email"],
        row["phone"],
        row["language"],
        fields,
        bool(row["has_complaint_open"]),
    )
