"""Scores of a home: everybody who bought has one, and is recommended nothing just bought."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tessera.errors import BadInput
from tessera.know.scores import score
from tessera.testing import line, publish, workspace
from tessera.workspace import Workspace

FIRST = date(2025, 10, 1)


def bought(number: int = 120, days: int = 180) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    rows = []
    for who in range(number):
        own, day = rng.integers(0, 30, 2), float(rng.integers(0, 60))
        gap = rng.gamma(2, 10)
        while day < days:
            product = f"p{rng.choice(own)}" if rng.random() < 0.8 else "p99"
            at = str(FIRST + timedelta(days=int(day)))
            rows.append(line(f"t{len(rows)}", f"c{who}", 900, product_id=product, sold_at=at))
            day += rng.gamma(2, gap / 2) + 1
    return rows


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = workspace(tmp_path_factory.mktemp("scores") / "home")
    publish(ws, transactions=bought())
    score(ws)
    return ws


def test_everybody_who_bought_has_a_score(scored: Workspace) -> None:
    path = scored.home.know / "scores.parquet"
    number, least, most, money = duckdb.sql(
        f"select count(distinct customer_id), min(alive), max(alive), sum(expected_revenue) from '{path}'"
    ).fetchall()[0]
    assert number == 120
    assert 0 <= least <= most <= 1
    assert money == pytest.approx(
        900 * duckdb.sql(f"select sum(expected_purchases) from '{path}'").fetchall()[0][0], rel=0.02
    )


def test_nothing_just_bought_is_recommended(scored: Workspace) -> None:
    owned, lately = defaultdict(set), defaultdict(set)
    for row in bought():
        owned[row["customer_id"]].add(row["product_id"])
        if row["sold_at"] > "2026-03-24":
            lately[row["customer_id"]].add(row["product_id"])
    path = scored.home.know / "recommendations.parquet"
    rows = duckdb.sql(f"select customer_id, rank, product_id, kind from '{path}'").fetchall()
    assert any(lately.values())
    assert not [who for who, _, product, _ in rows if product in lately[who]]
    assert all((kind == "replenish") == (product in owned[who]) for who, _, product, kind in rows)
    assert {rank for _, rank, _, _ in rows} <= set(range(1, 11))


def test_again_writes_the_same_bytes(scored: Workspace) -> None:
    paths = sorted(scored.home.know.iterdir())
    before = [path.read_bytes() for path in paths]
    score(scored)
    assert [path.read_bytes() for path in paths] == before


def test_too_few_purchases_are_one_sentence(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home")
    publish(ws, transactions=[line("t", "c", 900)])
    with pytest.raises(BadInput, match="too few to learn from"):
        score(ws)
