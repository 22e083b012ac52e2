"""What the suites are made of: rules over a column, each with its name and a sentence for people.

A rule is a Great Expectations expectation. Its `meta` says which rule of which column it is: the
reason a bad row is quarantined with. A rule that Great Expectations has no words for on DuckDB is
a `BadRows`: a query that finds the rows that break it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast
from zoneinfo import available_timezones

import great_expectations.expectations as gxe
from babel.numbers import list_currencies
from great_expectations import ExpectationSuite
from great_expectations.expectations.expectation import Expectation
from pydantic import ValidationError

from expectations.bad_rows import BadRows
from tessera.documents import nearest
from tessera.errors import BadInput
from tessera.feeds import FEEDS, Feed
from tessera.land.verdict import Limits
from tessera.plain import reason
from tessera.quoting import literal

Bound = int | float | str  # a date is written as text
BILLION = 10**9
OLDEST = "1990-01-01"
ROW = ("file_id", "_row_number")  # what identifies a row of a batch of files
CHANNELS = (
    *("email", "sms", "push", "app", "whatsapp", "chat", "social", "web"),
    *("print", "post", "phone", "store", "event", "other"),
)
# A domain of two labels or more and no spaces, list separators or quotes: what mailers take.
# 2.90E+12, of what was 2900000012345. Statistics programs write 4.0128e+10, which is all of 40128000000.
ROUNDED = r"\d([.,]\d+)?E\+\d+"
EMAIL = r"""[^\s@,;:<>()"\[\]]{1,64}@[^\s@,;:<>()"\[\].]+(\.[^\s@,;:<>()"\[\].]+)+"""


def _as(rule: str, column: str, sentence: str) -> dict[str, Any]:
    return {"meta": {"rule": rule, "column": column}, "description": f"{column} {sentence}"}


def bad_rows(rule: str, column: str, sentence: str, *, query: str) -> Expectation:
    """A rule by its SQL: `query` selects file_id and _row_number of bad rows from `$batch`."""
    escaped = query.replace("{", "{{").replace("}", "}}").replace("$batch", "{batch}")
    return BadRows(unexpected_rows_query=escaped, column=column, **_as(rule, column, sentence))


def where(rule: str, column: str, sentence: str, *, bad: str) -> Expectation:
    """A rule by the SQL condition that bad rows meet; a null condition is not met."""
    return bad_rows(
        rule, column, sentence, query=f"select {', '.join(ROW)} from $batch where {bad}"
    )


def not_null(column: str) -> Expectation:
    """Every row has a value."""
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column, **_as("not_null", column, "is never missing")
    )


def types() -> Expectation:
    """One bad row per value that is not of its column's type; the query names the column."""
    query = (
        f'select {", ".join(ROW)}, unnest(map_keys(_cast_errors)) as "column" '
        "from $batch where _cast_errors is not null"
    )
    sentence = "holds no value that is not of its column's type, and no unreadable row"
    return bad_rows("type", "_cast_errors", sentence, query=query)


def not_rounded(feed: Feed) -> list[Expectation]:
    """One bad row per identifier or telephone number that a spreadsheet has cut to a few digits, of which
    many others are then the same; the query names the column."""
    names = [name for name in feed.columns if name.endswith("_id") or name == "phone"]
    if not names:
        return []
    given = " or ".join(f"contains({name}, '+')" for name in names)  # far quicker than the pattern
    rounded = ", ".join(
        f"if(regexp_full_match({name}, {literal(ROUNDED)}), {literal(name)}, null)"
        for name in names
    )
    query = f"""
        select {", ".join(ROW)}, "column"
        from (select {", ".join(ROW)}, unnest([{rounded}]) as "column" from $batch where {given})
        where "column" is not null"""
    sentence = "and other identifiers are none that a spreadsheet has rounded, such as 2.90E+12"
    return [bad_rows("rounded", names[0], sentence, query=query)]


def unique(*key: str) -> Expectation:
    """The second and later rows of a key in one file. Rows are grouped by a hash of the key, which
    takes a third of the time and memory of grouping by the key; the few found are looked at again."""
    given = " and ".join(f"{column} is not null" for column in key)
    names = ", ".join(key)
    query = f"""
        with suspects as (
            select hash(file_id, {names}) as suspect from $batch
            where {given} group by suspect having count(*) > 1
        )
        select {", ".join(ROW)} from $batch
        where {given} and hash(file_id, {names}) in (select suspect from suspects)
        qualify row_number() over (partition by file_id, {names} order by _row_number) > 1"""
    rest = f", together with {', '.join(key[1:])}" if key[1:] else ""
    return bad_rows("duplicate_key", key[0], f"is not repeated in a file{rest}", query=query)


def in_set(column: str, *values: str) -> Expectation:
    """A value is one of these; a missing one is none of this rule's."""
    return gxe.ExpectColumnValuesToBeInSet(
        column=column,
        value_set=list(values),
        **_as("in_set", column, f"is one of {', '.join(values)}"),
    )


def between(
    column: str, low: Bound | None = None, high: Bound | None = None, *, rule: str = "range"
) -> Expectation:
    """Both ends included."""
    ends = []
    if low is not None:
        ends.append(f"from {low} on" if isinstance(low, str) else f"at least {low:,}")
    if high is not None:
        ends.append(f"up to {high}" if isinstance(high, str) else f"at most {high:,}")
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=low,  # type: ignore[arg-type]  # a date as text is taken too
        max_value=high,  # type: ignore[arg-type]
        **_as(rule, column, f"is {', '.join(ends)}"),
    )


