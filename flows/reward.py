"""Reward: post what yesterday's receipts earned and took back; friends; bring the tills up to date."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow

from flows.runtime import in_words
from tessera.reward import cards, once, post, referrals
from tessera.workspace import open_workspace


@flow(name="reward")
@in_words
def reward(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """One posting; running it again posts nothing."""
    ws = open_workspace(as_of, home=home)
    counts = asdict(post(ws))
    friends = asdict(referrals.settle(ws))
    return {
        **counts,
        **{f"friends_{k}": v for k, v in friends.items()},
        "cards": cards.refresh(ws),
        "answers_forgotten": once.forget(ws),
    }
