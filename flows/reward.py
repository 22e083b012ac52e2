"""Reward: post what yesterday's receipts earned and took back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow

from tessera.reward import post
from tessera.workspace import open_workspace


@flow(name="reward")
def reward(as_of: str | None = None, home: str | None = None) -> dict[str, Any]:
    """One posting; running it again posts nothing."""
    return asdict(post(open_workspace(as_of, home=home)))