def not_after(column: str, parameter: str, *, rule: str, sentence: str) -> Expectation:
    """At most what the judge says `parameter` is for these files."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, max_value={"$PARAMETER": parameter}, **_as(rule, column, sentence)
    )


def happened(column: str) -> list[Expectation]:
    """A time in the past, but not before anybody had a till that could write it."""
    return [
        between(column, OLDEST, rule="too_old"),
        not_after(
            column,
            "day_after_landing",
            rule="future",
            sentence="is no later than a day after the file was landed",
        ),
    ]


def born(column: str) -> list[Expectation]:
    """A day since 1900, and no later than the file was landed."""
    sentence = "is not after the file was landed"
    return [
        between(column, "1900-01-01"),
        not_after(column, "landed_on", rule="range", sentence=sentence),
    ]


def ordered(first: str, last: str) -> Expectation:
    """What ends does not end before it begins; found of `last`."""
    return where("range", last, f"is not before {first}", bad=f"{last} < {first}")


def signed(column: str) -> Expectation:
    """Sales give and returns take back; nought is neither."""
    return where(
        "sign",
        column,
        "is not below nought in a sale nor above it in a return",
        bad=f"(kind = 'sale' and {column} < 0) or (kind = 'return' and {column} > 0)",
    )


def matches(column: str, sentence: str, *, regex: str) -> Expectation:
    """The whole value is written like `regex` (RE2, as DuckDB has it)."""
    bad = f"not regexp_full_match({column}, {literal(regex)})"
    return where("format", column, sentence, bad=bad)


def email(column: str = "email") -> Expectation:
    return matches(column, "is one address: local@domain.tld", regex=EMAIL)


def language(column: str = "language") -> Expectation:
    tag = r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*"
    return matches(column, "is a BCP 47 tag, such as el or pt-BR", regex=tag)


def country(column: str = "country") -> Expectation:
    return matches(column, "is an ISO 3166 code of two capitals", regex="[A-Z]{2}")


def currency(column: str = "currency") -> Expectation:
    known = _listed(list_currencies())
    sentence = "is an ISO 4217 code of three capitals"
    return where("format", column, sentence, bad=f"{column} not in ({known})")


def timezone(column: str = "timezone") -> Expectation:
    known = _listed(available_timezones() - {"localtime", "posixrules", "Factory"})
    sentence = "is an IANA zone, such as Europe/Athens"
    return where("format", column, sentence, bad=f"{column} not in ({known})")


def _listed(names: set[str]) -> str:
    return ", ".join(map(literal, sorted(names)))


def suite(feed: str, *rules: Expectation | list[Expectation], **limits: object) -> ExpectationSuite:
    """The suite of `feed`: types, required values, whole identifiers and unique keys, which the feed
    itself says, and `rules`. `limits` are the feed's own file rules (see `tessera.land.verdict.Limits`). BadInput
    says what does not belong there."""
    if feed not in FEEDS:
        raise BadInput(f"there is no feed '{feed}'.{nearest(feed, FEEDS)}")
    its = FEEDS[feed]
    required = (not_null(column) for column in its.required)
    said = [types(), *required, *not_rounded(its), unique(*its.key)]
    own = [rule for found in rules for rule in (found if isinstance(found, list) else [found])]
    for rule in own:
        _refuse_foreign(rule, its)
    _refuse_unlimited(limits)
    return ExpectationSuite(
        feed,
        expectations=cast("list[Any]", said + own),
        meta={"limits": limits},
        notes=f"What a good row of {feed} is.",
    )


def _refuse_foreign(rule: object, feed: Feed) -> None:
    """BadInput unless it is a rule over a column that the feed has."""
    if not isinstance(rule, Expectation):
        raise BadInput(f"{rule!r} is no rule; write one of expectations/rules.py.")
    said = rule.meta or {}
    if not {"rule", "column"} <= said.keys():
        what = type(rule).__name__
        raise BadInput(
            f"{what} has no meta that says its rule and column, as those of rules.py do."
        )
    for column in (said["column"], getattr(rule, "column", None) or said["column"]):
        if column not in feed.columns:
            near = nearest(column, feed.columns)
            raise BadInput(f"'{column}' is not a column of {feed.name}.{near}")


def _refuse_unlimited(limits: Mapping[str, object]) -> None:
    """BadInput unless they are limits."""
    known = {field.name for field in fields(Limits)}
    for name in limits.keys() - known:
        raise BadInput(f"'{name}' is no limit.{nearest(name, known)}")
    try:
        Limits(**cast("Any", limits))
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{first['loc'][0]} cannot be {first['input']!r}: {reason(first)}."
        raise BadInput(said) from None
