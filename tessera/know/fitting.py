"""Maximum likelihood for models whose parameters are all positive, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]
Z = 1.959964  # two-sided 95 %
STEP = 1e-3  # of a logarithm, for second differences


@dataclass(frozen=True)
class Fit:
    """Parameters by name, their 95 % intervals and the log-likelihood they reach."""

    parameters: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    log_likelihood: float

    @property
    def values(self) -> list[float]:
        return list(self.parameters.values())


def maximise(
    names: Sequence[str],
    log_likelihood: Callable[[Floats], Floats],
    counts: Floats,
    *,
    start: Sequence[float],
    intervals: bool = True,
) -> Fit:
    """Fit over the logarithms of the parameters; `log_likelihood` gives one term per distinct row,
    `counts` how often the row occurs."""
    total = counts.sum()

    def loss(logs: Floats) -> float:
        with np.errstate(all="ignore"):  # far from the optimum terms overflow
            found = -float(counts @ log_likelihood(np.exp(logs))) / total
        return found if np.isfinite(found) else 1e6

    found = minimize(loss, np.log(start), method="L-BFGS-B", bounds=[(-8, 10)] * len(names))
    errors = _standard_errors(loss, found.x, total) if intervals else np.zeros(len(names))
    low, high = np.exp(found.x - Z * errors), np.exp(found.x + Z * errors)
    return Fit(
        dict(zip(names, np.exp(found.x).tolist(), strict=True)),
        {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)},
        -float(found.fun * total),
    )


def _standard_errors(loss: Callable[[Floats], float], at: Floats, total: float) -> Floats:
    """Of the logarithms, from the curvature at the optimum; wide where it is flat."""
    steps = np.eye(len(at)) * STEP
    hessian = np.array([[_curvature(loss, at, a, b) for b in steps] for a in steps])
    variances = np.diag(np.linalg.pinv(hessian * total))
    return np.sqrt(np.where(variances > 0, np.minimum(variances, 9), 9))


def _curvature(loss: Callable[[Floats], float], at: Floats, a: Floats, b: Floats) -> float:
    corners = loss(at + a + b) - loss(at + a - b) - loss(at - a + b) + loss(at - a - b)
    return corners / (4 * STEP * STEP)
