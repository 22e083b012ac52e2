"""Reward: points earned and clawed back, posted to a double-entry ledger."""
