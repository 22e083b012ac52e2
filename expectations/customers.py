"""What a good customer row is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "customers",
    rules.born("birth_date"),
    rules.email(),
    rules.language(),
    rules.timezone(),
    rules.country(),
)
