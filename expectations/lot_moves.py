"""What a good row of what the engine's own lots paid and got back is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "lot_moves",
    rules.where("range", "delta", "is not 0", bad="delta = 0"),
    usual_volume=None,
    usual_days=None,
)
