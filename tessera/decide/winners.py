"""Which variant of a step has won: derived anew in every pass, so that nothing has to be promoted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import sqrt

import pyarrow as pa

from tessera import looks
from tessera.decide.campaign import Step
from tessera.decide.tables import CONTENT, Course

# campaign, step, variant, day, messages, and outcomes
Score = tuple[str, str, str, date, int, int, int, int]
OUTCOMES = ("opened", "clicked", "purchased")
AWARD = pa.schema([("campaign", pa.string()), ("step", pa.string()), ("days", pa.int32())])
WITHIN = 14  # days in which a purchase counts where a campaign names no goal


def awards(courses: Sequence[Course]) -> pa.Table:
    """The steps whose winner is told by purchases, and for how many days after a message these count."""
    rows = {
        (its.campaign, step.name): int(its.goal.within[:-1]) if its.goal else WITHIN
        for its in (course.campaign for course in reversed(courses))  # the file's of today holds
        for step in its.steps
        if step.choose and step.choose.winner_by == "purchased"
    }
    return pa.Table.from_pylist(
        [{"campaign": name, "step": step, "days": days} for (name, step), days in rows.items()],
        AWARD,
    )


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
    """Messages and successes by variant, of the days up to the last on which each was still sent. Since
    one goes alone only it has messages that nobody had time to read, and beside the others', which are
    all old, it would look worse every day."""
    if step.choose is None:
        return {}
    place = OUTCOMES.index(step.choose.winner_by)
    its = [
        (variant, day, messages, outcomes[place])
        for name, of, variant, day, messages, *outcomes in scores
        if (name, of) == (campaign, step.name)
    ]
    last = {variant: day for variant, day, *_ in sorted(its, key=lambda one: one[1])}
    until = min((last.get(name, date.min) for name in _drawn(step)), default=date.min)
    found: dict[str, tuple[int, int]] = {}
    for variant, day, messages, successes in its:
        if day <= until:
            before = found.get(variant, (0, 0))
            found[variant] = before[0] + messages, before[1] + successes
    return found


def _drawn(step: Step) -> list[str]:
    return [one.name for one in step.variants if one.weight]


def winner(step: Step, scores: dict[str, tuple[int, int]]) -> str | None:
    """The variant that did better than each of the others, once all have enough messages."""
    rule = step.choose
    names = _drawn(step)
    if rule is None or any(scores.get(n, (0, 0))[0] < rule.after_messages for n in names):
        return None
    best, *others = sorted(names, key=lambda n: scores[n][1] / scores[n][0], reverse=True)
    alpha = 2 * (1 - rule.confidence) / len(names)  # any of them could be the best by chance
    sure = [_is_better(scores[best], scores[n], alpha, 2 * rule.after_messages) for n in others]
    return best if all(sure) else None


def _is_better(one: tuple[int, int], other: tuple[int, int], alpha: float, planned: int) -> bool:
    """Whether two proportions, with pooled variance, are so far apart that chance brings them there in
    `alpha` of trials, however often one looks: it is asked every day."""
    (n, a), (m, b) = one, other
    pooled = (a + b) / (n + m)
    error = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return error > 0 and (a / n - b / m) / error > looks.width(n + m, planned, alpha)
