"""An offer or none for each customer of a home, learned from a trial in which it was given by lot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tessera import documents
from tessera.know import learners
from tessera.know.fitting import Floats
from tessera.know.offers import Choices, Terms, choose
from tessera.know.people import FEWEST
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.know", "offers.sql")
FILE = Path("deployments/offers.yml")
NEVER = 100_000  # days since an offer, of who had none
FOLDS = 2

Days = Annotated[str, Field(pattern=r"^[0-9]{1,3}d$"), AfterValidator(lambda text: text)]
Share = Annotated[float, Field(ge=0, le=1)]


class Offering(documents.Document):
    """`deployments/offers.yml`: what was tried, what it earns and costs, and how careful to be."""

    trial: str
    within: Days = "14d"
    margin_share: Share
    cost_share: Share
    contact_cost: float = Field(0, ge=0)
    sure: Share = 0.8
    rest: Days = "28d"
    exploration: Share = 0.05

    def terms(self, basket: Floats) -> Terms:
        return Terms(
            margin=basket * self.margin_share,
            cost=basket * self.cost_share,
            contact=self.contact_cost,
            sure=self.sure,
            rest_days=int(self.rest[:-1]),
            exploration=self.exploration,
        )


@dataclass(frozen=True)
class People:
    """Customers by number, what was known of them, and their usual basket in minor units."""

    customer: NDArray[np.int64]
    features: Floats
    basket: Floats

    def rows(self, which: NDArray[np.int64]) -> People:
        return People(self.customer[which], self.features[which], self.basket[which])


@dataclass(frozen=True)
class Trial:
    """The people of a trial, who was offered, and who bought within its days."""

    people: People
    treated: Floats
    bought: Floats


@dataclass(frozen=True)
class Learned:
    """What a trial teaches: the chance of buying anyway, and what an offer adds to it."""

    anyway: Callable[[Floats], Floats]
    uplift: Callable[[Floats], Floats]

    @classmethod
    def from_trial(cls, trial: Trial) -> Learned:
        given = trial.people.features, trial.treated, trial.bought
        return cls(learners.response(given[0], 1 - given[1], given[2]), learners.blend(*given))


@dataclass(frozen=True)
class Advice:
    """Everybody's choice, and how the trial's own people would have fared with such choices."""

    rows: pa.Table
    people: int  # of the trial
    worth: dict[str, tuple[float, float]]  # policy -> margin per person with its standard error


def advise(ws: Workspace, connection: duckdb.DuckDBPyConnection) -> Advice | None:
    """The choice for everybody who has bought; None when nothing was tried, or with too few."""
    path = ws.project / FILE
    if not path.exists():
        return None
    offering = documents.load(path, Offering, project=ws.project)
    trial = _trial(ws, connection, offering)
    if trial is None:
        return None
    people = _people(connection, ws.business_date)
    with threadpool_limits(1):
        found = _choose(connection, ws, Learned.from_trial(trial), people, offering)
        worth = _worths(trial, offering)
    return Advice(_table(connection, people, found), len(trial.treated), worth)


def _trial(ws: Workspace, connection: duckdb.DuckDBPyConnection, its: Offering) -> Trial | None:
    """BadInput never: a trial with fewer than 200 people per arm teaches nothing."""
    given = {"trial": its.trial, "within": int(its.within[:-1]), "today": ws.business_date}
    rows = connection.execute(SQL["trial"], given).fetchnumpy()
    treated = np.asarray(rows["treated"], float)
    if min(treated.sum(), (1 - treated).sum()) < FEWEST:
        return None
    day = rows["day"][0].astype("datetime64[D]").item()
    people = _people(connection, day)
    tried = np.asarray(rows["customer"], np.int64)
    both, here, there = np.intersect1d(people.customer, tried, return_indices=True)
    del both
    return Trial(people.rows(here), treated[there], np.asarray(rows["bought"], float)[there])


def _people(connection: duckdb.DuckDBPyConnection, day: object) -> People:
    rows = connection.execute(SQL["people"], {"day": day}).fetchnumpy()
    columns = {name: np.ma.getdata(column).astype(float) for name, column in rows.items()}
    rate = columns["visits"] / np.maximum(columns["known"], 7)
    features = [
        np.log(rate),
        np.log1p(columns["lately"]),
        np.log1p(columns["of_late"]),
        np.log1p(columns["silent"]),
        np.log1p(columns["silent"] * rate),
        np.log1p(columns["known"]),
        np.log1p(columns["basket"]),
        columns["level"],
        columns["discounted"],
    ]
    return People(columns["customer"].astype(np.int64), np.array(features).T, columns["basket"])


def _choose(
    connection: duckdb.DuckDBPyConnection,
    ws: Workspace,
    learned: Learned,
    people: People,
    its: Offering,
) -> Choices:
    given = connection.execute(SQL["offered"], {"today": ws.business_date}).fetchnumpy()
    since = np.full(int(people.customer.max(initial=0)) + 1, float(NEVER))
    today = np.datetime64(ws.business_date)
    since[given["customer"]] = (today - given["day"].astype("datetime64[D]")).astype(float)
    anyway, uplift = learned.anyway(people.features), learned.uplift(people.features)
    names = [str(number) for number in people.customer]
    return choose(names, anyway, uplift, since[people.customer], its.terms(people.basket))
