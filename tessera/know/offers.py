"""An offer or none, per customer, by expected margin; the reason is kept with the choice.

The rules in their order; the first that holds decides:
`explored`: a small share gets either by lot, so that tomorrow's learning has something to learn from;
`sure_buyer`: buys anyway; `annoyed`: would buy less; `habit`: had an offer a short while ago;
`not_worth_it`: what it wins is less than it costs those who would have bought; else `offer`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tessera.know.fitting import Floats


class Reason(StrEnum):
    """Why a customer gets an offer or none."""

    EXPLORED = "explored"
    SURE_BUYER = "sure_buyer"
    ANNOYED = "annoyed"
    HABIT = "habit"
    NOT_WORTH_IT = "not_worth_it"
    OFFER = "offer"


@dataclass(frozen=True)
class Terms:
    """What an offer is about, in minor units, and how careful to be with it."""

    margin: Floats | float  # of a purchase, before the offer; of each customer's, or of any
    cost: Floats | float  # of the offer, when it is used
    contact: float = 0  # what it costs to tell of it
    sure: float = 0.8  # the chance of buying anyway from which nobody needs an offer
    rest_days: int = 28  # between two offers, lest they become a habit
    exploration: float = 0.05
    seed: str = "offers"


@dataclass(frozen=True)
class Choices:
    """Per customer: whether there is an offer, why, and the margin expected of giving it."""

    offered: NDArray[np.bool_]
    reason: list[Reason]
    gain: Floats


def choose(
    customers: Iterable[str], anyway: Floats, uplift: Floats, days_since_offer: Floats, terms: Terms
) -> Choices:
    """`anyway` is the chance of buying without an offer, `uplift` what an offer adds to it."""
    gain = uplift * terms.margin - np.clip(anyway + uplift, 0, 1) * terms.cost - terms.contact
    lots = [_lot(terms.seed, customer) for customer in customers]
    explored = np.array([lot < terms.exploration for lot in lots], bool)
    rules = {
        Reason.EXPLORED: explored,
        Reason.SURE_BUYER: anyway >= terms.sure,
        Reason.ANNOYED: uplift <= 0,
        Reason.HABIT: days_since_offer < terms.rest_days,
        Reason.NOT_WORTH_IT: gain <= 0,
    }
    first = np.select(list(rules.values()), list(range(len(rules))), len(rules))
    names = [*rules, Reason.OFFER]
    by_lot = np.array([lot < terms.exploration / 2 for lot in lots], bool)
    return Choices((first == len(rules)) | by_lot, [names[number] for number in first], gain)


def _lot(seed: str, customer: str) -> float:
    """A number from 0 to 1 that stays a customer's own."""
    digest = blake2b(f"{seed}\x1f{customer}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
