"""What a basket will earn, as far as a till can know: shown is what will be granted, or nothing."""

from __future__ import annotations

from tessera.reward.programme import Programme
from tessera.reward.rules import Cap, EarnRule, Only


def earns(programme: Programme, amount: int, currency: str) -> int | None:
    """The points of a receipt over `amount`; None when a rule asks what only the night knows: who the
    member is, how their tier multiplies, what day it is, what was earned before."""
    if programme.currency not in ("any", currency):
        return 0
    levels = programme.tiers.levels if programme.tiers else ()
    if any(level.factor != 1 for level in levels) or not all(map(_is_plain, programme.earn_rules)):
        return None
    return sum(_points(rule, amount) for rule in programme.earn_rules)


def _is_plain(rule: EarnRule) -> bool:
    cap = Cap(transaction=rule.cap.transaction)
    return (rule.basis, rule.only, rule.cap, rule.stacking) == ("currency", Only(), cap, "add")


def _points(rule: EarnRule, amount: int) -> int:
    twice = 2 if rule.rounding == "nearest" else 1
    add = {"down": 0, "nearest": rule.per, "up": rule.per - 1}[rule.rounding]
    points = (amount * rule.points * twice + add) // (rule.per * twice)
    return points if rule.cap.transaction is None else min(points, rule.cap.transaction)
