"""A winner among variants: told from chance by a rule that is asked every day."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.decide.campaign import Step
from tessera.decide.winners import winner

TRIALS, DAYS, A_DAY = 400, 90, 60  # messages of each variant


def step(variants: int) -> Step:
    choose = {"winner_by": "clicked", "after_messages": 500, "confidence": 0.95}
    named = [{"name": name, "template": f"v/{name}"} for name in "abcd"[:variants]]
    return Step.model_validate({"name": "first", "variants": named, "choose": choose})


def decided(chances: list[float]) -> list[str]:
    """Who was named in trials in which the rule was asked every day, once anybody was."""
    rng, its, found = np.random.default_rng(11), step(len(chances)), []
    clicks = rng.binomial(A_DAY, chances, (TRIALS, DAYS, len(chances))).cumsum(axis=1)
    for trial in clicks.tolist():
        looks = (
            winner(its, {name: (A_DAY * day, n) for name, n in zip("abcd", row, strict=False)})
            for day, row in enumerate(trial, 1)
        )
        found += [next(filter(None, looks), "")]
    return [name for name in found if name]


@pytest.mark.parametrize("variants", [2, 3])
def test_equals_are_seldom_told_apart_however_often_one_looks(variants: int) -> None:
    assert len(decided([0.1] * variants)) / TRIALS < 0.05


def test_the_better_one_wins() -> None:
    found = decided([0.08, 0.13])
    assert found.count("b") > 0.95 * TRIALS
    assert found.count("a") == 0


def test_nobody_wins_before_each_has_enough_messages() -> None:
    assert winner(step(2), {"a": (499, 0), "b": (10_000, 9_000)}) is None
    assert winner(step(2), {"a": (500, 0), "b": (10_000, 9_000)}) == "b"


def test_the_best_of_several_needs_more_and_is_ahead_of_each() -> None:
    """Any of them may be ahead by chance; and who leaves one behind has not left all."""
    two = {"a": (5000, 500), "b": (5000, 604)}
    assert winner(step(2), two) == "b"
    assert winner(step(3), {**two, "c": (5000, 500)}) is None
    assert winner(step(3), {**two, "b": (5000, 700), "c": (5000, 500)}) == "b"
    assert winner(step(3), {**two, "b": (5000, 700), "c": (5000, 690)}) is None
