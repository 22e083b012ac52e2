"""What is owed ties to the ledger to the point, and a sale is shared with its points by worth."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from tessera.errors import TesseraError
from tessera.reward.liability import deferred, liability
from tessera.reward.points import Books
from tessera.testing import line, workspace
from tests.conftest import BOTH_STORES
from tests.integration.test_reward_night import club, night


def test_a_sale_is_shared_with_its_points_by_worth() -> None:
    """2,000.00 with 2,000 points worth 0.10, of which 85 in 100 are expected: 1,843.32 and 156.68."""
    assert deferred(200_000, 2000, Fraction(10), Fraction(85, 100)) == 15_668
    assert 200_000 - 15_668 == 184_332
    assert deferred(0, 0, Fraction(10), Fraction(1)) == 0


@BOTH_STORES
def test_every_point_is_outstanding_or_accounted_for(store_url: str, tmp_path: Path) -> None:
    ws = workspace(tmp_path / "home", project=tmp_path / "project", store_url=store_url)
    club(ws, pending_days=3, expiry={"kind": "rolling", "months": 1, "to_end_of": "month"})
    sales = [
        line("t", "ann", 1000, sold_at="2026-01-10"),
        line("u", "ann", 500, sold_at="2026-02-20"),
        line("v", "bob", 700, sold_at="2026-03-08"),
    ]
    back = line("r", "ann", -200, original_transaction_id="u", sold_at="2026-02-21")
    night(ws, "2026-01-20", *sales)
    with ws.store.write() as store:
        books = Books(store, "club", datetime(2026, 1, 20, 9, tzinfo=UTC), date(2026, 1, 20))
        books.spend(key="s", customer_id="ann", points=4)
        books.hold(
            key="h", customer_id="ann", points=1, expires_at=datetime(2027, 1, 1, tzinfo=UTC)
        )
    night(ws, "2026-03-10", *sales, back)
    found = liability(ws.store, "club", "2026-03-31")
    assert found.movements == [
        {"month": "2026-01", "issued": 10, "activated": 0, "redeemed": 4, "expired": 0, "clawed_back": 0},
        {"month": "2026-03", "issued": 12, "activated": 0, "redeemed": 0, "expired": 5, "clawed_back": 2},
    ]  # fmt: skip
    assert found.outstanding == [
        {"expires_in": "2026-03", "points": 3},
        {"expires_in": "2026-04", "points": 7},
    ]
    assert [(c["earned_in"], c["points"], c["spent"], c["ended"]) for c in found.cohorts] == [
        ("2026-01", 10, 5, 5),
        ("2026-02", 5, 0, 0),
        ("2026-03", 7, 0, 0),
    ]
    assert found.points == 11  # the held one included
    with ws.store.write() as store:
        store.run("update account set balance = balance + 1 where owner_id = 'bob'")
    with pytest.raises(TesseraError, match="does not tie to the ledger"):
        liability(ws.store, "club", "2026-03-31")
    ws.store.close()
