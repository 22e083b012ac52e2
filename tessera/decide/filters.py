"""Typed filters over the columns of the customers mart: no expressions, so nothing to inject."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from tessera.documents import Document, Instant, as_day, nearest
from tessera.quoting import constant

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | Instant | date


def _ordered(value: object) -> object:
    """A text of digits would be taken for seconds since 1970."""
    if isinstance(value, str):
        if not re.match(r"\d{4}-\d\d-\d\d", value):
            raise ValueError("write a number without quotes, or a date as 2026-12-31")
        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("there is no such day or time; write a date as 2026-12-31") from None
        return as_day(value)
    return value


Ordered = Annotated[
    StrictInt | StrictFloat | Instant | date,
    BeforeValidator(_ordered),
]

# A customer of whom the field is not known is not like any value, so `ne` and `not_in` let them in.
CONDITIONS = {
    "eq": "{field} = {value}",
    "ne": "{field} is distinct from {value}",
    "gt": "{field} > {value}",
    "gte": "{field} >= {value}",
    "lt": "{field} < {value}",
    "lte": "{field} <= {value}",
    "in": "list_contains({value}, {field})",
    "not_in": "not coalesce(list_contains({value}, {field}), false)",
}


class Filter(Document):
    """One field and what it must be; several operators must all hold."""

    field: str
    eq: Scalar | None = None
    ne: Scalar | None = None
    in_: tuple[Scalar, ...] | None = Field(None, alias="in", min_length=1)
    not_in: tuple[Scalar, ...] | None = Field(None, min_length=1)
    gt: Ordered | None = None
    gte: Ordered | None = None
    lt: Ordered | None = None
    lte: Ordered | None = None
    is_null: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Filter:
        if self.is_null is None and not any(True for _ in self.comparisons()):
            raise ValueError("say what it must be: eq, ne, in, not_in, gt, gte, lt, lte or is_null")
        return self

    def comparisons(self) -> Iterator[tuple[str, object]]:
        """Each operator with its value."""
        for name in CONDITIONS:
            value = getattr(self, "in_" if name == "in" else name)
            if value is not None:
                yield name, list(value) if isinstance(value, tuple) else value


def condition(filters: Sequence[Filter], columns: Mapping[str, str] | None = None) -> str:
    """The filters as one SQL condition, over `columns` (name -> SQL type) of the pass."""
    said = ["true"]
    for one in filters:
        field = f'customers."{one.field}"'
        kind = kind_of((columns or {}).get(one.field, ""))
        for operator, value in one.comparisons():
            its = DAY.format(field=field) if kind == "timestamp" and _is_day(value) else field
            said.append(CONDITIONS[operator].format(field=its, value=constant(value)))
        if one.is_null is not None:
            said.append(f"{field} is {'' if one.is_null else 'not '}null")
    return " and ".join(said)


# A day without a time is one of the shop's calendar, as everywhere else.
DAY = "date_in({field}, getvariable('zone'))"


def _is_day(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_day, value))
    return isinstance(value, date) and not isinstance(value, datetime)


def kind_of(sql_type: str) -> str:
    """What sort of value a column holds: text, number, boolean, timestamp or date."""
    words = {
        "timestamp": ("timestamp", "datetime"),
        "date": ("date",),
        "boolean": ("bool",),
        "number": ("int", "decimal", "numeric", "double", "float", "real"),
    }
    said = sql_type.lower()
    return next((kind for kind, parts in words.items() if any(p in said for p in parts)), "text")


PYTHON = {
    "text": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "date": (date,),
    "timestamp": (date,),  # datetime is one
}


def mistakes(one: Filter, columns: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the filter, given the mart's columns (name -> SQL type)."""
    if one.field not in columns:
        yield f"'{one.field}' is not a column of the customers mart.{nearest(one.field, columns)}"
        return
    kind = kind_of(columns[one.field])
    for operator, value in one.comparisons():
        if operator in ("gt", "gte", "lt", "lte") and kind in ("text", "boolean"):
            yield f"'{one.field}' is {kind}, which is not more or less; use eq, ne, in or not_in."
        elif not all(_fits(item, kind) for item in (value if isinstance(value, list) else [value])):
            yield f"'{one.field}' is a {kind}; '{operator}: {_shown(value)}' is not."


def never_true(one: Filter, known: Sequence[str]) -> Iterator[str]:
    """Why nobody passes the filter, or a part of it tells nobody apart: a value that its field, of which
    these are `known`, never has; bounds that leave nothing between them."""
    for operator, value in one.comparisons():
        for item in value if isinstance(value, list) else [value]:
            if known and operator in ("eq", "ne", "in", "not_in") and item not in known:
                yield f"'{one.field}' is never '{item}'.{nearest(item, known)}"
    least, most = (one.gt if one.gte is None else one.gte), (one.lt if one.lte is None else one.lte)
    if type(least) is type(most) and least is not None and least > most:  # type: ignore[operator]
        yield f"'{one.field}' is never {_shown(least)} or more and {_shown(most)} or less at once."


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, datetime) and kind == "date":
        return False
    return isinstance(value, PYTHON[kind])


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
