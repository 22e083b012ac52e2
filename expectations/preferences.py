"""What a good row of the engine's own preferences is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "preferences",
    rules.between("recorded_at", rules.OLDEST, rule="too_old"),
    usual_volume=None,
    usual_days=None,
)
