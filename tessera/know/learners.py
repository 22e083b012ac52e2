"""Uplift learners: each learns from treated and control how much the treatment moves a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from tessera.know.fitting import Floats

Learner = Callable[[Floats, Floats, Floats], Callable[[Floats], Floats]]


def two_models(x: Floats, treated: Floats, outcome: Floats) -> Callable[[Floats], Floats]:
    """T: one logistic model of the treated, one of the others; the difference."""
    there = _logistic(x[treated == 1], outcome[treated == 1])
    without = _logistic(x[treated == 0], outcome[treated == 0])
    return lambda given: there(given) - without(given)


def class_transformation(x: Floats, treated: Floats, outcome: Floats) -> Callable[[Floats], Floats]:
    """One logistic model of 'bought if treated, did not if not', both arms of equal weight."""
    share = treated.mean()
    weights = np.where(treated == 1, 0.5 / share, 0.5 / (1 - share))
    likely = _logistic(x, (outcome == treated).astype(float), weights)
    return lambda given: 2 * likely(given) - 1


def crossed(x: Floats, treated: Floats, outcome: Floats) -> Callable[[Floats], Floats]:
    """X: boosted trees of each arm's outcomes less what the other arm's model expects."""
    there, without = x[treated == 1], x[treated == 0]
    won = outcome[treated == 1] - _boosted(without, outcome[treated == 0])(there)
    missed = _boosted(there, outcome[treated == 1])(without) - outcome[treated == 0]
    of_treated, of_control = _regressed(there, won), _regressed(without, missed)
    share = float(treated.mean())
    return lambda given: (1 - share) * of_treated(given) + share * of_control(given)


def blend(x: Floats, treated: Floats, outcome: Floats) -> Callable[[Floats], Floats]:
    """The mean of the three: what one of them sees alone counts a third."""
    found = [learn(x, treated, outcome) for learn in (two_models, class_transformation, crossed)]
    return lambda given: np.mean([one(given) for one in found], axis=0)


def response(x: Floats, treated: Floats, outcome: Floats) -> Callable[[Floats], Floats]:
    """No uplift at all: who of the treated will buy, whether treated or not."""
    return _boosted(x[treated == 1], outcome[treated == 1])


def _logistic(
    x: Floats, outcome: Floats, weights: Floats | None = None
) -> Callable[[Floats], Floats]:
    if len(np.unique(outcome)) == 1:
        return _constant(float(outcome[0]))
    model = LogisticRegression(C=0.1, max_iter=500).fit(x, outcome, sample_weight=weights)
    return _chances(model)


def _boosted(x: Floats, outcome: Floats) -> Callable[[Floats], Floats]:
    if len(np.unique(outcome)) == 1:
        return _constant(float(outcome[0]))
    model = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.06, max_leaf_nodes=7, min_samples_leaf=100, random_state=0
    )
    return _chances(model.fit(x, outcome))


def _regressed(x: Floats, target: Floats) -> Callable[[Floats], Floats]:
    model = HistGradientBoostingRegressor(
        max_iter=40, learning_rate=0.05, max_leaf_nodes=5, min_samples_leaf=200, random_state=0
    ).fit(x, target)
    return lambda given: np.asarray(model.predict(given))


def _chances(model: Any) -> Callable[[Floats], Floats]:
    return lambda given: np.asarray(model.predict_proba(given)[:, 1])


def _constant(value: float) -> Callable[[Floats], Floats]:
    return lambda given: np.full(len(given), value)


LEARNERS: dict[str, Learner] = {
    "two_models": two_models,
    "class_transformation": class_transformation,
    "crossed": crossed,
    "blend": blend,
}
