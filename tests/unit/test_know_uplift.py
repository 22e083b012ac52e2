"""Uplift: learners find whom an offer moves, the policy keeps its rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.know import learners
from tessera.know.offers import Reason, Terms, choose
from tessera.know.people import Arms, load
from tessera.know.ranking import qini, uplift_at


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On so few rows threads wait for each other more than they work."""
    with threadpool_limits(1):
        yield


def campaign(number: int, seed: int = 1) -> tuple[np.ndarray, ...]:
    """Women gain 20 points by an offer, men lose 5; age tells who buys anyway, and no more."""
    rng = np.random.default_rng(seed)
    woman, age = rng.integers(0, 2, number), rng.random(number)
    treated = rng.integers(0, 2, number).astype(float)
    effect = np.where(woman == 1, 0.2, -0.05)
    bought = (rng.random(number) < 0.1 + 0.4 * age + treated * effect).astype(float)
    return woman, age, treated, bought, effect


def written(path: Path, number: int = 3000) -> Path:
    woman, age, treated, bought, _ = campaign(number)
    words = ["mail" if one else "none" for one in treated]
    rows = zip(["f" if w else "m" for w in woman], age, words, bought.astype(int), strict=True)
    path.write_text("sex,age,arm,visit\n" + "\n".join(",".join(map(str, row)) for row in rows))
    return path


def test_qini_is_1_for_who_knows_everything_and_0_for_chance() -> None:
    _, _, treated, bought, _ = campaign(4000)
    perfect = 2.0 * (bought == treated) + treated
    assert qini(bought, perfect, treated) == pytest.approx(1)
    assert qini(bought, np.zeros(4000), treated) == pytest.approx(0)
    assert abs(qini(bought, np.random.default_rng(0).random(4000), treated)) < 0.05


def test_uplift_at_a_share_is_the_difference_between_the_arms_there() -> None:
    score = np.array([4.0, 3.0, 2.0, 1.0])
    found = uplift_at(np.array([1.0, 0, 1, 1]), score, np.array([1.0, 0, 1, 0]), share=0.5)
    assert found == 1


@pytest.mark.parametrize("name", ["two_models", "class_transformation", "crossed"])
def test_learners_find_whom_the_offer_moves(name: str) -> None:
    woman, age, treated, bought, effect = campaign(6000)
    x = np.column_stack([woman, age])
    score = learners.LEARNERS[name](x, treated, bought)(x)
    assert score[woman == 1].mean() - score[woman == 0].mean() == pytest.approx(0.25, abs=0.1)
    assert qini(bought, score, treated) > 3 * abs(qini(bought, age, treated))
    assert effect[score > np.median(score)].mean() > 0.1


def test_policy_by_expected_margin_beats_offers_for_all_and_for_none() -> None:
    woman, age, treated, bought, effect = campaign(20_000)
    x = np.column_stack([woman, age])
    score = learners.blend(x, treated, bought)(x)
    anyway = learners.response(x, 1 - treated, bought)(x)
    terms = Terms(margin=500, cost=60, sure=1.1, exploration=0)
    people = [str(number) for number in range(len(x))]
    found = choose(people, anyway, score, np.full(len(x), np.inf), terms)

    truth = effect * terms.margin - (0.1 + 0.4 * age + effect) * terms.cost
    oracle = truth[truth > 0].sum()
    assert truth[found.offered].sum() > max(0.9 * oracle, truth.sum(), 0)


def test_each_rule_of_the_policy_has_its_reason() -> None:
    anyway = np.array([0.9, 0.3, 0.3, 0.3, 0.3])
    uplift = np.array([0.1, -0.1, 0.3, 0.01, 0.3])
    since = np.array([99.0, 99, 5, 99, 99])
    found = choose(list("abcde"), anyway, uplift, since, Terms(100, 20, exploration=0))
    assert found.reason == [
        Reason.SURE_BUYER,
        Reason.ANNOYED,
        Reason.HABIT,
        Reason.NOT_WORTH_IT,
        Reason.OFFER,
    ]
    assert found.offered.tolist() == [False, False, False, False, True]


def test_each_rule_of_the_policy_holds_from_its_limit_on() -> None:
    """Who buys as surely as that, whom it moves in no way, who has rested, and what wins nothing or
    less, once somebody was told of it."""
    anyway = np.array([0.75, 0.25, 0.25, 0.25, 0.25])
    uplift = np.array([0.25, 0.0, 0.5, 0.25, 0.125])
    since = np.array([99.0, 99, 28, 99, 99])
    terms = Terms(100, 20, contact=15, sure=0.75, rest_days=28, exploration=0)
    found = choose(list("abcde"), anyway, uplift, since, terms)
    assert found.gain.tolist() == [-10, -20, 20, 0, -10]
    assert found.reason == [
        Reason.SURE_BUYER,
        Reason.ANNOYED,
        Reason.OFFER,
        Reason.NOT_WORTH_IT,
        Reason.NOT_WORTH_IT,
    ]


def test_exploration_is_a_lot_that_stays_and_gives_half_of_them_the_offer() -> None:
    people = [str(number) for number in range(4000)]
    args = (np.zeros(4000), np.full(4000, -0.1), np.full(4000, 99.0))
    one, two = (choose(people, *args, Terms(100, 1, exploration=0.1)) for _ in range(2))
    assert one.reason == two.reason
    explored = one.reason.count(Reason.EXPLORED)
    assert explored == pytest.approx(400, abs=80)
    assert one.offered.sum() == pytest.approx(explored / 2, abs=50)


def test_command_reports_learners_beside_baselines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tessera.know.uplift.SEEDS", 2)
    words = ["--treatment", "arm", "--control", "none", "--outcome", "visit", "--json"]
    path = written(tmp_path / "campaign.csv")
    done = CliRunner().invoke(app, ["know", "evaluate", "uplift", str(path), *words])
    found = json.loads(done.stdout)
    assert {"mean", "sd", "per_learner", "baselines"} <= set(found["qini"])
    assert found["qini"]["mean"] > found["qini"]["baselines"]["response_model"]["mean"]
    assert {"nobody", "everybody", "blend"} <= set(found["policies"])
    assert found["features"] == ["sex f", "sex m", "age"]


@pytest.mark.parametrize(
    ("arms", "outcome", "ignore", "said"),
    [
        (Arms("arm", "nobody"), "visit", [], "is never 'nobody'"),
        (Arms("group", "none"), "visit", [], "no column 'group'"),
        (Arms("arm", "none"), "age", [], "write 0 or 1"),
        (Arms("arm", "none"), "visit", ["sex", "age"], "no column is left"),
        (Arms("sex", "m"), "visit", ["spend"], "no column 'spend'"),
        (Arms("arm", "none", "none"), "visit", [], "--treated .* --control are both 'none'"),
    ],
)
def test_a_bad_file_is_one_sentence(
    tmp_path: Path, arms: Arms, outcome: str, ignore: list[str], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        load(written(tmp_path / "campaign.csv"), arms, outcome, ignore)


def test_columns_may_have_any_name_and_type(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    columns = {
        "arm": rng.random(900) < 0.5,
        "visit": rng.random(900) < 0.5,
        "_row": rng.normal(size=900),
        "rowid": rng.normal(size=900) * 1e300,
    }
    path = tmp_path / "campaign.parquet"
    pq.write_table(pa.table(columns), path)
    found = load(path, Arms("arm", "false"), "visit", [])
    assert found.treated.sum() == columns["arm"].sum()
    assert found.outcome.sum() == columns["visit"].sum()
    assert found.names == ["_row"]
    assert found.left_out == ["rowid"]
