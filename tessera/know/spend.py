"""Gamma-Gamma: what a purchase is worth, from the customer's own and everybody's (Fader, Hardie 2013)."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from tessera.know.fitting import Fit, Floats, maximise


def fit(repeats: Floats, mean: Floats, *, intervals: bool = True) -> Fit:
    """p, q, v from the number of repeat purchases and their mean amount; both above zero."""

    def log_likelihood(parameters: Floats) -> Floats:
        p, q, v = parameters
        px = p * repeats
        return np.asarray(
            gammaln(px + q)
            - gammaln(px)
            - gammaln(q)
            + q * np.log(v)
            + (px - 1) * np.log(mean)
            + px * np.log(repeats)
            - (px + q) * np.log(v + mean * repeats)
        )

    start = (1.0, 2.0, max(float(np.median(mean)), 0.01))
    return maximise(
        ("p", "q", "v"), log_likelihood, np.ones_like(mean), start=start, intervals=intervals
    )


def expected(fitted: Fit, repeats: Floats, mean: Floats) -> Floats:
    """The expected amount of a purchase; `mean` is looked at only where there are repeats."""
    p, q, v = fitted.values
    q = max(q, 1.01)  # at or below 1 the mean over everybody would be infinite
    paid = np.where(repeats > 0, repeats * np.nan_to_num(mean), 0.0)
    return np.asarray(p * (v + paid) / (p * repeats + q - 1))
