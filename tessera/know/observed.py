"""What can be said where nobody was left alone by lot: how the two groups differed before already.

Shops write to their better customers, so those spend more afterwards too. That is selection, and no
arithmetic turns it into an effect; the change of one group less the change of the other is shown for
what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tessera import quoting
from tessera.errors import BadInput
from tessera.home import Home
from tessera.know import table
from tessera.know.fitting import Floats, Z
from tessera.know.lift import FEWEST, Interval
from tessera.store import queries
from tessera.warehouse.inputs import replace_text

SQL = queries("tessera.know", "observed.sql")
DAYS = 28  # before, and after


@dataclass(frozen=True)
class Observed:
    """Exposed and unexposed people's revenue in so many days before and after; minor units."""

    campaign: str  # '*': all campaigns of a file together
    starts_on: str | None
    days: int
    exposed: int
    unexposed: int
    exposed_before: float
    exposed_after: float
    unexposed_before: float
    unexposed_after: float
    before: float  # exposed less unexposed
    before_interval: Interval
    after: float
    change: float  # what exposed changed by, less what unexposed did
    change_interval: Interval
    is_selection: bool  # whether they differed before
    says: str


@dataclass(frozen=True)
class Columns:
    """What the columns of a file are called."""

    campaign: str = "campaign"
    customer: str = "customer_id"
    starts_on: str = "starts_on"


def own(duck: duckdb.DuckDBPyConnection, campaign: str, today: date) -> Observed | None:
    """A campaign of ours: who was written to, and who was a candidate but was not."""
    last = today - timedelta(days=DAYS)
    given = {"campaign": campaign, "last": last, "days": DAYS}
    rows = duck.execute(SQL["own"], given).to_arrow_table()
    return _compare(campaign, None, rows, DAYS)


def load(duck: duckdb.DuckDBPyConnection, path: Path, dates: Path | None, its: Columns) -> None:
    """Make the table `exposure` (campaign, customer_id, starts_on) of a file, the dates maybe in a
    second one by campaign; BadInput for what is missing or no date."""
    first = [its.campaign, its.customer] + ([] if dates else [its.starts_on])
    table.load(duck, path, first)
    if dates:
        duck.execute("create temp table exposed as from given")
        table.load(duck, dates, [its.campaign, its.starts_on])
    names = {name: quoting.name(column) for name, column in asdict(its).items()}
    query = SQL["with_dates" if dates else "in_one"].format(**names)
    duck.execute(f"create temp table exposure as {query}")
    bad = duck.execute(SQL["undated"]).fetchone()
    if bad:
        raise BadInput(
            f"{dates or path}: campaign '{bad[0]}' has no date in '{its.starts_on}'; write 2026-03-31."
        )


def past(duck: duckdb.DuckDBPyConnection, days: int) -> list[Observed]:
    """Every campaign of `exposure`, and all of them together; needs `customers` and `sold`."""
    rows = duck.execute(SQL["past"], {"days": days}).to_arrow_table()
    found = []
    names = np.asarray(rows["campaign"].to_pylist(), dtype=str)
    for name in sorted(set(names.tolist()), key=_natural):
        its = rows.filter(pa.array(names == name))
        found.append(_compare(name, str(its["starts_on"][0]), its, days))
    return [one for one in [_compare("*", None, rows, days), *found] if one is not None]


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (1 << 40, name)


def _compare(campaign: str, starts_on: str | None, rows: pa.Table, days: int) -> Observed | None:
    exposed = np.asarray(rows["is_exposed"].to_pylist(), dtype=bool)
    if min(exposed.sum(), (~exposed).sum()) < FEWEST:
        return None
    before, after = rows["before"].to_numpy(), rows["after"].to_numpy()
    _, person = np.unique(np.asarray(rows["customer_id"].to_pylist(), str), return_inverse=True)
    gap, gap_interval = _difference(before, exposed, person)
    change, change_interval = _difference(after - before, exposed, person)
    in_means = [float(x[who].mean()) for who in (exposed, ~exposed) for x in (before, after)]
    is_selection = not gap_interval[0] <= 0 <= gap_interval[1]
    return Observed(
        campaign=campaign,
        starts_on=starts_on,
        days=days,
        exposed=int(exposed.sum()),
        unexposed=int((~exposed).sum()),
        **dict(zip(MEANS, in_means, strict=True)),
        before=gap,
        before_interval=gap_interval,
        after=in_means[1] - in_means[3],
        change=change,
        change_interval=change_interval,
        is_selection=is_selection,
        says=_says(gap, is_selection),
    )


MEANS = ("exposed_before", "exposed_after", "unexposed_before", "unexposed_after")


def _difference(y: Floats, exposed: np.ndarray, person: np.ndarray) -> tuple[float, Interval]:
    """Of the means, with an interval that counts each person once, however many rows they have."""
    found = float(y[exposed].mean() - y[~exposed].mean())
    pull = np.where(
        exposed,
        (y - y[exposed].mean()) / exposed.sum(),
        -(y - y[~exposed].mean()) / (~exposed).sum(),
    )
    error = float(np.sqrt((np.bincount(person, pull) ** 2).sum()))
    return found, (found - Z * error, found + Z * error)


def _says(gap: float, is_selection: bool) -> str:
    if not is_selection:
        return (
            "The two did not differ before, but nobody was left alone by lot: no cause can be told."
        )
    more = "more" if gap > 0 else "less"
    return (
        f"Selection: the exposed spent {more} before it began already, so the difference afterwards is "
        "not its effect."
    )


def keep(home: Home, found: Sequence[Observed]) -> None:
    """Keep the figures, which name nobody, for the report."""
    home.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(one) for one in found], indent=1)
    replace_text(home.results / "past.json", text)


def kept(home: Home) -> list[Observed]:
    """What `keep` kept; nothing when there is nothing."""
    try:
        text = (home.results / "past.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return list(_read(json.loads(text)))


def _read(rows: Sequence[dict[str, Any]]) -> Iterator[Observed]:
    for row in rows:
        its: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        yield Observed(**its)
