"""How far from nothing a difference must be for who looks again and again: a confidence sequence.

The asymptotic one of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (*Time-uniform central limit theory
and asymptotic confidence sequences*), a normal mixture after Robbins.
"""

from __future__ import annotations

from math import log, log1p, sqrt

TUNED = 8.0  # where a 95 % confidence sequence is narrowest, at the planned number


def width(number: int, planned: int, alpha: float) -> float:
    """Standard errors to either side after `number` people or messages of both arms together, such that
    the truth is outside at any look at all in `alpha` of trials; narrowest after `planned`."""
    scale = TUNED * number / planned
    return sqrt((1 + 1 / scale) * (2 * log(1 / alpha) + log1p(scale)))
