"""What a good product row is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite("products", rules.between("price", 0), rules.currency())
