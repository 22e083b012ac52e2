"""An offer or none for each customer of a home, learned from a trial in which it was given by lot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tessera.know import learners
from tessera.know.fitting import Floats
from tessera.know.offering import Offering
from tessera.know.offers import Choices, choose
from tessera.know.people import FEWEST
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("tessera.know", "offers.sql")
MOST = 100_000  # people that are learned from
COUNTS = ("lately", "of_late", "silent", "known", "basket")


@dataclass(frozen=True)
class People:
    """Customers, what was known of them, and their usual basket in minor units."""

    ids: NDArray[Any]
    customer: NDArray[np.int64]  # their numbers
    features: Floats
    basket: Floats

    def rows(self, which: NDArray[Any]) -> People:
        parts = (self.ids, self.customer, self.features, self.basket)
        return People(*(part[which] for part in parts))


@dataclass(frozen=True)
class Trial:
    """The people of a trial, who was offered, and who bought within its days."""

    people: People
    treated: Floats
    bought: Floats
    day: date

    def rows(self, which: NDArray[Any]) -> Trial:
        return Trial(self.people.rows(which), self.treated[which], self.bought[which], self.day)


@dataclass(frozen=True)
class Learned:
    """What a trial teaches: the chance of buying anyway, and what an offer adds to it."""

    anyway: Callable[[Floats], Floats]
    uplift: Callable[[Floats], Floats]

    @classmethod
    def from_trial(cls, trial: Trial) -> Learned:
        given = trial.people.features, trial.treated, trial.bought
        anyway = learners.response(given[0], 1 - given[1], given[2])
        return cls(anyway, learners.crossed(*given))

    def choose(self, people: People, since: Floats, its: Offering) -> Choices:
        anyway, uplift = self.anyway(people.features), self.uplift(people.features)
        return choose(people.ids, anyway, uplift, since, its.terms(people.basket))


@dataclass(frozen=True)
class Advice:
    """Everybody's choice, and how the trial's own people would have fared with such choices."""

    rows: pa.Table
    people: int  # of the trial
    day: date
    worth: dict[str, tuple[float, float]]  # policy -> margin per person, and its standard error


def advise(ws: Workspace, connection: duckdb.DuckDBPyConnection) -> Advice | None:
    """The choice for everybody who has bought, from the tables of `sales`; None when nothing was tried,
    or with fewer than 200 people in an arm."""
    its = Offering.of(ws.project)
    if its is None:
        return None
    trial = _trial(connection, its, ws.business_date)
    if trial is None:
        return None
    people = _people(connection, ws.business_date)
    since = _since_offer(connection, ws.business_date, people)
    with threadpool_limits(1):  # on so few rows threads wait for each other more than they work
        found = Learned.from_trial(trial).choose(people, since, its)
        worth = _worths(trial, its)
    return Advice(_table(people, found), len(trial.treated), trial.day, worth)


def _trial(connection: duckdb.DuckDBPyConnection, its: Offering, today: date) -> Trial | None:
    given = {"trial": its.trial, "within": int(its.within[:-1]), "today": today}
    rows = connection.execute(SQL["trial"], given).fetchnumpy()
    treated, bought = (np.asarray(rows[name], float) for name in ("treated", "bought"))
    if min(treated.sum(), (1 - treated).sum()) < FEWEST:
        return None
    day = today - timedelta(days=int(np.asarray(rows["ago"])[0]))
    people = _people(connection, day)
    tried = np.asarray(rows["customer"], np.int64)
    _, here, there = np.intersect1d(people.customer, tried, return_indices=True)
    trial = Trial(people.rows(here), treated[there], bought[there], day)
    return trial.rows(np.arange(0, len(here), max(1, len(here) // MOST)))


def _people(connection: duckdb.DuckDBPyConnection, day: date) -> People:
    rows = connection.execute(SQL["people"], {"day": day}).fetchnumpy()
    ids = np.asarray(rows.pop("customer_id"))
    columns = {name: np.ma.getdata(column).astype(float) for name, column in rows.items()}
    rate = columns["visits"] / np.maximum(columns["known"], 7)
    features = [
        np.log(rate),
        np.log1p(columns["silent"] * rate),
        *(np.log1p(columns[name]) for name in COUNTS),
        columns["level"],
        columns["discounted"],
    ]
    customer = columns["customer"].astype(np.int64)
    return People(ids, customer, np.array(features).T, columns["basket"])


def _since_offer(connection: duckdb.DuckDBPyConnection, today: date, people: People) -> Floats:
    given = connection.execute(SQL["offered"], {"today": today}).fetchnumpy()
    since = np.full(int(people.customer.max(initial=0)) + 1, np.inf)
    since[np.asarray(given["customer"], np.int64)] = np.asarray(given["ago"], float)
    return np.asarray(since[people.customer])


def _worths(trial: Trial, its: Offering) -> dict[str, tuple[float, float]]:
    """Margin per person of the trial, had they been treated by each policy: of those who happened to
    be, weighted by how rarely they were. Choices are learned from the other half of them."""
    half = np.arange(len(trial.treated)) % 2 == 0
    offered = np.zeros(len(half), bool)
    for learn, apply in ((half, ~half), (~half, half)):
        people = trial.people.rows(apply)
        never = np.full(int(apply.sum()), np.inf)
        careful = its.model_copy(update={"exploration": 0.0})
        learned = Learned.from_trial(trial.rows(learn))
        offered[apply] = learned.choose(people, never, careful).offered
    policies = {"policy": offered, "everybody": np.ones_like(half), "nobody": np.zeros_like(half)}
    return {name: _worth(trial, its, chosen) for name, chosen in policies.items()}


def _worth(trial: Trial, its: Offering, offered: NDArray[np.bool_]) -> tuple[float, float]:
    terms, share = its.terms(trial.people.basket), trial.treated.mean()
    paid = trial.treated * (trial.bought * terms.cost + terms.contact)
    agreed = offered == (trial.treated == 1)
    each = (trial.bought * terms.margin - paid) * agreed / np.where(offered, share, 1 - share)
    return float(each.mean()), float(each.std() / np.sqrt(len(each)))


def _table(people: People, found: Choices) -> pa.Table:
    return pa.table(
        {
            "customer_id": people.ids,
            "is_advised": found.offered,
            "reason": [str(reason) for reason in found.reason],
            "gain": np.rint(found.gain).astype(np.int64),  # minor units, expected of giving it
        }
    )
