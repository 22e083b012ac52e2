"""A plain file with one row per person of a randomised campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from tessera import quoting
from tessera.errors import BadInput
from tessera.know import table
from tessera.know.fitting import Floats

MOST_WORDS = 50  # different texts in a column that is still a feature
FEWEST = 200  # people per arm
MOST = 1e150  # of a feature, whose squares are added up


@dataclass(frozen=True)
class People:
    """Treated and outcome are 0 or 1; features have a mean of 0 and a spread of 1."""

    treated: Floats
    outcome: Floats
    features: Floats
    names: list[str]
    left_out: list[str]  # columns with too many different texts, or only one value


@dataclass(frozen=True)
class Arms:
    """Which column says what was done to a person, and which values mean what."""

    treatment: str
    control: str
    treated: str | None = None


def load(path: Path, arms: Arms, outcome: str, ignore: Sequence[str]) -> People:
    """The people of the two arms; BadInput when columns are missing or cannot be what they should."""
    connection = duckdb.connect()
    columns = table.load(connection, path, [arms.treatment, outcome, *ignore])
    if arms.treated == arms.control:
        raise BadInput(f"--treated and --control are both '{arms.control}'; name two arms.")
    treated = _arm(connection, path, arms)
    keep = f"where cast({quoting.name(arms.treatment)} as varchar) in (?, ?)"
    rows = connection.execute(
        f"select * exclude ({table.ROW}) from given {keep}", [arms.control, treated]
    ).to_arrow_table()
    told = np.array([str(one) == treated for one in rows[arms.treatment].to_pylist()], float)
    bought = _binary(path, outcome, rows[outcome].to_pylist())
    if min(told.sum(), (1 - told).sum()) < FEWEST:
        raise BadInput(f"{path}: each arm needs {FEWEST} people or more; this has fewer.")
    if len(np.unique(bought)) == 1:
        raise BadInput(f"{path}: '{outcome}' is the same for everybody; nothing can be learned.")
    used = [name for name in columns if name not in {arms.treatment, outcome, *ignore}]
    features, names, left_out = _features({name: rows[name].to_pylist() for name in used})
    if not names:
        raise BadInput(f"{path}: no column is left to learn from; ignore fewer.")
    return People(told, bought, features, names, left_out)


def _arm(connection: duckdb.DuckDBPyConnection, path: Path, arms: Arms) -> str:
    """The value of the treated arm."""
    column = quoting.name(arms.treatment)
    found = connection.sql(
        f"select distinct cast({column} as varchar) from given where {column} is not null"
    )
    values = sorted(value for (value,) in found.fetchall())
    for asked in filter(None, (arms.control, arms.treated)):
        if asked not in values:
            shown = ", ".join(values[:5])
            raise BadInput(f"{path}: '{arms.treatment}' is never '{asked}'; it has {shown}.")
    others = [value for value in values if value != arms.control]
    if arms.treated is None and len(others) != 1:
        shown = ", ".join(others[:5]) or "nothing"
        raise BadInput(
            f"{path}: beside '{arms.control}' the column '{arms.treatment}' has {shown}; "
            "say which is the treated arm with --treated."
        )
    return arms.treated or others[0]


TRUE, FALSE = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no"}


def _binary(path: Path, name: str, values: list[object]) -> Floats:
    words = [str(value).strip().lower() for value in values]
    for word in words:
        if word not in TRUE | FALSE:
            raise BadInput(
                f"{path}: '{name}' is '{word}' for somebody; write 0 or 1 for everybody."
            )
    return np.array([word in TRUE for word in words], float)


def _features(columns: dict[str, list[object]]) -> tuple[Floats, list[str], list[str]]:
    found: list[Floats] = []
    names: list[str] = []
    left_out: list[str] = []
    for name, values in columns.items():
        made = _numbers(values) or _indicators(values)
        if not made:
            left_out.append(name)
        for label, column in made.items():
            found.append((column - column.mean()) / column.std())
            names.append(f"{name} {label}".strip())
    return np.array(found).T, names, left_out


def _numbers(values: list[object]) -> dict[str, Floats]:
    try:
        column = np.array([np.nan if v in (None, "") else float(str(v)) for v in values])
    except ValueError:
        return {}
    column = np.where(np.abs(column) < MOST, column, np.nan)
    if np.isnan(column).all() or np.nanstd(column) == 0:
        return {}
    filled = np.where(np.isnan(column), np.nanmedian(column), column)
    skewed = filled.min() >= 0 and np.median(filled) * 1.5 < filled.mean()
    return {"": filled} | ({"logarithm": np.log1p(filled)} if skewed else {})


def _indicators(values: list[object]) -> dict[str, Floats]:
    words = np.array(["" if value is None else str(value) for value in values])
    kinds = np.unique(words)
    if not 1 < len(kinds) <= MOST_WORDS:
        return {}
    return {str(kind): (words == kind).astype(float) for kind in kinds}
