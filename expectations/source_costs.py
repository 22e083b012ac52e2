"""What a good row of acquisition costs is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "source_costs",
    rules.ordered("period_start", "period_end"),
    rules.between("cost", 0),
    rules.currency(),
    usual_days=None,
)
