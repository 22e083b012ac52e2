"""What a good store row is."""

from __future__ import annotations

from expectations import rules

suite = rules.suite("stores", rules.timezone(), rules.country())
