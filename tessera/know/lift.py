"""What a campaign was worth: treated less control, with intervals, also for who looks every day.

Spending before the campaign explains much of the spending after it and nothing of who was treated, so
taking out what it explains (CUPED) narrows the interval and moves nothing. The `always` interval is a
confidence sequence: it holds at every look at once, so stopping at the first difference is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import erfc, sqrt
from pathlib import Path

import duckdb
import numpy as np

from tessera import looks, quoting
from tessera.errors import BadInput
from tessera.know import table
from tessera.know.fitting import Floats, Z

ALPHA = 0.05
FEWEST = 30  # people per arm
PLANNED = 10_000
TRIED = "try_cast({0} as double), try_cast({0} as boolean)::double"  # true and false are 1 and 0
MOST = 1e15  # of an outcome: beyond it a double knows no cents, and squares of it soon overflow

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """Of means per person, first less second; p is two-sided, of one look."""

    arm: str
    against: str
    people: int
    people_against: int
    difference: float
    interval: Interval
    plain_interval: Interval  # without the spending before
    always: Interval
    p: float
    variance_reduction: float
    in_total: float  # over the people of the arm

    @property
    def is_clear(self) -> bool:
        """Whether it may be told from nothing, however often it was looked at."""
        return not self.always[0] <= 0 <= self.always[1]


@dataclass(frozen=True)
class LiftReport:
    """Each arm against control, and the arm that has won, if one has."""

    arms: list[Difference]
    winner: str | None
    why: str


def evaluate(
    path: Path, columns: tuple[str, str], control: str, before: str | None, planned: int = PLANNED
) -> LiftReport:
    """`columns` are those of the arm and of the outcome."""
    if (doubled := columns[1]) in (columns[0], before) or (doubled := columns[0]) == before:
        raise BadInput(f"'{doubled}' is named twice; give a column for each of what is asked for.")
    arms = _load(path, columns, before)
    if control not in arms:
        raise BadInput(
            f"{path}: '{columns[0]}' is never '{control}'; it has {', '.join(sorted(arms))}."
        )
    if len(arms) < 2:  # noqa: PLR2004
        raise BadInput(f"{path}: everybody is '{control}'; there is nothing to compare with.")
    return judge(arms, control, planned)


def judge(
    arms: dict[str, tuple[Floats, Floats]], control: str, planned: int = PLANNED
) -> LiftReport:
    """Arms by name: the outcome and the spending before, per person."""
    others = sorted(name for name in arms if name != control)
    found = [compare(name, control, arms, planned, len(others)) for name in others]
    return LiftReport(found, *_winner(found, arms, planned))


def compare(
    arm: str,
    against: str,
    arms: dict[str, tuple[Floats, Floats]],
    planned: int = PLANNED,
    comparisons: int = 1,
) -> Difference:
    """One arm less another; the `always` interval allows for so many comparisons."""
    (y, before), (y0, before0) = arms[arm], arms[against]
    plain, plain_variance = _difference(y, y0)
    adjusted, variance = _difference(*_adjusted(y, before, y0, before0))
    error = float(np.sqrt(variance))
    width = error * looks.width(len(y) + len(y0), planned, ALPHA / comparisons)
    return Difference(
        arm,
        against,
        len(y),
        len(y0),
        adjusted,
        _around(adjusted, Z * error),
        _around(plain, Z * float(np.sqrt(plain_variance))),
        _around(adjusted, width),
        _two_sided(adjusted, error),
        1 - variance / plain_variance if plain_variance else 0.0,
        adjusted * len(y),
    )


def _adjusted(y: Floats, before: Floats, y0: Floats, before0: Floats) -> tuple[Floats, Floats]:
    """The outcomes less what the spending before explains of them; in an arm in which all came to the
    same it explains nothing."""
    if not (np.ptp(y) and np.ptp(y0)):
        return y, y0
    mean = np.concatenate([before, before0]).mean()
    spread = ((before - before.mean()) ** 2).sum() + ((before0 - before0.mean()) ** 2).sum()
    if spread == 0:
        return y, y0
    shared = (before - before.mean()) @ y + (before0 - before0.mean()) @ y0
    slope = shared / spread
    return y - slope * (before - mean), y0 - slope * (before0 - mean)


def _difference(y: Floats, y0: Floats) -> tuple[float, float]:
    """Of the means, and its variance."""
    variance = _variance(y, y0) / len(y) + _variance(y0, y) / len(y0)
    return float(y.mean() - y0.mean()), float(variance)


def _variance(y: Floats, other: Floats) -> float:
    """Where all of an arm came to the same, such as nobody bought, that of both together: a few people
    of whom none buys are no proof that nobody does."""
    return float((y if np.ptp(y) else np.concatenate([y, other])).var(ddof=1))


def _around(middle: float, width: float) -> Interval:
    return middle - width, middle + width


def _two_sided(difference: float, error: float) -> float:
    """Where all people of both arms came to the same, nothing speaks for a difference."""
    return erfc(abs(difference / error) / sqrt(2)) if error else 1.0


def _winner(
    found: Sequence[Difference], arms: dict[str, tuple[Floats, Floats]], planned: int
) -> tuple[str | None, str]:
    """The best arm, once it is clearly better than control and than every other arm."""
    best = max(found, key=lambda one: one.difference)
    if not best.is_clear or best.difference <= 0:
        return None, f"no arm is clearly better than '{best.against}' yet"
    names = [one.arm for one in found]
    return _ahead(best.arm, names, arms, planned, "control and every other arm")


def winner(arms: dict[str, tuple[Floats, Floats]], control: str | None) -> tuple[str | None, str]:
    """The arm that has won, if one has, and why; without control, against the others alone."""
    if control is not None:
        found = judge(arms, control)
        return found.winner, found.why
    names = sorted(arms)
    best = max(names, key=lambda name: float(arms[name][0].mean()))
    return _ahead(best, names, arms, PLANNED, "every other arm")


def _ahead(
    best: str,
    names: Sequence[str],
    arms: dict[str, tuple[Floats, Floats]],
    planned: int,
    rivals: str,
) -> tuple[str | None, str]:
    pairs = len(list(combinations(names, 2)))
    for other in names:
        if other == best:
            continue
        ahead = compare(best, other, arms, planned, pairs)
        if not ahead.is_clear or ahead.difference <= 0:
            return None, f"'{best}' leads, but is not clearly better than '{other}' yet"
    return best, f"clearly better than {rivals}, however often looked at"


def _load(
    path: Path, columns: tuple[str, str], before: str | None
) -> dict[str, tuple[Floats, Floats]]:
    connection = duckdb.connect()
    table.load(connection, path, [*columns, *([before] if before else [])])
    arm, *numbers = (quoting.name(name) for name in [*columns, *([before] if before else [])])
    values = ", ".join(f"coalesce({TRIED.format(name)})" for name in numbers)
    rows = connection.sql(f"select trim({arm}), {table.ROW}, {values} from given")
    found: dict[str, list[list[float]]] = {}
    for name, row, *cells in rows.fetchall():
        where = f"{path}: row {row}"
        if not name:
            raise BadInput(f"{where}: '{columns[0]}' is empty; say the arm, or take the row out.")
        for column, value in zip([columns[1], before], cells, strict=False):
            _check(f"{where}: '{column}'", value)
        found.setdefault(name, []).append(cells)
    return {name: _arrays(path, name, cells) for name, cells in found.items()}


def _check(what: str, value: float | None) -> None:
    if value is None or not np.isfinite(value):
        raise BadInput(f"{what} is not a number; write 12.50.")
    if abs(value) > MOST:
        raise BadInput(f"{what} is {value:g}, which no amount is; take the row out or mend it.")


def _arrays(path: Path, name: str, cells: list[list[float]]) -> tuple[Floats, Floats]:
    if len(cells) < FEWEST:
        raise BadInput(
            f"{path}: arm '{name}' has {len(cells)} people; {FEWEST} or more are needed."
        )
    numbers = np.array(cells)
    return numbers[:, 0], numbers[:, 1] if numbers.shape[1] > 1 else np.zeros(len(numbers))
