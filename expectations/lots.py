"""What a good row of the engine's own lots is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "lots",
    rules.between("amount", 1),
    rules.in_set("bucket", "available", "pending"),
    usual_volume=None,
    usual_days=None,
)
