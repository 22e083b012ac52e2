"""Which variant of a step has won: derived anew in every pass, so that nothing has to be promoted."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

import pyarrow as pa

from tessera.decide.campaign import Choice, Step
from tessera.decide.tables import CONTENT, Course

Score = tuple[str, str, str, int, int, int, int]  # campaign, step, variant, messages, and outcomes
OUTCOMES = ("opened", "clicked", "purchased")


def promote(content: pa.Table, courses: Sequence[Course], scores: Sequence[Score]) -> pa.Table:
    """`content` with all the weight of a decided step on its winner."""
    rows = content.to_pylist()
    steps = [(course.campaign.campaign, one) for course in courses for one in course.campaign.steps]
    won = {i: winner(step, _of(campaign, step, scores)) for i, (campaign, step) in enumerate(steps)}
    for row in rows:
        name = won.get(row["step_id"])
        if name is not None:
            row["weight"] = int(row["variant"] == name)
            row["first_unit"], row["units"] = (0 if row["weight"] else 1), 1
    return pa.Table.from_pylist(rows, CONTENT)


def _of(campaign: str, step: Step, scores: Sequence[Score]) -> dict[str, tuple[int, int]]:
    """Messages and successes by variant."""
    if step.choose is None:
        return {}
    place = OUTCOMES.index(step.choose.winner_by)
    return {
        variant: (messages, outcomes[place])
        for name, its, variant, messages, *outcomes in scores
        if (name, its) == (campaign, step.name)
    }


def winner(step: Step, scores: dict[str, tuple[int, int]]) -> str | None:
    """The variant that did better than each of the others, once all have enough messages."""
    rule = step.choose
    names = [one.name for one in step.variants if one.weight]
    if rule is None or any(scores.get(n, (0, 0))[0] < rule.after_messages for n in names):
        return None
    best, *others = sorted(names, key=lambda n: scores[n][1] / scores[n][0], reverse=True)
    return best if all(_is_better(scores[best], scores[n], rule) for n in others) else None


def _is_better(one: tuple[int, int], other: tuple[int, int], rule: Choice) -> bool:
    """A one-sided z-test of two proportions with pooled variance."""
    (n, a), (m, b) = one, other
    pooled = (a + b) / (n + m)
    error = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return error > 0 and (a / n - b / m) / error > NormalDist().inv_cdf(rule.confidence)
