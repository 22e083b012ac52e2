"""A retailer's export with two bad rows in a hundred: each is found, for its reason and no other."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from flows.validate import ValidateReport, judge
from tessera.feeds import FEEDS
from tessera.land import land, quarantine
from tessera.shop import Made, make_shop
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.landed import stored

Place = tuple[str, str, int]  # feed, file, row number
Judged = tuple[Workspace, Made, ValidateReport, Path]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("defects")
    shop = folder / "shop"
    made = make_shop(shop, customers=900, days=70, seed=11, defect_share=0.02)
    ws = workspace(folder / "home")
    land(ws, "made_up_shop", shop)
    return ws, made, judge(ws), shop


def planted(shop: Path) -> dict[Place, tuple[str, str]]:
    """Column and rule of every bad row that was planted."""
    with (shop / "truth" / "defects.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["feed"], row["file"], int(row["row_number"])): (row["column"], row["rule"])
            for row in csv.DictReader(file)
        }


def test_the_quarantine_holds_the_planted_rows_for_their_reasons_and_nothing_else(
    judged: Judged,
) -> None:
    ws, made, _, shop = judged
    found = {
        (row["feed"], row["file"], row["row_number"]): [
            (reason["column"], reason["rule"]) for reason in row["reasons"]
        ]
        for feed in FEEDS
        for row in stored(ws.home.quarantine, feed)
    }
    assert found == {place: [reason] for place, reason in planted(shop).items()}
    assert len(found) == made.defects > 200


def test_every_row_is_good_or_in_quarantine(judged: Judged) -> None:
    ws, made, report, _ = judged
    assert report.files_refused == 0
    assert report.rows_good + report.rows_bad == sum(made.rows.values())
    for its in quarantine.counts(ws):
        assert its.landed == made.rows[its.feed] == its.good + its.open
        assert len(stored(ws.home.validated, its.feed)) == its.good
