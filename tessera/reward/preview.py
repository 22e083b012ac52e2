"""What a basket will earn: shown is what will be granted, or nothing.

The night's own rules are asked, of a receipt that is not one yet. They cannot tell what the night alone
knows: what else the member, or everybody, buys until then, and who and what the models have not met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from tessera import clock
from tessera.errors import BadInput
from tessera.home import Home
from tessera.reward import earning
from tessera.reward.programme import Programme
from tessera.reward.rules import Cap, EarnRule, Only
from tessera.store import queries
from tessera.vouchers.spending import Basket
from tessera.warehouse import marts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "preview.sql")
NOBODY = "-"


@dataclass(frozen=True)
class Sale:
    """A basket about to be bought, and `paid` of it in money: the rest is what vouchers and points pay."""

    basket: Basket
    paid: int
    store_id: str
    at: datetime
    customer_id: str | None = None
    tier: str | None = None

    @property
    def amounts(self) -> Sequence[int]:
        """Of the lines, less what is not paid in money: it comes off somewhere, which the sum of a
        receipt does not tell."""
        left, found = self.paid, []
        for line in self.basket.lines:
            found.append(min(left, line.amount))
            left -= found[-1]
        return found


@dataclass(frozen=True)
class Preview:
    """One programme's rules, in the shop's zone, beside the marts of `home`."""

    programme: Programme
    home: Home
    zone: str
    turn: Lock = field(default_factory=Lock)

    def earns(self, sale: Sale) -> int | None:
        """The points of the sale; None where only the night knows."""
        if self.programme.currency not in ("any", sale.basket.currency):
            return 0
        if self._is_open(sale):
            return None
        if self._is_a_sum:
            return self._sum(sale)
        with self.turn:
            self._duck.execute(SQL["forget"])
            if not self._fill(sale):
                return None
            found = self._duck.execute(SQL["worth"]).fetchall()
        if any(self._rules[rule].hangs_on_others for rule, _ in found):
            return None
        return sum(int(points) for _, points in found)

    @cached_property
    def _rules(self) -> dict[str, EarnRule]:
        return {rule.rule: rule for rule in self.programme.earn_rules}

    @cached_property
    def _is_a_sum(self) -> bool:
        """Whether no rule has a condition, which is told in a thousandth of the time."""
        return all(map(_is_plain, self.programme.earn_rules))

    def _sum(self, sale: Sale) -> int:
        rates = [rate for rate in self.programme.rates() if rate["tier"] == (sale.tier or "")]
        return sum(_points(self._rules[rate["rule"]], rate, sale.paid) for rate in rates)

    @cached_property
    def _multiplies(self) -> bool:
        levels = self.programme.tiers.levels if self.programme.tiers else ()
        return any(level.factor != 1 for level in levels)

    def _asks(self, *names: str) -> bool:
        """Whether a rule has one of these conditions."""
        return any(getattr(r.only, name) for r in self._rules.values() for name in names)

    def _is_open(self, sale: Sale) -> bool:
        """Whether the till does not tell what a rule asks."""
        asks_who = self._multiplies or self._asks("tiers", "first_purchase", "birthday")
        is_less = sale.paid < sale.basket.total
        has_counts = all(line.quantity is not None for line in sale.basket.lines)
        return (
            (asks_who and sale.customer_id is None)
            or (is_less and any(rule.pays_some_lines for rule in self._rules.values()))
            or (not has_counts and any(rule.basis == "item" for rule in self._rules.values()))
        )

    @cached_property
    def _duck(self) -> DuckDBPyConnection:
        import duckdb

        duck = duckdb.connect(config={"threads": 1, "memory_limit": "256MB"})
        duck.execute(SQL["tables"])
        earning.make_views(duck, self.programme, self.zone)
        return duck

    def _fill(self, sale: Sale) -> bool:
        """The sale, and what the marts know of it; whether they know all that is asked."""
        lines, customer_id = sale.basket.lines, sale.customer_id or NOBODY
        self._duck.execute(SQL["basket"], {
            "customer_id": customer_id, "currency": sale.basket.currency,
            "store_id": sale.store_id, "at": clock.naive(sale.at),
            "products": [line.product for line in lines], "amounts": sale.amounts,
            "quantities": [line.quantity for line in lines],
        })  # fmt: skip
        if sale.tier:
            self._duck.execute(SQL["tier"], {"customer_id": customer_id, "tier": sale.tier})
        named = {line.product for line in lines}
        if self._asks("categories", "brands") and self._from_marts(
            "products", "products", products=list(named)
        ) < len(named):
            return False
        if not self._asks("first_purchase", "birthday"):
            return True
        self._from_marts("customers", "earlier", customer_id=customer_id)
        return bool(self._from_marts("customers", "customer", customer_id=customer_id))

    def _from_marts(self, mart: str, query: str, **values: Any) -> int:
        """How many rows of the mart were found."""
        from duckdb import InvalidInputException, IOException

        try:
            files = marts.current(self.home).marts[mart]
            given = {"files": str(self.home.marts / files), **values}
            (count,) = self._duck.execute(SQL[query], given).fetchall()[0]
        except (BadInput, KeyError, IOException, InvalidInputException):
            return 0  # nothing is published yet, or it is lost or damaged
        return int(count)


def _is_plain(rule: EarnRule) -> bool:
    cap = Cap(transaction=rule.cap.transaction)
    return (rule.basis, rule.only, rule.cap, rule.stacking) == ("currency", Only(), cap, "add")


def _points(rule: EarnRule, rate: Mapping[str, Any], amount: int) -> int:
    per, twice = rate["denominator"], 2 if rule.rounding == "nearest" else 1
    add = {"down": 0, "nearest": per, "up": per - 1}[rule.rounding]
    points = int((amount * rate["numerator"] * twice + add) // (per * twice))
    return points if rule.cap.transaction is None else min(points, rule.cap.transaction)
