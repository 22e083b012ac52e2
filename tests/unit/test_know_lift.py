"""Lift: intervals hold the truth as often as they say, and looking often costs nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.know.lift import compare, evaluate, judge

Arm = tuple[np.ndarray, np.ndarray]


def arms(rng: np.random.Generator, effect: float, number: int = 600) -> dict[str, Arm]:
    """Half are treated; spending is skewed, and half explained by the spending before."""
    before = rng.gamma(1.5, 20, number)
    y = 0.8 * before + rng.gamma(1.2, 15, number)
    treated = rng.random(number) < 0.5
    return {
        "mail": (y[treated] + effect, before[treated]),
        "control": (y[~treated], before[~treated]),
    }


def shares(campaigns: int, number: int) -> tuple[float, float, float]:
    """How often the interval holds the truth, how often nothing is found to be something, and how
    much variance the spending before takes away."""
    rng = np.random.default_rng(7)
    real = [compare("mail", "control", arms(rng, 3.0, number)) for _ in range(campaigns)]
    none = [compare("mail", "control", arms(rng, 0.0, number)) for _ in range(campaigns)]
    held = np.mean([one.interval[0] <= 3 <= one.interval[1] for one in real])
    found = np.mean([one.p < 0.05 for one in none])
    return float(held), float(found), float(np.mean([one.variance_reduction for one in real]))


def test_intervals_hold_and_nothing_is_seldom_found() -> None:
    held, found, less = shares(500, 600)
    assert 0.93 <= held <= 0.97
    assert 0.03 <= found <= 0.07
    assert less > 0.4


@pytest.mark.proof
def test_proof_of_intervals_over_many_campaigns() -> None:
    held, found, less = shares(5_000, 2_000)
    assert 0.94 <= held <= 0.96
    assert 0.04 <= found <= 0.06
    assert less > 0.4


def test_looking_every_day_finds_nothing_where_there_is_nothing() -> None:
    rng = np.random.default_rng(3)
    stopped = {"always": 0, "each look": 0}
    for _ in range(200):
        (y, b), (y0, b0) = arms(rng, 0.0, 1200).values()
        looks = [
            compare("mail", "control", {"mail": (y[:n], b[:n]), "control": (y0[:n], b0[:n])}, 1200)
            for n in range(50, min(len(y), len(y0)), 50)
        ]
        stopped["always"] += any(one.is_clear for one in looks)
        stopped["each look"] += any(one.p < 0.05 for one in looks)
    assert stopped["always"] <= 10
    assert stopped["each look"] > 20


def test_the_winner_is_clearly_better_than_control_and_the_others() -> None:
    rng = np.random.default_rng(4)
    found = arms(rng, 12.0, 4000)
    rival = arms(rng, 11.5, 4000)["mail"]
    assert judge(found, "control").winner == "mail"
    both = judge({**found, "letter": rival}, "control")
    assert both.winner is None
    assert "leads" in both.why
    alone, beside = (
        judge(its, "control").arms[0].always for its in ({**found}, {**found, "x": rival})
    )
    assert beside[0] < alone[0] < alone[1] < beside[1], "of several one is the best by chance"
    worse = {"mail": found["control"], "control": found["mail"]}
    assert judge(worse, "control").arms[0].is_clear
    assert judge(worse, "control").winner is None


def written(path: Path) -> Path:
    rows = [
        f"{name},{y:.3f},{before:.3f}"
        for name, arm in arms(np.random.default_rng(5), 9.0, 2000).items()
        for y, before in zip(*arm, strict=True)
    ]
    path.write_text("treatment,outcome,before\n" + "\n".join(rows))
    return path


def test_command_prints_the_difference_with_its_intervals(tmp_path: Path) -> None:
    path = written(tmp_path / "lift.csv")
    words = ["know", "evaluate", "lift", str(path), "--before", "before"]
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    (mail,) = found["arms"]
    assert mail["interval"][0] < 9 < mail["interval"][1]
    assert mail["variance_reduction"] > 0.4
    assert found["winner"] == "mail"
    assert "Winner: mail" in CliRunner().invoke(app, words).stdout


@pytest.mark.parametrize(
    ("columns", "control", "said"),
    [
        (("treatment", "outcome"), "nobody", "is never 'nobody'"),
        (("treatment", "spend"), "control", "no column 'spend'"),
        (("outcome", "treatment"), "control", "'treatment' is not a number"),
        (("treatment", "treatment"), "control", "'treatment' is named twice"),
    ],
)
def test_a_bad_file_is_one_sentence(
    tmp_path: Path, columns: tuple[str, str], control: str, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        evaluate(written(tmp_path / "lift.csv"), columns, control, None)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("mail,1e200,3", "row 61: 'outcome' is 1e\\+200, which no amount is"),
        ("mail,1,-1e16", "row 61: 'before' is -1e\\+16, which no amount is"),
        (",5,3", "row 61: 'treatment' is empty"),
        ("  ,5,3", "row 61: 'treatment' is empty"),
    ],
)
def test_rows_that_would_spoil_the_sums_or_belong_to_no_arm_are_told(
    tmp_path: Path, row: str, said: str
) -> None:
    rows = [f"{arm},{n},1" for n in range(30) for arm in ("mail", "control")]
    path = tmp_path / "lift.csv"
    path.write_text("treatment,outcome,before\n" + "\n".join([*rows, row]))
    with pytest.raises(BadInput, match=said):
        evaluate(path, ("treatment", "outcome"), "control", "before")


def test_an_outcome_may_be_true_or_false(tmp_path: Path) -> None:
    path = tmp_path / "bought.parquet"
    arms, bought = ["control", "mail"] * 50, [True, True, False, True] * 25
    pq.write_table(pa.table({"treatment": arms, "outcome": bought}), path)
    (mail,) = evaluate(path, ("treatment", "outcome"), "control", None).arms
    assert mail.difference == pytest.approx(0.5)


def test_arms_without_any_spread_differ_or_do_not() -> None:
    one, none = (np.ones(40), np.zeros(40)), (np.zeros(40), np.zeros(40))
    assert compare("mail", "control", {"mail": one, "control": none}).p < 1e-9
    assert compare("mail", "control", {"mail": none, "control": none}).p == 1


def test_a_small_control_group_in_which_nobody_bought_is_no_proof() -> None:
    """One in twenty buys, mail or no mail: of 40 nobody does in every eighth campaign."""
    rng = np.random.default_rng(6)
    people = {"mail": 400, "control": 40}
    found = []
    for _ in range(400):
        drawn = {name: (rng.random(n) < 0.05).astype(float) for name, n in people.items()}
        before = {name: rng.gamma(2.0, 10.0, n) for name, n in people.items()}
        both = {name: (drawn[name], before[name]) for name in people}
        found.append(compare("mail", "control", both))
    assert sum(one.p < 0.05 for one in found) <= 40
