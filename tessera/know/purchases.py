"""Purchases from a plain file, summed up per customer as of any day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from tessera.errors import BadInput
from tessera.know import table
from tessera.know.fitting import Floats
from tessera.know.history import Calendar, calendar
from tessera.store.queries import queries

SQL = queries("tessera.know", "purchases.sql")
FORMATS = ["%Y%m%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%Y/%m/%d", "%Y/%m/%d %H:%M"]  # beside ISO's


@dataclass(frozen=True)
class Columns:
    """What the file calls its columns, and how it writes dates."""

    customer: str = "customer_id"
    date: str = "purchased_at"
    amount: str = "amount"
    date_format: str | None = None


@dataclass(frozen=True)
class Customers:
    """Who bought up to a day: their histories, and what they did in the days after."""

    calendar: Calendar
    actual: Floats  # purchases
    mean_amount: Floats  # of the repeat purchases
    actual_amount: Floats
    log_gaps: float  # sum of the logarithms of all gaps, in days
    gaps: int

    @property
    def x(self) -> Floats:
        return self.calendar.x[self.calendar.inverse]


class Purchases:
    """One file's purchases; read once, summed up as of several days."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        self._connection = duckdb.connect()
        self._read(columns)
        span = self._connection.sql(SQL["span"]).fetchall()[0]
        self.first, self.last, self.without_customer, self.returns = span
        if self.first is None:
            raise BadInput(f"{path}: no row has a customer and an amount of 0 or more.")

    def _read(self, columns: Columns) -> None:
        connection = self._connection
        names = {"customer": columns.customer, "date": columns.date, "amount": columns.amount}
        table.load(connection, self.path, names.values())
        parsed = _parsed(table.quoted(columns.date), columns.date_format)
        text = SQL["typed"].replace("$parsed", parsed)
        for word, name in names.items():
            text = text.replace(f"${word}", table.quoted(name))
        try:
            connection.execute(text)
        except duckdb.InvalidInputException:
            raise BadInput(
                f"--date-format '{columns.date_format}' is not one; say '%d/%m/%Y'."
            ) from None
        for row, field, value in connection.sql(SQL["unreadable"]).fetchall():
            kind = {"$date": (columns.date, "a date; write 2026-03-31 or give --date-format")}
            name, what = kind.get(field, (columns.amount, "a number; write 12.50"))
            raise BadInput(f"{self.path}: row {row}: '{name}' is '{value}', which is not {what}.")
        connection.execute(SQL["days"])

    def upto(self, end: date, until: date) -> Customers:
        """Everybody who had bought by `end`, and what they did after it up to `until`."""
        given = [end, end, end, end, end, until, end, end, until, end]
        found = self._connection.execute(SQL["customers"], given).fetchnumpy()
        ago = self._connection.execute(SQL["repeats_ago"], {"end": end}).fetchnumpy()
        days = (end - self.first).days + 1
        repeats = np.bincount(
            _plain(ago["ago"]).astype(int), _plain(ago["purchases"]).astype(float), days
        ).astype(float)
        gaps = self._connection.execute(SQL["squeezed_gaps"], [end]).fetchall()[0]
        x, last, first = (_plain(found[name]) for name in ("x", "since_last", "since_first"))
        return Customers(
            calendar(x, last, first, repeats),
            _plain(found["actual"]).astype(float),
            _plain(found["mean_amount"]).astype(float),
            _plain(found["actual_amount"]).astype(float),
            *gaps,
        )


def _plain(column: Any) -> NDArray[Any]:
    return np.ma.getdata(column) if np.ma.isMaskedArray(column) else np.asarray(column)


def _parsed(column: str, date_format: str | None) -> str:
    text = f"cast({column} as varchar)"
    if date_format:
        return f"try_strptime({text}, '{date_format.replace(chr(39), chr(39) * 2)}')"
    formats = ", ".join(f"'{one}'" for one in FORMATS)
    return f"coalesce(try_cast({text} as timestamp), try_strptime({text}, [{formats}]))"
