"""How well next baskets would have been foretold, on a file of ordered baskets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tessera.errors import BadInput
from tessera.know.baskets import Baskets, Ints, Taste, Wanted, recommend, tune
from tessera.know.fitting import Z


@dataclass(frozen=True)
class RecommendReport:
    """Means over the customers who have a basket to foretell."""

    customers: int
    items: int
    measures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    baselines: dict[str, dict[str, float]]
    parameters: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        rest = {name: value for name, value in vars(self).items() if name != "measures"}
        return {**self.measures, **rest}


def evaluate(path: Path) -> RecommendReport:
    """Recommend from each `history`, and compare with `next`."""
    histories, targets = _load(path)
    baskets, wanted = _index(path, histories, targets)
    taste = tune(baskets)
    found = recommend(baskets, taste)
    everybody = Taste(taste.decay, 1e6)
    own = Taste(1.0, 1e-6)
    return RecommendReport(
        customers=len(np.unique(wanted.customer)),
        items=baskets.items,
        measures=_named(wanted.measure(found)),
        intervals=_intervals(wanted, found),
        baselines={
            "popular": _named(wanted.measure(recommend(baskets, everybody))),
            "own_count": _named(wanted.measure(recommend(baskets, own))),
        },
        parameters=vars(taste).copy(),
    )


def _named(measures: tuple[float, float]) -> dict[str, float]:
    return {"recall@10": round(measures[0], 4), "ndcg@10": round(measures[1], 4)}


def _intervals(wanted: Wanted, found: Ints) -> dict[str, tuple[float, float]]:
    """95 %, from the spread over twenty parts of the customers."""
    parts = np.arange(len(found)) % 20
    rows = [_part(wanted, found, parts == part) for part in range(20)]
    known = np.array([row for row in rows if row is not None])
    if len(known) < 2:  # noqa: PLR2004
        return {}
    width = Z * known.std(axis=0, ddof=1) / np.sqrt(len(known))
    mean = known.mean(axis=0)
    return {
        name: (
            round(max(float(mean[i] - width[i]), 0.0), 4),
            round(min(float(mean[i] + width[i]), 1.0), 4),
        )
        for i, name in enumerate(("recall@10", "ndcg@10"))
    }


def _part(wanted: Wanted, found: Ints, here: Any) -> tuple[float, float] | None:
    kept = here[wanted.customer]
    if not kept.any():
        return None
    number = np.cumsum(here) - 1
    return Wanted(number[wanted.customer[kept]], wanted.item[kept]).measure(found[here])


def _load(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file; give the path of a JSON file.") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: this is not JSON ({error}).") from None
    parts = [found.get(key) if isinstance(found, dict) else None for key in ("history", "next")]
    histories, targets = (_by_customer(part) for part in parts)
    if not isinstance(histories, dict) or not isinstance(targets, dict):
        raise BadInput(
            f"{path}: give one object with 'history' (a list of baskets per customer) and 'next' "
            "(the basket to foretell per customer)."
        )
    return dict(histories), dict(targets)


def _by_customer(part: Any) -> Any:
    return dict(enumerate(part)) if isinstance(part, list) else part


def _index(
    path: Path, histories: Mapping[str, Any], targets: Mapping[str, Any]
) -> tuple[Baskets, Wanted]:
    """Items and customers by number; a customer to be foretold may have no history."""
    people = list(dict.fromkeys([*histories, *targets]))
    numbers: dict[Any, int] = {}
    rows: list[tuple[int, int, int]] = []
    wanted: list[tuple[int, int]] = []
    for number, who in enumerate(people):
        baskets = [basket for basket in _lists(path, who, histories.get(who, [])) if basket]
        for back, basket in enumerate(reversed(baskets)):
            rows += [(number, _item(path, who, one, numbers), back) for one in basket]
        (target,) = _lists(path, who, [targets.get(who, [])])
        wanted += [(number, _item(path, who, one, numbers)) for one in target]
    if not rows or not wanted:
        raise BadInput(f"{path}: 'history' or 'next' is empty; nothing can be learned or foretold.")
    customer, item, age = np.array(rows, dtype=np.int64).T
    return Baskets(customer, item, age, len(people), len(numbers)), Wanted(
        *np.array(wanted, dtype=np.int64).T
    )


def _lists(path: Path, who: Any, baskets: Any) -> list[list[Any]]:
    if not isinstance(baskets, list) or not all(isinstance(basket, list) for basket in baskets):
        raise BadInput(
            f"{path}: customer '{who}' must have lists of items, not {str(baskets)[:40]}."
        )
    return baskets


def _item(path: Path, who: Any, item: Any, numbers: dict[Any, int]) -> int:
    if not isinstance(item, str | int):
        raise BadInput(
            f"{path}: customer '{who}' has the item {str(item)[:40]}; write text or a number."
        )
    return numbers.setdefault(item, len(numbers))
