"""What a good prospect row is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "prospects",
    rules.happened("created_at"),
    rules.email(),
    rules.language(),
    rules.timezone(),
    rules.country(),
)
