"""What a good row of the engine's own tiers is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "tier_moves",
    rules.in_set("reason", "reached", "kept", "fell"),
    usual_volume=None,
    usual_days=None,
)
