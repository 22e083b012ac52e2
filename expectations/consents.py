"""What a good consent is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "consents",
    rules.in_set("channel", *rules.CHANNELS),
    rules.in_set("purpose", "marketing", "service", "profiling", "research", "sharing"),
    rules.happened("recorded_at"),
    # Consents come as the whole book of years as often as day by day.
    usual_days=None,
)
