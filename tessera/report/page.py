"""The report page: one self-contained HTML file, pictures included.

The pictures are a few rectangles whose text stays HTML: it keeps its size on a phone, follows the
reader's light or dark, is read out by screen readers, and the same figures give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from babel.numbers import (
    format_compact_currency,
    format_compact_decimal,
    format_currency,
    format_decimal,
)
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from tessera.report.alerts import Alert, alerts
from tessera.report.figures import Figures, figures
from tessera.report.morning import Rows
from tessera.units import format_money, to_major
from tessera.warehouse.inputs import replace_text
from tessera.workspace import Workspace

LARGE = 1_000  # of a currency's major unit
TICKS = 4  # about as many lines behind a column chart


@dataclass(frozen=True)
class ReportReport:
    """Where the page is, and how much it tells of."""

    page: str
    bytes: int
    campaigns: int
    candidates: int
    quarantined: int
    alerts: list[Alert]


def report(ws: Workspace) -> ReportReport:
    """Write `report/index.html` for the business date, and its short form beside it as Markdown; the
    same day gives the same bytes."""
    found = figures(ws)
    text = render(found)
    page = ws.home.report / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    replace_text(page, text)
    replace_text(page.with_name("index.md"), render(found, "page.md"))
    return ReportReport(
        page=str(page),
        bytes=len(text.encode()),
        campaigns=len({row["campaign"] for row in found.decisions}),
        candidates=sum(row["candidates"] for row in found.decisions),
        quarantined=sum(row["quarantined"] for row in found.files),
        alerts=alerts(found),
    )


def render(found: Figures, template: str = "page.html") -> str:
    """The page as text, or the short form of it that Prefect's pages can show."""
    currency = found.sales.currency if found.sales else ""
    return (
        _environment()
        .get_template(template)
        .render(
            f=found,
            alerts=alerts(found),
            show_money=lambda amount: _compact_money(amount, currency),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tessera.report", "."),
        undefined=StrictUndefined,
        autoescape=select_autoescape(("html",)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(
        ticks=ticks,
        largest=_largest,
        by=_by,
        scale_of=_scale,
        by_measure=_by_measure,
        months_between=_months_between,
        show_number=_compact,
    )
    return environment


def ticks(largest: int) -> list[int]:
    """Round numbers from 0 up to at least `largest`, a few of them."""
    if largest <= 0:
        return [0, 1]
    magnitude = 10 ** math.floor(math.log10(largest / TICKS))
    steps = (max(1, round(magnitude * factor)) for factor in (1, 2, 2.5, 5, 10))
    step = next(step for step in steps if step * TICKS >= largest)
    return list(range(0, math.ceil(largest / step) * step + 1, step))


def _number(amount: float) -> str:
    return format_decimal(amount, locale="en")


def _compact(amount: int) -> str:
    return format_compact_decimal(amount, locale="en", fraction_digits=1)


def _compact_money(amount: int, currency: str) -> str:
    major = to_major(amount, currency)
    return format_compact_currency(major, currency, locale="en", fraction_digits=1)


def _change(now: int, before: int) -> str:
    """How much more than the week before; nothing to say when there was nothing before."""
    return f"{round(100 * (now - before) / before):+d} % on the week before" if before else ""


def _share(part: int, whole: int) -> str:
    """A percentage that never rounds something to nothing, or not quite all to all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 1 or 99 < percent < 100:  # noqa: PLR2004 -- per cent
        return f"{percent:.1f} %"
    return f"{percent:.0f} %"


def _whole(amount: float, currency: str) -> str:
    """Money, without the cents that nobody reads of a large amount."""
    major = to_major(round(amount), currency)
    if abs(major) < LARGE:
        return format_money(round(amount), currency)
    return format_currency(major, currency, "¤#,##0", locale="en", currency_digits=False)


def _signed(amount: float, currency: str) -> str:
    return ("+" if round(amount) > 0 else "") + _whole(amount, currency)


def _growth(now: int, before: int) -> str:
    """The change on before, where that says something."""
    return f"{round(100 * (now - before) / before):+d} %" if before > 0 else ""


def _by_measure(measure: str, currency: str) -> Callable[..., str]:
    """How a figure of a campaign's results is written: shares for conversions, money for the rest."""

    def show(amount: float, is_difference: bool = True) -> str:
        if measure == "converted":
            return f"{100 * amount:+.1f} pp" if is_difference else f"{100 * amount:.1f} %"
        return _signed(amount, currency) if is_difference else _whole(amount, currency)

    return show


def _scale(judged: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """From the lowest to the highest end of what is drawn, nothing included."""
    ends = [end for one in judged for end in one["first"]["measures"][-1]["always"]]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    return (low, high) if high > low else (-1.0, 1.0)


def _months_between(first: date, last: date) -> int:
    return 12 * (last.year - first.year) + last.month - first.month


def _cell(text: str | None) -> str:
    """Text of others in a Markdown table."""
    return (text or "").replace("|", "/").replace("\n", " ")


def _largest(rows: Rows, column: str) -> int:
    return max((row[column] for row in rows), default=0)


def _by(rows: Rows, column: str) -> dict[str, Rows]:
    """The rows of each value of `column`, in their order."""
    groups: dict[str, list[object]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups  # type: ignore[return-value]


FILTERS: Mapping[str, Callable[..., str]] = {
    "number": _number,
    "money": format_money,
    "words": lambda name: name.replace("_", " "),
    "change": _change,
    "share": _share,
    "whole": _whole,
    "signed": _signed,
    "growth": _growth,
    "cell": _cell,
}
