"""BG/NBD and its kin: buying at a rate of one's own, leaving for good after some purchase.

`MBG/CNBD-k` lets a customer leave after the very first purchase, too, and gaps be regular: a gap is
Erlang-k, k stages of which only the last shows. `k = 1` without leaving at first is the BG/NBD of
Fader, Hardie and Lee (2005); the general case is that of Platzer and Reutterer (2016). The expected
purchases are exact: a sum over the chance that the customer is still there for the n-th.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaln, gammaln, logsumexp, xlogy

from tessera.know.fitting import Fit, Floats, maximise
from tessera.know.history import History

MOST_PURCHASES = 1_000  # of one customer in one forecast
NEGLIGIBLE = 1e-5  # purchases


@dataclass(frozen=True)
class Rhythm:
    """A kind of model; its `parameters` r, alpha, a, b are per unit of the history's time."""

    k: int = 1
    leaves_at_first: bool = True

    @property
    def name(self) -> str:
        if self.k == 1:
            return "mbg_nbd" if self.leaves_at_first else "bg_nbd"
        return f"mbg_cnbd_{self.k}" if self.leaves_at_first else f"bg_cnbd_{self.k}"

    def fit(self, history: History, *, intervals: bool = True, near: Fit | None = None) -> Fit:
        start = near.values if near else (1.0, _scale(history), 1.0, 1.5)
        return maximise(
            ("r", "alpha", "a", "b"),
            lambda p: logsumexp(self._log_cases(history, p), axis=0),
            history.count,
            start=start,
            intervals=intervals,
        )

    def expected(self, history: History, fit: Fit, ahead: Floats | float) -> Floats:
        """Purchases in the next `ahead` units of time, per row of the history."""
        r, alpha, a, b = fit.values
        stages = self._alive_stages(history, fit)
        chance = ahead / (alpha / self.k + history.age + ahead)
        shape = r + self.k * history.x
        stayed = b + history.x + self.leaves_at_first
        still, total = np.ones_like(history.x), np.zeros_like(history.x)
        for n in range(1, MOST_PURCHASES):
            arrived = sum(
                stages[j] * betainc(self.k * n - j, shape + j, chance) for j in range(self.k)
            )
            gain = still * arrived
            total += gain
            if gain.max(initial=0) < NEGLIGIBLE:
                break
            still = still * (stayed + n - 1) / (a + stayed + n - 1)
        return total

    def alive(self, history: History, fit: Fit) -> Floats:
        """The chance that the customer has not left."""
        return np.asarray(self._alive_stages(history, fit).sum(axis=0))

    def rates(self, history: History, fit: Fit) -> tuple[Floats, Floats]:
        """Purchases per unit of time up to the last purchase, and since."""
        r, alpha, _, _ = fit.values
        stages = self._alive_stages(history, fit)
        shape = r + self.k * history.x
        phases = np.arange(self.k)[:, None]
        here = (stages * (shape + phases)).sum(axis=0) / (alpha / self.k + history.age)
        gone = (1 - stages.sum(axis=0)) * shape / (alpha / self.k + history.recency)
        return (here + gone) / self.k, here / self.k

    def _alive_stages(self, history: History, fit: Fit) -> Floats:
        cases = self._log_cases(history, np.array(fit.values))
        return np.asarray(np.exp(cases[:-1] - logsumexp(cases, axis=0)))

    def _log_cases(self, history: History, parameters: Floats) -> Floats:
        """Log-likelihood of each way it can be: here with j stages of a gap behind, or gone. The
        gaps' own factor, the same whatever the parameters, is left out."""
        r, alpha, a, b = parameters
        x, beta = history.x, alpha / self.k
        j = np.arange(self.k)[:, None]
        shape = r + self.k * x
        left_open = x + self.leaves_at_first
        common = r * np.log(beta) - gammaln(r) - betaln(a, b)
        here = gammaln(shape + j) - gammaln(j + 1) + xlogy(j, history.age - history.recency)
        here = here - (shape + j) * np.log(beta + history.age) + betaln(a, b + left_open)
        gone = gammaln(shape) - shape * np.log(beta + history.recency)
        gone = gone + betaln(a + 1, b + np.maximum(left_open - 1, 0))
        gone = np.where(left_open > 0, gone, -np.inf)
        return np.asarray(np.vstack([here, gone[None]]) + common)


def _scale(history: History) -> float:
    return max(float(np.median(history.age)) / 4, 0.01)
