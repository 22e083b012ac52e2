"""What a good row of the engine's own messages is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "messages",
    rules.in_set("channel", *rules.CHANNELS),
    # A quiet day has no message and a campaign's first has all of them.
    usual_volume=None,
    usual_days=None,
)
