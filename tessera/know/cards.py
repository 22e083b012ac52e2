"""Model cards: what each model was learned from, when, how good it is, and what it cannot do, as Markdown
beside what it gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tessera.know.baskets import Taste
from tessera.know.choices import Advice
from tessera.know.forecast import Forecast
from tessera.warehouse.inputs import replace_text
from tessera.workspace import Workspace

SUMMARY = """# {title}

| | |
|---|---|
{facts}

**How good.** {good}

**Limits.** {limits}
"""


@dataclass(frozen=True)
class Card:
    """One page; facts by name."""

    name: str
    title: str
    facts: Mapping[str, object]
    good: str
    limits: str

    def __str__(self) -> str:
        facts = "\n".join(f"| {name} | {value} |" for name, value in self.facts.items())
        return SUMMARY.format(title=self.title, facts=facts, good=self.good, limits=self.limits)


def write(ws: Workspace, *cards: Card) -> None:
    """Write each card as `know/cards/<name>.md`; whole, or as it was."""
    folder = ws.home.know / "cards"
    folder.mkdir(parents=True, exist_ok=True)
    for card in cards:
        replace_text(folder / f"{card.name}.md", str(card))


def of_value(ws: Workspace, found: Forecast, people: int, errors: Mapping[str, float]) -> Card:
    off = "There is too little history to try it on the past."
    if errors:
        off = (
            "The last eight weeks, foretold from the days before them, were off by "
            f"{errors['purchases_off']:.1%} of the purchases and {errors['revenue_off']:.1%} of the "
            f"revenue, added up week by week; {errors['within_interval']:.0%} of them lay within "
            f"their 95 % interval, {errors['revenue_within_interval']:.0%} within that of the revenue."
        )
    fits = {
        f"parameters, {name}": ", ".join(
            f"{key} {value:.3f}" for key, value in fit.parameters.items()
        )
        for name, fit in found.fits.items()
    }
    facts = {
        **_common(ws, "published receipts, days with a purchase per customer"),
        "model": found.model,
        "customers": f"{people:,}",
        **fits,
        "level, from back-tests": f"{found.level:.3f} (give or take {found.level_error:.0%})",
    }
    return Card("value", "Purchases to come", facts, off, VALUE_LIMITS)


VALUE_LIMITS = (
    "It speaks of people who have bought already, not of those who will come for the first time. With "
    "less than a year it knows no season. Returns are not taken off."
)


def of_recommendations(ws: Workspace, chosen: pa.Table, taste: Taste) -> Card:
    kinds = chosen["kind"].value_counts().to_pylist()
    facts = {
        **_common(ws, "published receipts, products per customer and day, and the assortment"),
        "decay per basket": taste.decay,
        "weight of everybody's taste": taste.popularity,
        **{f"rows, {one['values']}": f"{one['counts']:,}" for one in kinds},
    }
    good = "Try it on your own baskets: `tessera know evaluate recommend`."
    return Card("recommendations", "What to recommend", facts, good, RECOMMENDATION_LIMITS)


RECOMMENDATION_LIMITS = (
    "No feed tells the stock: what has not been sold for long is taken for gone. A product without a "
    "price or margin passes these rules. What is new to the assortment is recommended once others buy it."
)


def of_offers(ws: Workspace, advice: Advice) -> Card:
    reasons: list[dict[str, Any]] = advice.rows["reason"].value_counts().to_pylist()
    facts = {
        **_common(ws, f"{advice.people:,} people of the trial of {advice.day}"),
        "model": "boosted trees per arm, crossed; boosted trees of who buys anyway",
        **{f"customers, {one['values']}": f"{one['counts']:,}" for one in reasons},
    }
    worth = "; ".join(
        f"{name} {mean:.1f} ± {1.96 * error:.1f}" for name, (mean, error) in advice.worth.items()
    )
    good = (
        f"Margin per person of the trial, in minor units, chosen by the other half of it: {worth}."
    )
    return Card("offers", "Who needs an offer", facts, good, OFFER_LIMITS)


OFFER_LIMITS = (
    "It knows what the trial's days were like: another season, or another offer, needs another trial. "
    "The margin is a share of the usual basket, the same for everybody. Intervals are 95 %."
)


def _common(ws: Workspace, data: str) -> dict[str, object]:
    return {"learned on": ws.business_date.isoformat(), "data": data}
