"""Purchases from a plain file, summed up per customer as of any day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from tessera import quoting
from tessera.errors import BadInput
from tessera.know import table
from tessera.know.fitting import Floats
from tessera.know.history import Calendar, calendar
from tessera.store.queries import queries

SQL = queries("tessera.know", "purchases.sql")
MOST = 1e15  # of an amount: beyond it a double knows no cents, and squares of it soon overflow
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

    ids: NDArray[Any]
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
    """Purchases by day, in a connection that has them as `days`; summed up as of several days."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, where: object) -> None:
        self._connection = connection
        self.where = where
        self.first, self.last = connection.sql(SQL["span"]).fetchall()[0]
        if self.first is None:
            raise BadInput(f"{where}: no row has a customer and an amount of 0 or more.")

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
            _plain(found["customer_id"]),
            calendar(x, last, first, repeats),
            _plain(found["actual"]).astype(float),
            _plain(found["mean_amount"]).astype(float),
            _plain(found["actual_amount"]).astype(float),
            *gaps,
        )

    def by_week(self, end: date, until: date) -> dict[int, tuple[int, float]]:
        """Purchases and money of the weeks after `end`, from 0, of who had bought by then."""
        rows = self._connection.execute(SQL["weeks"], {"end": end, "until": until}).fetchall()
        return {week: (number, float(amount)) for week, number, amount in rows}

    def usual_amount(self, end: date) -> tuple[float, float]:
        """The mean amount of a purchase up to `end`, and the spread around it as a share of it."""
        [found] = self._connection.execute(SQL["usual_amount"], [end]).fetchall()
        mean, spread = (float(one or 0) for one in found)
        return mean, spread

    def thinned(self, most: int) -> tuple[Purchases, float]:
        """The purchases of so many customers at most, evenly spread, and how many each stands for."""
        [people] = self._connection.sql(SQL["people"]).fetchone() or [0]
        every = max(1, -(-people // most))
        rows = self._connection.execute(SQL["thinned"], {"every": every}).to_arrow_table()
        beside = duckdb.connect()
        beside.register("given", rows)
        beside.execute("create table days as from given")
        return Purchases(beside, self.where), people / max(1, -(-people // every))


def read(path: Path, columns: Columns) -> tuple[Purchases, dict[str, int]]:
    """The purchases of a file, and how many of its rows are none."""
    connection = duckdb.connect()
    names = {"customer": columns.customer, "date": columns.date, "amount": columns.amount}
    table.load(connection, path, names.values())
    text = SQL["typed"].replace("$parsed", _parsed(quoting.name(columns.date), columns.date_format))
    for word, name in names.items():
        text = text.replace(f"${word}", quoting.name(name))
    try:
        connection.execute(text)
    except duckdb.InvalidInputException:
        raise BadInput(
            f"--date-format '{columns.date_format}' is not one; say '%d/%m/%Y'."
        ) from None
    _refuse_unreadable(connection, path, columns)
    connection.execute(SQL["days"])
    nobodys, returns = connection.sql(SQL["left_out"]).fetchall()[0]
    left_out = {"without_customer": nobodys, "negative_amount": returns}
    return Purchases(connection, path), left_out


def _refuse_unreadable(connection: duckdb.DuckDBPyConnection, path: Path, columns: Columns) -> None:
    dates = "a date from 1900 to 2199; write 2026-03-31 or give --date-format"
    kind = {
        "$date": (columns.date, dates),
        "$amount": (columns.amount, "a number up to 1e15; write 12.50"),
    }
    for row, field, value in connection.execute(SQL["unreadable"], {"most": MOST}).fetchall():
        name, what = kind[field]
        raise BadInput(f"{path}: row {row}: '{name}' is '{value}', which is not {what}.")


def _plain(column: Any) -> NDArray[Any]:
    return np.ma.getdata(column) if np.ma.isMaskedArray(column) else np.asarray(column)


def _parsed(column: str, date_format: str | None) -> str:
    if date_format:
        return f"try_strptime({column}, {quoting.literal(date_format)})"
    formats = quoting.constant(FORMATS)
    return f"coalesce(try_cast({column} as timestamp), try_strptime({column}, {formats}))"
