"""Pareto/NBD: buying at a rate of one's own, leaving for good at any time (Schmittlein et al. 1987)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, hyp2f1

from tessera.know.fitting import Fit, Floats, maximise
from tessera.know.history import History


@dataclass(frozen=True)
class Pareto:
    """Its parameters r, alpha, s, beta are per unit of the history's time."""

    name: str = "pareto_nbd"

    def fit(self, history: History, *, intervals: bool = True) -> Fit:
        scale = max(float(np.median(history.age)) / 4, 0.01)
        return maximise(
            ("r", "alpha", "s", "beta"),
            lambda p: np.logaddexp(*_log_cases(history, p)),
            history.count,
            start=(1.0, scale, 1.0, scale),
            intervals=intervals,
        )

    def expected(self, history: History, fit: Fit, ahead: Floats | float) -> Floats:
        """Purchases in the next `ahead` units of time, per row of the history."""
        r, alpha, s, beta = fit.values
        ends = beta + history.age
        stay = np.log1p(ahead / ends)
        near_one = abs(s - 1) < 1e-6  # noqa: PLR2004 - where the formula has a hole
        lasting = stay if near_one else -np.expm1(-(s - 1) * stay) / (s - 1)
        rate = (r + history.x) / (alpha + history.age)
        return np.asarray(self.alive(history, fit) * rate * ends * lasting)

    def alive(self, history: History, fit: Fit) -> Floats:
        """The chance that the customer has not left."""
        here, gone = _log_cases(history, np.array(fit.values))
        return np.asarray(np.exp(here - np.logaddexp(here, gone)))


def _log_cases(history: History, parameters: Floats) -> tuple[Floats, Floats]:
    """Log-likelihood of being here still, and of having left since the last purchase."""
    r, alpha, s, beta = parameters
    x = history.x
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    here = -(r + x) * np.log(alpha + history.age) - s * np.log(beta + history.age)
    began, ended = (_tail(x, time, parameters) for time in (history.recency, history.age))
    gap = np.minimum(ended - began, -1e-300)
    gone = np.log(s / (r + s + x)) + began + np.log(-np.expm1(gap))
    return common + here, common + gone


def _tail(x: Floats, time: Floats, parameters: Floats) -> Floats:
    """Log of the hypergeometric tail, in Euler's form, whose terms stay small."""
    r, alpha, s, beta = parameters
    power = r + s + x
    other = np.full_like(x, s + 1) if alpha >= beta else r + x
    base = max(alpha, beta) + time
    z = abs(alpha - beta) / base
    series = np.log(hyp2f1(1, power + 1 - other, power + 1, z))
    return np.asarray(series + (1 - other) * np.log1p(-z) - power * np.log(base))
