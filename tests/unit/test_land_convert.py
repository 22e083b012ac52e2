"""What a text means in each type of a feed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.land.convert import NEEDED
from tessera.units import minor_exponent
from tests.landing import at


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(NEEDED)
        yield connection


def meaning(duck: duckdb.DuckDBPyConnection, macro: str, *values: object) -> object:
    """What `macro` makes of values that come from a table, as a file's do."""
    marks = ", ".join(f"${i}" for i in range(1, len(values) + 1))
    names = ", ".join(f"v{i}" for i in range(1, len(values) + 1))
    row = duck.execute(
        f"with given as (select * from (values ({marks})) as v({names})) "
        f"select {macro}({names}) from given",
        list(values),
    ).fetchone()
    return row and row[0]


@pytest.mark.parametrize(
    ("text", "digits", "minor"),
    [
        ("12.34", 2, 1234),
        ("-12.34", 2, -1234),
        ("+12.34", 2, 1234),
        (" 12.34 ", 2, 1234),
        (".5", 2, 50),
        ("5.", 2, 500),
        ("1e3", 2, 100_000),
        ("0.285", 2, 29),  # a float would say 28
        ("1.005", 2, 101),
        ("-0.285", 2, -29),  # half away from zero
        ("0.0049999999", 2, 0),  # rounded once
        ("4999999e-9", 2, 0),
        ("1000", 0, 1000),
        ("0.5", 0, 1),
        ("1.2345", 3, 1235),
        ("1.23455", 4, 12346),
        ("90000000000000000.00", 2, 9_000_000_000_000_000_000),
        ("123456789012.345", 2, 12_345_678_901_235),
        ("99999999999999999999", 2, None),
        ("1e400", 2, None),
        ("NaN", 2, None),
        ("inf", 2, None),
        ("", 2, None),
        ("1,234.56", 2, None),
        ("12,34", 2, None),
        ("1_000", 2, None),
        ("0x10", 2, None),
        ("€12", 2, None),
        ("12 34", 2, None),
    ],
)
def test_money_is_read_exactly_or_not_at_all(
    duck: duckdb.DuckDBPyConnection, text: str, digits: int, minor: int | None
) -> None:
    assert meaning(duck, "as_minor", text, digits) == minor


@settings(max_examples=150, deadline=None)
@given(
    amount=st.decimals(-(10**11), 10**11, allow_nan=False, places=9)
    | st.decimals(-1000, 1000, allow_nan=False, places=18),  # as many as are kept
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_money_is_what_decimal_arithmetic_says(
    duck: duckdb.DuckDBPyConnection, amount: Decimal, currency: str
) -> None:
    digits = {"EUR": 2, "JPY": 0, "KWD": 3}[currency]
    minor = int(amount.scaleb(digits).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert minor_exponent(currency) == digits
    assert meaning(duck, "as_minor", f"{amount:f}", digits) == minor


@pytest.mark.parametrize(("price", "digits"), [("12.34", 2), ("0.285", 2), ("7", 0), ("-1.005", 3)])
def test_typed_money_is_read_like_the_text_of_it(
    duck: duckdb.DuckDBPyConnection, price: str, digits: int
) -> None:
    from_text = meaning(duck, "as_minor", price, digits)
    assert meaning(duck, "exact_minor", Decimal(price), digits) == from_text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("-7", -7),
        ("7.0", 7),
        ("1e3", 1000),
        ("7.5", None),  # DuckDB's own cast says 8
        ("0x10", None),
        ("1_000", None),
        ("seven", None),
        ("9223372036854775807", 9_223_372_036_854_775_807),
        ("9223372036854775808", None),
    ],
)
def test_an_integer_is_whole(
    duck: duckdb.DuckDBPyConnection, text: str, number: int | None
) -> None:
    assert meaning(duck, "as_integer", text) == number


