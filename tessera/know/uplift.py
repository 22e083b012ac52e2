"""Whom a campaign moves: uplift learners beside what needs no learner, over several splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tessera.know.fitting import Floats
from tessera.know.learners import LEARNERS, response
from tessera.know.people import Arms, People, load
from tessera.know.ranking import qini, uplift_at

CHOSEN = "blend"
BASELINES = ("response_model", "random", "everybody")
T_95 = 2.262157  # of ten splits: Student's t, nine degrees of freedom
SEEDS = 10


@dataclass(frozen=True)
class UpliftReport:
    """Means over the splits with their standard deviations; intervals are of the means' spread."""

    people: dict[str, int]
    average_effect: float
    average_effect_interval: tuple[float, float]
    qini: dict[str, Any]
    uplift_at_30: dict[str, Any]
    policies: dict[str, dict[str, float]]  # expected outcome per person
    features: list[str]
    left_out: list[str]
    learner: str = CHOSEN


def evaluate(path: Path, arms: Arms, outcome: str, ignore: Sequence[str]) -> UpliftReport:
    """Learn on seven tenths, rank the rest, ten times."""
    people = load(path, arms, outcome, ignore)
    with threadpool_limits(1):  # on so few rows threads wait for each other more than they work
        runs = [_split(people, seed) for seed in range(SEEDS)]
    low, high, effect = _effect(people)
    return UpliftReport(
        people={"treated": int(people.treated.sum()), "control": int((1 - people.treated).sum())},
        average_effect=round(effect, 5),
        average_effect_interval=(low, high),
        qini=_summary([run["qini"] for run in runs]),
        uplift_at_30=_summary([run["uplift"] for run in runs]),
        policies=_policies([run["policy"] for run in runs]),
        features=people.names,
        left_out=people.left_out,
    )


def _split(people: People, seed: int) -> dict[str, dict[str, float]]:
    """One split's measures by learner."""
    strata = 2 * people.treated + people.outcome
    few = np.bincount(strata.astype(int)).min() < 2  # noqa: PLR2004
    train, test = train_test_split(
        np.arange(len(strata)), test_size=0.3, random_state=seed, stratify=None if few else strata
    )
    scores = _scores(people, train, test, seed)
    told, bought = people.treated[test], people.outcome[test]
    return {
        "qini": {name: qini(bought, score, told) for name, score in scores.items()},
        "uplift": {name: uplift_at(bought, score, told) for name, score in scores.items()},
        "policy": {
            "nobody": _worth(bought, told, np.zeros(len(test), bool)),
            "everybody": _worth(bought, told, np.ones(len(test), bool)),
            **{name: _worth(bought, told, scores[name] > 0) for name in LEARNERS},
        },
    }


def _scores(people: People, train: Any, test: Any, seed: int) -> dict[str, Floats]:
    known = people.features[train], people.treated[train], people.outcome[train]
    given = people.features[test]
    found = {name: learn(*known)(given) for name, learn in LEARNERS.items() if name != CHOSEN}
    return {
        **found,
        CHOSEN: np.mean(list(found.values()), axis=0),
        "response_model": response(*known)(given),
        "random": np.random.default_rng(seed).random(len(test)),
        "everybody": np.zeros(len(test)),
    }


def _worth(outcome: Floats, treated: Floats, offered: Any) -> float:
    """The outcome per person if the policy were followed: of those who happened to get what it says,
    weighted by how rarely they do."""
    share = treated.mean()
    chance = np.where(offered, share, 1 - share)
    agreed = offered == (treated == 1)
    return float((outcome * agreed / chance).mean())


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    per_learner = {name: _spread([run[name] for run in runs]) for name in runs[0]}
    return {
        **per_learner[CHOSEN],
        "per_learner": {name: per_learner[name] for name in LEARNERS},
        "baselines": {name: per_learner[name] for name in BASELINES},
    }


def _spread(values: list[float]) -> dict[str, Any]:
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    width = T_95 * sd / np.sqrt(len(values))
    return {
        "mean": round(mean, 5),
        "sd": round(sd, 5),
        "interval": (round(mean - width, 5), round(mean + width, 5)),
    }


def _policies(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: _spread([run[name] for run in runs]) for name in runs[0]}


def _effect(people: People) -> tuple[float, float, float]:
    there, without = people.outcome[people.treated == 1], people.outcome[people.treated == 0]
    effect = float(there.mean() - without.mean())
    width = 1.96 * float(np.sqrt(there.var() / len(there) + without.var() / len(without)))
    return round(effect - width, 5), round(effect + width, 5), effect
