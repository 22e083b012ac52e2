"""How well a ranking finds those whom a treatment moves: the Qini coefficient and uplift at a share.

The Qini coefficient is the area between the ranking's curve and chance, over that of a perfect ranking:
0 is chance, 1 cannot be reached.
"""

from __future__ import annotations

import numpy as np

from tessera.know.fitting import Floats


def qini(outcome: Floats, score: Floats, treated: Floats) -> float:
    """Outcome and treated are 0 or 1; the highest scores come first."""
    by_control = treated if _harmed(outcome, treated) else outcome
    best = 2.0 * (outcome == treated) + by_control
    chance = _gain(outcome, treated) * len(outcome) / 2
    perfect = _area(outcome, best, treated) - chance
    return float((_area(outcome, score, treated) - chance) / perfect) if perfect else 0.0


def uplift_at(outcome: Floats, score: Floats, treated: Floats, share: float = 0.3) -> float:
    """Treated less control, among the share with the highest scores."""
    top = np.argsort(-score, kind="stable")[: int(len(score) * share)]
    there, without = treated[top] == 1, treated[top] == 0
    if not there.any() or not without.any():
        return 0.0
    return float(outcome[top][there].mean() - outcome[top][without].mean())


def _harmed(outcome: Floats, treated: Floats) -> bool:
    bought_anyway = int(((outcome == 1) & (treated == 0)).sum())
    return bought_anyway <= int(((outcome == 0) & (treated == 1)).sum())


def _gain(outcome: Floats, treated: Floats) -> float:
    without = max(float((treated == 0).sum()), 1.0)
    return float(outcome @ treated - outcome @ (1 - treated) * treated.sum() / without)


def _area(outcome: Floats, score: Floats, treated: Floats) -> float:
    """Under the curve of buyers won among the first n, ties taken together."""
    order = np.argsort(-score, kind="stable")
    score, outcome, treated = score[order], outcome[order], treated[order]
    ends = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    there = np.cumsum(treated)[ends]
    without = ends + 1 - there
    won = np.cumsum(outcome * treated)[ends]
    anyway = np.cumsum(outcome * (1 - treated))[ends]
    ratio = np.divide(there, without, out=np.zeros_like(there), where=without > 0)
    curve = np.append(0.0, won - anyway * ratio)
    return float(np.trapezoid(curve, np.append(0, ends + 1)))
