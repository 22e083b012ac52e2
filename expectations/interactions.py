"""What a good interaction row is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "interactions",
    rules.in_set("kind", "contact", "complaint", "review", "mention", "survey", "visit"),
    rules.in_set("channel", *rules.CHANNELS),
    rules.in_set("status", "open", "in_progress", "resolved", "closed", "offered", "withheld"),
    rules.happened("occurred_at"),
    rules.between("score", 0, 10),
    rules.between("cost", 0),
    rules.currency(),
)
