"""What a good row of the engine's own balances is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "point_balances",
    rules.between("balance", 0),
    rules.in_set("bucket", "available", "pending", "held", "debt"),
    usual_volume=None,
    usual_days=None,
)
