"""What a good row of the engine's own merges of customers is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "person_merges",
    rules.where(
        "range", "into_customer_id", "is another customer", bad="into_customer_id = customer_id"
    ),
    usual_volume=None,
    usual_days=None,
)
