"""What a good card row is: its types and its keys."""

from __future__ import annotations

from expectations import rules

suite = rules.suite("cards")
