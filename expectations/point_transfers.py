"""What a good row of the engine's own ledger is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite(
    "point_transfers",
    rules.between("amount", 1),
    rules.where("range", "credit", "is another account than debit", bad="credit = debit"),
    usual_volume=None,
    usual_days=None,
)
