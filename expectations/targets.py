"""What a good target row is; targets lie in the future, so their dates are free."""

from __future__ import annotations

from expectations import rules

suite = rules.suite("targets", rules.ordered("period_start", "period_end"), usual_days=None)
