"""The report page: one self-contained HTML file, pictures included.

The pictures are a few rectangles whose text stays HTML: it keeps its size on a phone, follows the
reader's light or dark, is read out by screen readers, and the same figures give the same bytes.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from babel.numbers import format_compact_currency, format_compact_decimal, format_decimal
from jinja2 import Environment, PackageLoader, StrictUndefined

from tessera.report.figures import Figures, Rows, figures
from tessera.units import format_money, to_major
from tessera.workspace import Workspace

TICKS = 4  # about as many lines behind a column chart


@dataclass(frozen=True)
class ReportReport:
    """Where the page is, and how much it tells of."""

    page: str
    bytes: int
    campaigns: int
    candidates: int
    quarantined: int


def report(ws: Workspace) -> ReportReport:
    """Write `report/index.html` for the business date; the same day gives the same bytes."""
    found = figures(ws)
    text = render(found)
    page = ws.home.report / "index.html"
    _replace(page, text)
    return ReportReport(
        page=str(page),
        bytes=len(text.encode()),
        campaigns=len({row["campaign"] for row in found.decisions}),
        candidates=sum(row["candidates"] for row in found.decisions),
        quarantined=sum(row["quarantined"] for row in found.files),
    )


def render(found: Figures) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("tessera.report", "."),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number,
        money=format_money,
        words=lambda name: name.replace("_", " "),
        change=_change,
        share=_share,
    )
    currency = found.sales.currency if found.sales else ""
    environment.globals.update(
        ticks=ticks,
        largest=_largest,
        by=_by,
        show_money=lambda amount: _compact_money(amount, currency),
        show_number=_compact,
    )
    return environment.get_template("page.html").render(f=found)


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


def _largest(rows: Rows, column: str) -> int:
    return max((row[column] for row in rows), default=0)


def _by(rows: Rows, column: str) -> dict[str, Rows]:
    """The rows of each value of `column`, in their order."""
    groups: dict[str, list[object]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups  # type: ignore[return-value]


def _replace(page: Path, text: str) -> None:
    """Write beside, then rename: a reader never sees half a page."""
    page.parent.mkdir(parents=True, exist_ok=True)
    beside = page.with_name(f".{page.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(page)
