"""Reward: receipts become points in a double-entry ledger."""

from tessera.reward.posting import RewardReport, post

__all__ = ["RewardReport", "post"]