@pytest.mark.parametrize(
    ("text", "quantity"),
    [("2", "2.000"), ("0.4536", "0.454"), (" -1 ", "-1.000"), ("two", None), ("NaN", None)],
)
def test_a_quantity_has_three_decimals(
    duck: duckdb.DuckDBPyConnection, text: str, quantity: str | None
) -> None:
    assert meaning(duck, "as_quantity", text) == (quantity and Decimal(quantity))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-31", date(2026, 3, 31)),
        ("2026/3/1", date(2026, 3, 1)),
        (" 2026-03-31 ", date(2026, 3, 31)),
        ("2026-03-31 23:59:59", date(2026, 3, 31)),
        ("2026-02-31", None),
        ("31/02/2026", None),
        ("2026-03-31abc", None),  # DuckDB's own cast takes it
        ("infinity", None),
        ("epoch", None),
        ("20260331", None),
    ],
)
def test_a_date_is_a_day_of_the_calendar(
    duck: duckdb.DuckDBPyConnection, text: str, day: date | None
) -> None:
    assert meaning(duck, "as_date", text) == day


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01 10:00:00", "2026-03-01 08:00:00"),  # Athens
        ("2026-07-01T10:00", "2026-07-01 07:00:00"),
        ("2026-03-01", "2026-02-28 22:00:00"),
        ("2026-03-01 10:00:00.250", "2026-03-01 08:00:00.250000"),
        ("2026-03-01T10:00:00Z", "2026-03-01 10:00:00"),
        ("2026-03-01 10:00:00+05:30", "2026-03-01 04:30:00"),
        ("2026-03-01 10:00:00-05", "2026-03-01 15:00:00"),
        ("2026-03-01T10:00Z", "2026-03-01 10:00:00"),
        ("2026-03-01 10:00 -0330", "2026-03-01 13:30:00"),
        ("2026/3/1 9:00:00z", "2026-03-01 09:00:00"),
        ("2026-03-01 10:00:00+03:00:00", None),
        ("2026-03-29 03:30:00", "2026-03-29 01:30:00"),  # skipped: an hour later, 04:30
        ("2026-10-25 03:30:00", "2026-10-25 01:30:00"),  # twice: the second
        ("2026-02-31 10:00:00", None),
        ("infinity", None),
        ("epoch", None),
        ("noon", None),
        ("10:00", None),
    ],
)
def test_a_time_becomes_utc(duck: duckdb.DuckDBPyConnection, text: str, utc: str | None) -> None:
    found = meaning(duck, "as_moment", text, "Europe/Athens")
    assert found == (utc and at(utc))


@settings(max_examples=60, deadline=None)
@given(
    wall=st.datetimes(at("1980-01-01"), at("2035-01-01")),
    zone=st.sampled_from(["Europe/Athens", "America/New_York", "Asia/Tehran", "Europe/Riga"]),
)
def test_utc_and_back_is_the_wall_clock(
    duck: duckdb.DuckDBPyConnection, wall: datetime, zone: str
) -> None:
    wall = wall.replace(microsecond=0)
    found = meaning(duck, "as_moment", wall.isoformat(" "), zone)
    assert isinstance(found, datetime)
    back = found.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert back - wall in (
        timedelta(0),
        timedelta(minutes=30),
        timedelta(hours=1),
    )  # a skipped hour


@pytest.mark.parametrize(
    ("text", "truth"),
    [(t, True) for t in ("true", "TRUE", "1", "yes", "y", " t ")]
    + [(t, False) for t in ("false", "0", "No", "n", "F")]
    + [(t, None) for t in ("perhaps", "2", "")],
)
def test_a_boolean_is_yes_or_no(
    duck: duckdb.DuckDBPyConnection, text: str, truth: bool | None
) -> None:
    assert meaning(duck, "as_boolean", text) is truth


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  Anna ", "Anna"),
        ("Anna\u00a0", "Anna"),
        ("\tAnna\r\n", "Anna"),
        ("\ufeffAnna", "Anna"),
        ("Cafe\u0301", "Café"),
        ("Ελένη", "Ελένη"),
        ("مریم", "مریم"),
        ("Anna Maria", "Anna Maria"),
        ("An\0na", "Anna"),
        ("   ", None),
        ("", None),
    ],
)
def test_a_text_is_trimmed_normalised_and_never_empty(
    duck: duckdb.DuckDBPyConnection, text: str, clean: str | None
) -> None:
    assert meaning(duck, "as_text", text) == clean
