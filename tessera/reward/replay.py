"""Past receipts under other rules: a scratch ledger is filled as if the programme had begun then."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tessera import clock
from tessera.errors import BadInput
from tessera.reward import earning, ledger, night
from tessera.reward.earning import KNOWN
from tessera.reward.liability import totals
from tessera.reward.night import Night
from tessera.reward.posting import STEPS
from tessera.reward.programme import Programme
from tessera.reward.terms import add_months
from tessera.store import Store
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Replayed(Night):
    """A night of a ledger that began with the receipts of `first`."""

    first: datetime

    def marts(self) -> DuckDBPyConnection:
        duck = super().marts()
        earning.begin_with(duck, self.first)
        return duck


@dataclass(frozen=True)
class Outcome:
    """What a programme would have done; points, but for members and tiers."""

    members: int
    issued: int
    expired: int
    clawed_back: int
    outstanding: int
    ending_within_a_year: int
    tiers: dict[str, int]  # members in each at the end


def replay(ws: Workspace, programme: Programme, first: date, last: date) -> Outcome:
    """The receipts of `first` to `last`, inclusive, posted span by span into a ledger that is
    thrown away. Redemptions are not replayed: members would have had other points to spend. BadInput
    where the span ends before it begins."""
    if last < first:
        raise BadInput(f"The span ends on {last}, before it begins on {first}; turn the two round.")
    with tempfile.TemporaryDirectory(prefix="tessera-replay-") as folder:
        store = Store.open(f"sqlite:///{Path(folder) / 'store.sqlite'}")
        begin = clock.parse_as_of(first.isoformat(), ws.settings.timezone)
        _begin(ws, store, programme, begin)
        for day in _nights(programme, first, last):
            at = clock.parse_as_of(day.isoformat(), ws.settings.timezone)
            later = replace(ws, as_of=at)
            object.__setattr__(later, "store", store)
            night.run(Replayed(later, programme, begin), STEPS)
        found = _outcome(store, programme.programme, last)
        store.close()
    return found


def _begin(ws: Workspace, store: Store, programme: Programme, at: datetime) -> None:
    """Receipts before `at` count as looked at."""
    with closing(ws.marts()) as duck, store.write() as connection:
        ledger.advance(connection, programme.programme, at, earning.files(duck))


def _nights(programme: Programme, first: date, last: date) -> Iterator[date]:
    """The first of each month, or every week, and the morning after the last day. A night's gifts look
    back a fortnight, and `first` is where the programme began."""
    if _asks_often(programme):
        yield from (first + timedelta(days=day) for day in range(13, (last - first).days + 1, 7))
    else:
        day = add_months(first.replace(day=1), 1)
        while day <= last:
            yield day
            day = add_months(day, 1)
    yield last + timedelta(days=1)


def _asks_often(programme: Programme) -> bool:
    """Whether it matters on which night something came: gifts are given on their day, and a tier that
    earns otherwise begins with a night."""
    return (
        bool(programme.gifts)
        or any(rule.only.tiers for rule in programme.earn_rules)
        or any(one.factor != 1 for one in (programme.tiers.levels if programme.tiers else ()))
    )


def _outcome(store: Store, programme: str, last: date) -> Outcome:
    found = totals(store, programme, _month_end(add_months(last, 12)).isoformat())
    with store.read() as connection:
        tiers = connection.arrow(
            ledger.SQL["known_tier"], KNOWN["known_tier"], programme=programme
        )["tier"].to_pylist()
    counts = {name or "none": tiers.count(name) for name in sorted(set(tiers))}
    return Outcome(**found, tiers=counts)


def _month_end(day: date) -> date:
    return add_months(day.replace(day=1), 1) - timedelta(days=1)
