"""Searching the customer base: the filters of a campaign's `where`, as typed on one line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tessera.decide.campaigns import few_values
from tessera.decide.filters import Filter, condition, kind_of, never_true
from tessera.documents import as_day, nearest
from tessera.errors import BadInput
from tessera.quoting import literal, name
from tessera.store import queries
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

SAID = re.compile(r"\s*(\w+)\s*(!=|>=|<=|==?|>|<)\s*(.*?)\s*", re.DOTALL)
OPERATORS = {"=": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
AMONG = {"=": "in", "!=": "not_in"}
# Where a word is looked for: what somebody at the counter or on the telephone says of themselves.
NAMES = (
    "customer_id",
    "household_id",
    "prospect_id",
    "card_id",
    "email",
    "phone",
)
DIALLED = re.compile(r"\+?[\d\s()/.-]*\d[\d\s()/.-]*")
FULL_NAMES = "concat_ws(' ', given_name, family_name), concat_ws(' ', family_name, given_name)"
SHOWN = (
    "customer_id",
    "given_name",
    "family_name",
    "relationship_level",
    "tier",
    "receipts",
    "revenue",
    "currency",
    "last_purchase_on",
)


@dataclass(frozen=True)
class Question:
    """Who is looked for (all must hold), in which order (`-revenue`: downwards), and what is told."""

    where: Sequence[str] = ()
    word: str | None = None
    sort: Sequence[str] = ()
    columns: Sequence[str] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Found:
    """How many there are, and the first of them."""

    count: int
    customers: list[dict[str, Any]]


def find(ws: Workspace, asked: Question) -> Found:
    """Customers as of the last build; BadInput for a filter or a column that is none."""
    with ws.marts() as duck:
        types = {row[0]: row[1] for row in duck.execute("describe customers").fetchall()}
        duck.execute(queries("tessera.decide", "people.sql")["date_in"])
        duck.execute(f"set variable zone = {literal(ws.settings.timezone)}")
        filters = [_filter(text, types) for text in asked.where]
        _refuse_never_true(ws, filters)
        who = " and ".join([*_worded(asked.word), condition(filters, types)])
        shown = ", ".join(name(_known(one, types)) for one in asked.columns or SHOWN)
        order = ", ".join([*(_order(one, types) for one in asked.sort), "customer_id"])
        most = "" if asked.limit is None else f" limit {asked.limit:d}"
        count = duck.execute(f"select count(*) from customers where {who}").fetchone() or (0,)
        query = f"select {shown} from customers where {who} order by {order}{most}"
        return Found(count[0], named(duck.execute(query)))


def _worded(word: str | None) -> list[str]:
    said = " ".join((word or "").split())
    if not said:
        return []
    places = ", ".join(map(name, NAMES))
    found = f"contains(lower(concat_ws(chr(10), {places}, {FULL_NAMES})), lower({literal(said)}))"
    # A telephone number however it is spaced, by what follows the zeros that stand for a trunk or a country.
    number = re.sub(r"\D", "", said).lstrip("0") if DIALLED.fullmatch(said) else ""
    if number:
        found += f" or contains(regexp_replace(phone, '[^0-9]', '', 'g'), {literal(number)})"
    return [f"({found})"]


def _refuse_never_true(ws: Workspace, filters: Sequence[Filter]) -> None:
    """`tier=Gold` would find nobody, and `tier!=Gold` everybody."""
    known = few_values(ws.project) if filters else {}
    for one in filters:
        for said in never_true(one, known.get(one.field, ())):
            raise BadInput(said)


def _known(column: str, types: Mapping[str, str]) -> str:
    if column not in types:
        said = f"'{column}' is not a column of the customers mart."
        raise BadInput(said + nearest(column, types))
    return column


def _order(column: str, types: Mapping[str, str]) -> str:
    way = "desc" if column.startswith("-") else "asc"
    return f"{name(_known(column.removeprefix('-'), types))} {way} nulls last"


def _filter(text: str, types: Mapping[str, str]) -> Filter:
    """`tier=gold,silver`, `revenue>=10000`, `email=` (has none): what stands there by its column's type."""
    said = SAID.fullmatch(text)
    if said is None:
        raise BadInput(
            f"--where '{text}' is no filter; write it as tier=gold, tier!=gold,silver or revenue>=10000."
        )
    field, operator, written = said.groups()
    operator = "=" if operator == "==" else operator
    kind = kind_of(types[_known(field, types)])
    if not written and operator in AMONG:
        return Filter(field=field, is_null=operator == "=")
    if operator not in AMONG and kind in ("text", "boolean"):
        raise BadInput(
            f"--where '{text}': '{field}' is {kind}, which is not more or less; use = or !=."
        )
    values = [_value(one.strip(), kind, text) for one in written.split(",")]
    if len(values) == 1:
        return Filter.model_validate({"field": field, OPERATORS[operator]: values[0]})
    if operator not in AMONG:
        raise BadInput(f"--where '{text}': only = and != may be followed by several values.")
    return Filter.model_validate({"field": field, AMONG[operator]: values})


def _value(written: str, kind: str, text: str) -> object:
    try:
        if kind == "number":
            return float(written) if re.search(r"[.e]", written) else int(written)
        if kind == "boolean":
            return {"true": True, "false": False}[written.lower()]
        if kind == "date":
            return date.fromisoformat(written)
        if kind == "timestamp":
            day = as_day(written)
            return day if isinstance(day, date) else datetime.fromisoformat(written)
    except (ValueError, KeyError):
        wanted = {"boolean": "true or false", "number": "a number"}.get(kind, "a day: 2026-03-31")
        raise BadInput(f"--where '{text}': '{written}' is not {wanted}.") from None
    return written
