"""Value: buying models recover what made the purchases, and the command says how well it foretold."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.know import spend
from tessera.know.history import History, thin
from tessera.know.pareto import Pareto
from tessera.know.purchases import Columns
from tessera.know.rhythm import Rhythm
from tessera.know.value import evaluate

CDNOW = "TESSERA_CDNOW"  # the public sample file: customer, number, date, pieces, dollars
FIRST = date(2024, 1, 1)


def buyers(number: int, days: int, *, k: int = 1, seed: int = 1) -> list[list[float]]:
    """Days of purchase of customers with r 0.8, a 1, b 4 and a purchase in 40 days at the mean."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        rate, leaving = rng.gamma(0.8, 1 / 32), rng.beta(1, 4)
        at = float(rng.integers(0, days // 2))
        one = [at]
        while rng.random() > leaving and at < days:
            at += rng.gamma(k, 1 / (k * rate))
            one.append(at)
        found.append([day for day in one if day < days])
    return found


def history(bought: list[list[float]], end: float) -> History:
    known = [[day for day in one if day <= end] for one in bought]
    x = np.array([len(one) - 1 for one in known], float)
    recency = np.array([one[-1] - one[0] for one in known])
    age = np.array([end - one[0] for one in known])
    return History(x, recency, age, np.ones_like(x))


@pytest.fixture(scope="module")
def purchases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(2)
    rows = [
        f"{number},{FIRST + timedelta(days=int(day))},{rng.gamma(6, 15 / own):.2f}"
        for number, one in enumerate(buyers(700, 300))
        for own in [rng.gamma(4)]
        for day in one
    ]
    path = tmp_path_factory.mktemp("value") / "purchases.csv"
    path.write_text("customer_id,purchased_at,amount\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("k", [1, 2])
def test_expected_purchases_are_those_that_come(k: int) -> None:
    bought = buyers(3000, 400, k=k)
    known = history(bought, 250)
    model = Rhythm(k)
    fitted = model.fit(known, intervals=False)
    actual = sum(day > 250 for one in bought for day in one)
    assert model.expected(known, fitted, 150.0).sum() == pytest.approx(actual, rel=0.06)
    assert fitted.parameters["r"] == pytest.approx(0.8, rel=0.25)


def test_intervals_hold_the_parameters_that_made_the_purchases() -> None:
    fitted = Rhythm(1).fit(history(buyers(3000, 400), 250))
    low, high = fitted.intervals["r"]
    assert low < 0.8 < high


def test_pareto_foretells_about_as_much_as_the_model_that_made_the_purchases() -> None:
    known = history(buyers(2000, 400), 250)
    usual, other = Rhythm(1), Pareto()
    expected = [
        m.expected(known, m.fit(known, intervals=False), 100.0).sum() for m in (usual, other)
    ]
    assert expected[1] == pytest.approx(expected[0], rel=0.1)


def test_gamma_gamma_draws_a_customers_mean_towards_everybodys() -> None:
    rng = np.random.default_rng(3)
    repeats = rng.integers(1, 10, 3000).astype(float)
    own = rng.gamma(4, 1, 3000)
    mean = rng.gamma(6 * repeats, 15 / own) / repeats  # q = 4, v = 15, p = 6
    fitted = spend.fit(repeats, mean, intervals=False)
    assert fitted.values == pytest.approx([6, 4, 15], rel=0.25)
    one, nine = spend.expected(fitted, np.array([1.0, 9.0]), np.array([100.0, 100.0]))
    assert mean.mean() < one < nine < 100


def test_thinning_keeps_the_shares_of_frequent_rows() -> None:
    count = np.array([900.0] + [1.0] * 100)
    rows, kept = thin(count, 50)
    assert kept.sum() == 50
    assert kept[rows == 0].sum() == pytest.approx(45, abs=1)


def test_value_foretells_better_than_the_rate_so_far(purchases: Path) -> None:
    found = evaluate(purchases, date(2024, 7, 1), date(2024, 10, 20), Columns(), "weeks")
    assert found.interval[0] < found.actual < found.interval[1]
    assert found.expected == pytest.approx(found.actual, rel=0.15)
    assert found.mae < found.naive["mae"]
    assert set(found.parameters) >= {"bg_nbd", "gamma_gamma"}
    assert found.weekly["within_interval"] > 0.8
    assert found.weekly["revenue_within_interval"] > 0.8


def test_a_week_is_as_sure_in_money_as_in_purchases_only_where_all_cost_the_same(
    purchases: Path, tmp_path: Path
) -> None:
    same = tmp_path / "same.csv"
    header, *rows = purchases.read_text().splitlines()
    same.write_text("\n".join([header, *(f"{row.rpartition(',')[0]},5" for row in rows)]) + "\n")
    width: dict[Path, list[tuple[float, float]]] = {}
    for path in (same, purchases):
        found = evaluate(path, date(2024, 7, 1), date(2024, 10, 20), Columns(), "weeks")
        assert all(one["revenue_low"] < one["expected_revenue"] for one in found.weeks)
        width[path] = [
            (one["high"] / one["expected_purchases"], one["revenue_high"] / one["expected_revenue"])
            for one in found.weeks
        ]
    assert all(money == pytest.approx(number, rel=0.01) for number, money in width[same])
    assert all(money - 1 > 1.1 * (number - 1) for number, money in width[purchases])


def test_nothing_after_the_calibration_is_learned_from(purchases: Path, tmp_path: Path) -> None:
    header, *rows = purchases.read_text().splitlines()
    cut = tmp_path / "cut.csv"
    kept = [row for row in rows if row.split(",")[1] <= "2024-07-02"]
    cut.write_text("\n".join([header, *kept]) + "\n")
    ends = date(2024, 7, 1), date(2024, 10, 20)
    whole, short = (evaluate(path, *ends, Columns(), "weeks") for path in (purchases, cut))
    assert short.expected == whole.expected
    assert short.parameters["bg_nbd"] == whole.parameters["bg_nbd"]


def test_command_prints_one_object(purchases: Path) -> None:
    words = ["know", "evaluate", "value", str(purchases)]
    days = ["--calibration-end", "2024-07-01", "--holdout-end", "2024-10-20"]
    found = json.loads(CliRunner().invoke(app, [*words, *days, "--json"]).stdout)
    assert {"expected", "actual", "mae", "rmse", "naive", "parameters", "intervals"} <= set(found)


def test_a_holdout_that_the_purchases_do_not_reach_is_told(purchases: Path) -> None:
    words = ["know", "evaluate", "value", str(purchases), "--calibration-end", "2024-07-01"]
    said = [
        CliRunner().invoke(app, [*words, "--holdout-end", end, "--json"]).stderr
        for end in ("2024-10-20", "2024-12-31")
    ]
    assert said[0] == ""
    assert "no purchase after 2024-10-26" in said[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("customer_id,amount\n1,3\n", "no column 'purchased_at'"),
        ("customer_id,purchased_at,amount\n", "no rows"),
        ("customer_id,purchased_at,amount\n1,2024-01-01,3\n1,soon,3\n", "row 2: 'purchased_at'"),
        ('customer_id,purchased_at,amount\n1,2024-01-01,"3,5"\n', "row 1: 'amount' is '3,5'"),
        ("customer_id,purchased_at,amount\n,2024-01-01,3\n", "no row has a customer"),
        ("customer_id,purchased_at,amount\n1,2024-01-01,3\n1,2024-05-01,3\n", "too few"),
        ("customer_id,purchased_at,amount\n1,2025-01-01,3\n", "choose a --calibration-end"),
        ("customer_id,purchased_at,amount\n1,0024-01-01,3\n", "row 1: .* not a date from 1900"),
        ("customer_id,purchased_at,amount\n1,20240-01-01,3\n", "row 1: .* not a date from 1900"),
        ("customer_id,purchased_at,amount\n1,infinity,3\n", "row 1: .* not a date from 1900"),
        ("customer_id,purchased_at,amount\n1,2024-01-01,1e300\n", "not a number up to 1e15"),
        ("customer_id,purchased_at,amount\n\xe9,2024-01-01,3\n", "not utf-8"),
        ("customer_id,purchased_at,amount\n" + "1,2024-01-01,3\n" * 3000 + "1,2\n", "3 Found: 2"),
        ("customer_id,purchased_at,amount\n1,2024-01-01,3\n1,2\n", "more or fewer values"),
        ("", "the file is empty"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadInput, match=said):
        evaluate(path, date(2024, 3, 1), date(2024, 6, 1), Columns(), "weeks")


def test_published_parameters_of_cdnow(tmp_path: Path) -> None:
    """Fader, Hardie and Lee (2005), and Fader and Hardie (2013)."""
    given = os.environ.get(CDNOW)
    if not given:
        pytest.skip(f"{CDNOW} does not name the file")
    path = tmp_path / "cdnow.csv"
    cells = [line.split() for line in Path(given).read_text().splitlines()]
    rows = "\n".join(f"{row[1]},{row[2]},{row[4]}" for row in cells)
    path.write_text(f"customer_id,purchased_at,amount\n{rows}\n")
    found = evaluate(path, date(1997, 9, 30), date(1998, 6, 30), Columns(), "weeks")
    plain, worth = found.parameters["bg_nbd"], found.parameters["gamma_gamma"]
    assert list(plain.values()) == pytest.approx([0.243, 4.414, 0.793, 2.426], abs=0.0006)
    assert list(worth.values()) == pytest.approx([6.25, 3.74, 15.44], abs=0.006)
    assert found.actual == 1882
    assert found.expected == pytest.approx(1882, rel=0.1)
    assert found.mae < 0.786
