"""What a good receipt line is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "transactions",
    rules.in_set("kind", "sale", "return"),
    rules.between("quantity", -100_000, 100_000),
    rules.between("amount", -rules.BILLION, rules.BILLION),
    rules.between("discount", 0),
    rules.signed("quantity"),
    rules.signed("amount"),
    rules.happened("sold_at"),
    rules.timezone(),
    rules.currency(),
)
