"""The next basket: one's own taste, filled with everybody's, tuned without a look at the answer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.know.baskets import Baskets, Taste, Wanted, recommend
from tessera.know.recommend import evaluate

TAFENG = "TESSERA_TAFENG"  # a JSON file with `history` and `next`


def ordered(rows: list[tuple[int, int, int]], items: int) -> Baskets:
    customer, item, age = np.array(sorted(rows)).T
    return Baskets(customer, item, age, int(customer.max()) + 1, items)


def shoppers(path: Path) -> Path:
    """Everybody buys two things of their own in most baskets, and one of a few that all like."""
    rng = np.random.default_rng(1)
    history, target = {}, {}
    for number in range(300):
        own = rng.integers(20, 200, 2).tolist()
        baskets = [
            [*(int(i) for i in own if rng.random() < 0.7), int(rng.integers(0, 5))]
            for _ in range(8)
        ]
        history[f"c{number}"], target[f"c{number}"] = baskets[:-1], baskets[-1]
    path.write_text(json.dumps({"history": history, "next": target}))
    return path


def test_own_items_come_first_by_how_lately_and_often_then_everybodys() -> None:
    baskets = ordered([(0, 3, 0), (0, 4, 5), (1, 5, 0), (2, 5, 0), (2, 6, 0), (3, 5, 1)], 8)
    found = recommend(baskets, Taste(0.8, 0.1), top=4)
    assert found[0].tolist() == [3, 4, 5, 6]
    assert found[1].tolist() == [5, 3, 6, 4]


def test_where_there_are_few_items_the_list_is_short() -> None:
    found = recommend(ordered([(0, 0, 0), (1, 1, 0)], 2), Taste(), top=4)
    assert found.tolist() == [[0, 1, -1, -1], [1, 0, -1, -1]]


def test_measures_are_those_of_the_books() -> None:
    wanted = Wanted(np.array([0, 0, 1]), np.array([7, 9, 8]))
    recall, ndcg = wanted.measure(np.array([[7, 1], [2, 8]]))
    assert recall == pytest.approx((1 / 2 + 1) / 2)
    assert ndcg == pytest.approx((1 / (1 + 1 / np.log2(3)) + 1 / np.log2(3)) / 2)


def test_recommendations_beat_popularity_and_own_counts(tmp_path: Path) -> None:
    found = evaluate(shoppers(tmp_path / "baskets.json"))
    assert found.measures["recall@10"] > found.baselines["popular"]["recall@10"]
    assert found.measures["recall@10"] >= found.baselines["own_count"]["recall@10"]
    low, high = found.intervals["recall@10"]
    assert low < found.measures["recall@10"] < high


def test_parameters_do_not_depend_on_the_answer(tmp_path: Path) -> None:
    path = shoppers(tmp_path / "baskets.json")
    given = json.loads(path.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**given, "next": {who: [0] for who in given["next"]}}))
    assert evaluate(other).parameters == evaluate(path).parameters


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "this is not JSON"),
        ("[" * 100_000, "this is not JSON"),
        ('{"history": {}}', "'history'"),
        ('{"history": {"a": [1]}, "next": {"a": [1]}}', "customer 'a' must have lists"),
        ('{"history": {"a": [[{}]]}, "next": {"a": [1]}}', "has the item"),
        ('{"history": {}, "next": {}}', "is empty"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        evaluate(path)


def test_command_prints_one_object(tmp_path: Path) -> None:
    path = shoppers(tmp_path / "baskets.json")
    path.write_text(path.read_text(), encoding="utf-8-sig")
    words = ["know", "evaluate", "recommend", str(path), "--json"]
    found = json.loads(CliRunner().invoke(app, words).stdout)
    assert {"recall@10", "ndcg@10", "baselines", "parameters"} <= set(found)


def test_real_baskets_are_foretold_as_well_as_by_the_best_known(tmp_path: Path) -> None:
    given = os.environ.get(TAFENG)
    if not given:
        pytest.skip(f"{TAFENG} does not name the file")
    found = evaluate(Path(given))
    assert found.measures["recall@10"] >= 0.125
    assert found.measures["ndcg@10"] >= 0.102


def test_an_item_that_only_the_answer_has_is_not_recommended_and_no_share_passes_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "two.json"
    history = [["a", "b"], ["b", "c"], ["a"]]
    said = {"history": {"1": history, "2": history}, "next": {"1": ["a"], "2": ["c", "unheard-of"]}}
    path.write_text(json.dumps(said))
    found = evaluate(path)
    assert found.measures["recall@10"] == 0.75
    assert all(0 <= low <= high <= 1 for low, high in found.intervals.values())
