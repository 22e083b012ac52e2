"""What a good row of the engine's own provider events is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "message_events",
    rules.between("occurred_at", rules.OLDEST, rule="too_old"),
    usual_volume=None,
    usual_days=None,
)
