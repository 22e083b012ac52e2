"""The made-up shop through its own mapping and the guard at the door."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from expectations.suites import suite_of
from flows.validate import judge
from tessera.land import land, plan
from tessera.settings import CHECKOUT
from tessera.shop import make_shop
from tessera.shop.defects import catalogue
from tessera.shop.shop import Format
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.landing import landed

FEEDS = sorted({defect.feed for defect in catalogue()})


def test_a_good_shop_lands_and_passes_whole(ws: Workspace, tmp_path: Path) -> None:
    """As typed Parquet; among planted bad rows CSV and Parquet of text prove the same below."""
    shop = tmp_path / "shop"
    made = make_shop(shop, customers=120, days=40, seed=5, file_format="parquet")
    landed = land(ws, "made_up_shop", shop)
    assert landed.feeds == made.rows
    assert (landed.refused, landed.notes, landed.ignored) == ((), (), ())
    judged = judge(ws)
    assert (judged.rows_good, judged.rows_bad) == (sum(made.rows.values()), 0)
    assert judged.refusals == ()


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_money_arrives_in_cents_and_the_till_s_time_in_utc(
    ws: Workspace, tmp_path: Path, file_format: Format
) -> None:
    shop = tmp_path / "shop"
    make_shop(shop, customers=60, days=30, seed=5, file_format=file_format)
    land(ws, "made_up_shop", shop)
    options = ", delim=';'" if file_format == "csv" else ""
    exported = f"read_{file_format}('{shop}/receipts_2025-01.{file_format}'{options})"
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        wrong = db.execute(
            f"""select count(*), count(*) filter (
                cents <> amount or timezone(e.tz, e.till_time)::timestamp <> l.sold_at)
            from (select *, (paid * 100)::bigint as cents from {exported}) as e
            full join '{ws.home.landing}/transactions/*/*.parquet' as l
                on l.transaction_id = e.receipt_no::varchar and l.line_id = e.line_no::varchar"""
        ).fetchone()
    assert wrong is not None
    assert wrong[0] > 100
    assert wrong[1] == 0


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_small_file_is_landed_as_a_large_one(
    tmp_path: Path, file_format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path / "shop"
    make_shop(shop, customers=80, days=40, seed=6, file_format=file_format, defect_share=0.05)
    found = []
    for small in (plan.SMALL, 0):
        monkeypatch.setattr(plan, "SMALL", small)
        ws = workspace(tmp_path / f"home {small}")
        land(ws, "made_up_shop", shop)
        found.append({feed: landed(ws, feed) for feed in FEEDS})
    assert found[0] == found[1]
    assert any(row["_cast_errors"] for row in found[0]["transactions"])


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_every_planted_row_is_quarantined_for_its_reason_and_no_other_row_is(
    ws: Workspace, tmp_path: Path, file_format: Format
) -> None:
    shop = tmp_path / "shop"
    made = make_shop(
        shop, customers=900, days=60, seed=5, defect_share=0.03, file_format=file_format
    )
    assert land(ws, "made_up_shop", shop).feeds == made.rows
    judged = judge(ws)
    assert judged.refusals == ()
    assert judged.rows_bad == made.defects > 300
    quarantined = f"read_parquet('{ws.home.quarantine}/*/*/*.parquet')"
    with duckdb.connect() as db:
        missed = db.execute(
            f"""from read_csv('{shop}/truth/defects.csv', all_varchar=true) as d
            anti join (select feed, file, row_number, unnest(reasons) as r from {quarantined}) as q
                on q.feed = d.feed and q.file = d.file and q.row_number = d.row_number::bigint
                and q.r.rule = d.rule and q.r.column = d.column"""
        ).fetchall()
    assert missed == []


@pytest.mark.parametrize("feed", FEEDS)
def test_every_rule_of_every_suite_has_its_bad_rows(feed: str) -> None:
    ways = {(d.rule, d.column) for d in catalogue() if d.feed == feed}
    rules = {
        (e.meta["rule"], e.meta["column"]) for e in suite_of(feed, CHECKOUT).expectations if e.meta
    }
    assert {rule for rule in rules if rule[0] != "type"} <= ways
