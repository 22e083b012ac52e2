"""Draws: who is in which control group, and who gets which variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

import duckdb
import numpy as np
import pytest

from tessera.decide import judging
from tessera.decide.people import MACROS, SQL
from tessera.decide.tables import salt_of
from tests import decide_model

NAMES = ["*", "welcome", "winback", "winback/first", "winback/second"]
PEOPLE = 20_000


@pytest.fixture(scope="module")
def drawn() -> Iterator[dict[str, list[int]]]:
    """The bucket of every person in each draw, in the order of their numbers."""
    with duckdb.connect() as duck:
        for macro in MACROS[:3]:
            duck.execute(SQL[macro])
        people = f"select i, cast('0x' || left(md5('C' || i), 8) as ubigint) as draw from range({PEOPLE}) as t (i)"
        yield {
            name: [
                row[0]
                for row in duck.execute(
                    f"select bucket_of(draw, {salt_of(name)}) from ({people}) order by i"
                ).fetchall()
            ]
            for name in NAMES
        }


def chi_square(found: Sequence[object], cells: int) -> float:
    expected = len(found) / cells
    counts = Counter(found)
    off = sum((count - expected) ** 2 / expected for count in counts.values())
    return off + (cells - len(counts)) * expected


def test_the_pass_draws_what_the_plain_model_draws(drawn: dict[str, list[int]]) -> None:
    for name, buckets in drawn.items():
        assert buckets[:200] == [decide_model.bucket(name, f"C{i}") for i in range(200)]


def test_columns_of_numbers_draw_what_the_queries_draw(drawn: dict[str, list[int]]) -> None:
    people = np.array([decide_model.draw_of(f"C{i}") for i in range(PEOPLE)], np.uint64)
    for name, buckets in drawn.items():
        mixed = judging.mixed(people, np.uint64(salt_of(name)))
        assert ((mixed * np.uint64(10_000)) >> np.uint64(32)).tolist() == buckets


@pytest.mark.parametrize("name", NAMES)
def test_every_share_of_a_draw_is_as_large_as_it_says(
    drawn: dict[str, list[int]], name: str
) -> None:
    assert chi_square([bucket // 100 for bucket in drawn[name]], 100) < 149  # once in a thousand


@pytest.mark.parametrize(("one", "other"), list(combinations(NAMES, 2)))
def test_no_draw_says_anything_of_another(
    drawn: dict[str, list[int]], one: str, other: str
) -> None:
    both = [(a // 1000, b // 1000) for a, b in zip(drawn[one], drawn[other], strict=True)]
    assert chi_square(both, 100) < 149
