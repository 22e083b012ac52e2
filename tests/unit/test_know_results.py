"""What campaigns were worth, in a small world whose truth is planted."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.know import entries, past
from tessera.know.results import (
    SQL,
    Result,
    Results,
    are_current,
    currency_of,
    first_compared,
    results,
    spending,
)
from tessera.testing import line, publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES

PEOPLE = 900
ENTRY = date(2026, 3, 2)
EFFECT = 500  # minor units of revenue that winback makes
RNG = np.random.default_rng(11)
HABIT = RNG.gamma(2.0, 1500, PEOPLE).round().astype(int)  # what each spends in a fortnight
IN_CONTROL = np.arange(PEOPLE) % 3 == 0
REPLENISHED = np.median(HABIT) < HABIT  # who is written to by the campaign without a control group


def who(i: int) -> str:
    return f"c{i:04}"


def decide(ws: Workspace, day: date, campaign: str, rows: list[dict[str, Any]]) -> None:
    folder = ws.home.decisions / f"date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    same = {
        "business_date": day,
        "campaign": campaign,
        "step": "reminder",
        "variant": "",
        "occurrence": "first",
        "purpose": "marketing",
        "decided_by": "",
    }
    pq.write_table(
        pa.Table.from_pylist([{**same, **row} for row in rows]), folder / f"{campaign}.parquet"
    )


def winback(i: int) -> dict[str, Any]:
    """A third is left alone by lot; of the rest some are capped on the day, which changes no arm."""
    row = {"customer_id": who(i), "variant": "ab"[i % 2]}
    if IN_CONTROL[i]:
        return {**row, "reason": "control_group", "decided_by": "winback"}
    return {**row, "reason": "capped" if i % 9 == 1 else "planned"}


def replenishment(i: int) -> dict[str, Any]:
    return {"customer_id": who(i), "reason": "planned" if REPLENISHED[i] else "outranked"}


def bought(i: int) -> list[dict[str, Any]]:
    noise = int(np.random.default_rng(i).integers(0, 400))
    more = 0 if IN_CONTROL[i] else EFFECT + (900 if i % 2 else -900)  # variant b is the better one
    lines = [(1, ENTRY - timedelta(days=20), HABIT[i]), (2, ENTRY, max(HABIT[i] + noise + more, 1))]
    sold = [
        line(f"{i}-{n}", who(i), int(amount), sold_at=f"{day} 12:00:00", quantity=1)
        for n, day, amount in lines
    ]
    back = line(
        f"{i}-3", who(i), -100, sold_at=f"{ENTRY + timedelta(days=3)} 12:00:00", quantity=-1
    )
    return [*sold, back]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """As of the last day on which a fortnight since the entry is over."""
    ws = workspace(tmp_path_factory.mktemp("results") / "home", "2026-03-16")
    lines = [one for i in range(PEOPLE) for one in bought(i)]
    product = {"product_id": "p", "price": 1000, "unit_margin": 400, "currency": "EUR"}
    points = [
        {"customer_id": who(i), "given_on": ENTRY + timedelta(days=1), "points": 50}
        for i in range(PEOPLE)
        if not IN_CONTROL[i]
    ]
    publish(ws, transactions=lines, products=[product], customer_points=points)
    decide(ws, ENTRY, "winback", [winback(i) for i in range(PEOPLE)])
    decide(ws, ENTRY, "replenishment", [replenishment(i) for i in range(PEOPLE)])
    unreachable = [{"customer_id": who(i), "reason": "no_consent"} for i in range(PEOPLE)]
    decide(ws, ENTRY - timedelta(days=7), "winback", unreachable)
    decide(ws, date(2026, 3, 12), "welcome", [winback(i) for i in range(PEOPLE)])
    return ws


@pytest.fixture(scope="module")
def found(world: Workspace) -> Results:
    return results(world, Fraction(1))


def of(found: Results, campaign: str) -> Result:
    return next(one for one in found.campaigns if one.campaign == campaign)


def measure(found: Results, name: str) -> Any:
    first = of(found, "winback").first
    assert first is not None
    return next(one for one in first.measures if one.measure == name)


def halve(ws: Workspace, people: list[str]) -> None:
    """Every other one of them is written to by campaign `w`, the rest are its control group."""
    rows = [
        {"customer_id": one, "reason": "control_group" if i % 2 else "planned", "decided_by": "w"}
        for i, one in enumerate(people)
    ]
    decide(ws, ENTRY, "w", rows)


def test_the_planted_effect_lies_in_a_narrow_interval(found: Results) -> None:
    revenue = measure(found, "revenue")
    assert revenue.interval[0] < EFFECT < revenue.interval[1]
    assert revenue.interval[0] > 0
    assert revenue.interval[1] - revenue.interval[0] < 300
    assert revenue.variance_reduction > 0.7
    assert revenue.always[0] < revenue.interval[0] < revenue.interval[1] < revenue.always[1]
    assert revenue.in_total == pytest.approx(revenue.difference * 600)
    assert revenue.total_interval == pytest.approx([600 * end for end in revenue.interval])


def test_everybody_the_lot_did_not_leave_alone_is_treated_capped_or_not(found: Results) -> None:
    first = of(found, "winback").first
    assert first is not None
    assert (first.people, first.control, first.days) == (600, 300, 14)
    assert first.recipients == 500  # a sixth of the treated was capped
    assert first.measures[-1].per_recipient == pytest.approx(first.measures[-1].in_total / 500)


def test_returns_are_taken_off_and_rewards_are_paid(found: Results) -> None:
    revenue, margin, net = (measure(found, name) for name in ("revenue", "margin", "net"))
    # goods cost 600 a unit whatever was paid: one sold and one brought back cost nothing
    assert margin.control == pytest.approx(revenue.control)
    assert net.treated == pytest.approx(margin.treated - 50)
    assert net.control == pytest.approx(margin.control)


def test_a_campaign_without_a_control_group_says_so_and_gives_no_number(found: Results) -> None:
    one = of(found, "replenishment")
    assert one.basis == "none"
    assert "no control group" in one.says
    assert one.first is one.to_date is None


def test_a_control_group_that_nobody_has_fallen_into_yet_is_one(tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    names = [who(i) for i in range(80)]
    publish(ws, transactions=[line(f"t{one}", one, 900, sold_at=str(ENTRY)) for one in names])
    decide(ws, ENTRY, "w", [{"customer_id": one, "reason": "planned"} for one in names])
    with ws.store.write() as store:
        store.run(
            "insert into campaign_version (campaign, version, body, first_used_at) values "
            """('w', '1', '{"control_group_share": 0.1}', '2026-03-02T06:00:00+00:00'), """
            "('w', '2', '{}', '2026-03-01T06:00:00+00:00')"
        )
    one = of(results(ws, None), "w")
    assert one.basis == "too few"
    assert "80 people and 0 of the control group" in one.says


def test_a_difference_that_was_there_before_is_called_selection(
    world: Workspace,
) -> None:
    later = replace(world, as_of=world.as_of + timedelta(days=30))
    its = of(results(later, None), "replenishment").observed
    assert its is not None
    assert its.is_selection
    assert its.says.startswith("Selection")
    assert its.exposed_before > 2 * its.unexposed_before


def test_days_that_are_not_over_do_not_count(found: Results) -> None:
    one = of(found, "welcome")
    assert one.basis == "too few"
    assert one.first is not None
    assert one.first.measures == []


def test_days_that_no_receipt_is_known_of_are_not_over(world: Workspace) -> None:
    later = replace(world, as_of=world.as_of + timedelta(days=60))
    first = of(results(later, None), "welcome").first
    assert first is not None
    assert first.measures == []


def test_the_better_content_wins(found: Results) -> None:
    (variants,) = of(found, "winback").variants
    assert variants.winner == "b"
    assert variants.people == {"a": 300, "b": 300, "control": 300}


def test_contents_are_compared_also_where_nobody_was_left_alone(tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    noise = np.random.default_rng(3).integers(0, 400, 200)
    spent = [1000 + 900 * (i % 2) + int(noise[i]) for i in range(200)]
    lines = [line(f"t{i}", who(i), spent[i], sold_at=f"{ENTRY} 12:00:00") for i in range(200)]
    publish(ws, transactions=lines)
    rows = [
        {"customer_id": who(i), "reason": "planned", "variant": "ab"[i % 2]} for i in range(200)
    ]
    decide(ws, ENTRY, "w", rows)
    alone = [{"customer_id": who(i), "reason": "planned", "variant": "b"} for i in range(200, 240)]
    decide(ws, ENTRY - timedelta(days=1), "w", alone)  # when nothing else was drawn
    (one,) = results(ws, None).campaigns
    assert one.basis == "none"
    (variants,) = one.variants
    assert variants.winner == "b"
    assert variants.people == {"a": 100, "b": 100}


def test_results_are_of_a_day_and_its_marts(world: Workspace, found: Results) -> None:
    assert found.snapshot == "by-hand"
    results(world, Fraction(1))
    assert are_current(world)
    assert not are_current(replace(world, as_of=world.as_of + timedelta(days=1)))


def test_closed_days_are_read_once_and_give_the_same(world: Workspace, found: Results) -> None:
    kept = world.home.know / "entries.parquet"
    before = kept.stat().st_mtime_ns
    assert results(world, Fraction(1)) == found
    assert kept.stat().st_mtime_ns == before
    kept.unlink()
    (world.home.know / "entries.json").unlink()
    assert results(world, Fraction(1)) == found


def test_the_same_day_gives_the_same_to_the_last_digit(tmp_path: Path) -> None:
    """Whatever order the machine adds up fractions of minor units in."""
    ws = workspace(tmp_path, "2026-03-16", threads=4)
    rng = np.random.default_rng(8)
    lines = [
        line(
            f"t{n}",
            who(n % 200),
            int(rng.integers(50, 4000)),
            sold_at=str(ENTRY + timedelta(days=n // 200 % 13)),
            product_id="pq"[rng.integers(0, 2)],
        )
        for n in range(16_000)
    ]
    product = {"product_id": "p", "price": 1000, "unit_margin": 401, "currency": "EUR"}
    publish(ws, transactions=lines, products=[product])
    decide(ws, ENTRY, "w", [{**winback(i), "variant": ""} for i in range(200)])
    first = results(ws, Fraction(1, 3))
    assert first.campaigns[0].basis == "control group"
    for _ in range(6):
        assert results(ws, Fraction(1, 3)) == first


def test_a_voucher_costs_what_the_till_took_off_unless_the_receipt_has_it(tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    people = [who(i) for i in range(80)]
    at = f"{ENTRY} 12:00:00"
    lines = [
        line(f"t{i}", one, 1000, sold_at=at, coupon_code="AB-CD" if i == 1 else None)
        for i, one in enumerate(people)
    ]
    publish(ws, transactions=lines)
    halve(ws, people)
    redeem(ws, people[:5])
    with ws.store.write() as connection:  # of those written to one took it back, one is yet to come
        connection.run("update redemption set state = 'void' where redemption_id in ('r2', 'r3')")
        connection.run("update redemption set at = '2026-03-16T12:00' where redemption_id = 'r4'")
    (one,) = results(ws, None).campaigns
    for span in (one.first, one.to_date):
        assert span is not None
        net = span.measures[-1]
        assert (net.treated, net.control) == (1000 - 80 / 40, 1000)


def test_what_was_paid_in_another_currency_costs_nothing_in_the_shops(tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    people = [who(i) for i in range(80)]
    lines = [line(f"t{i}", one, 1000, sold_at=f"{ENTRY} 12:00:00") for i, one in enumerate(people)]
    points = [{"customer_id": people[0], "given_on": ENTRY, "points": 40}]
    publish(ws, transactions=lines, customer_points=points)
    halve(ws, people)
    with ws.store.write() as connection:
        for i, currency in ((0, "EUR"), (2, "JPY")):
            connection.run(
                "insert into redemption (redemption_id, store_id, state, points, paid, discount, basket, at) "
                "values (:id, 's', 'used', 0, 0, 80, :basket, :at)",
                id=f"r{i}", basket=f'["{currency}", []]', at=f"{ENTRY}T12:00:00+00:00",
            )  # fmt: skip
            connection.run(f"insert into redemption_member values ('r{i}', '{people[i]}')")
            connection.run(f"insert into voucher_use values ('r{i}', 'ABCD', 80)")
    for currency, cost in (("any", 160), ("EUR", 160), ("JPY", 80)):
        (one,) = results(ws, Fraction(2), currency).campaigns
        assert one.first is not None
        assert one.first.measures[-1].treated == 1000 - cost / 40, currency


def redeem(ws: Workspace, people: list[str]) -> None:
    """Each of them used a code on the day of entry: the first on receipt t0, and so on."""
    with ws.store.write() as connection:
        for i, who_ in enumerate(people):
            connection.run(
                "insert into redemption (redemption_id, store_id, state, points, paid, discount, "
                f"receipt_id, at) values ('r{i}', 's', 'used', 0, 0, 80, 't{i}', '{ENTRY}T12:00:00+00:00')"
            )
            connection.run(f"insert into redemption_member values ('r{i}', '{who_}')")
            connection.run(f"insert into voucher_use values ('r{i}', 'ABCD', 80)")


def test_who_has_another_number_by_now_counts_as_who_they_are(tmp_path: Path) -> None:
    """Decisions, points and redemptions are of the number of the day, receipts of today's: people who
    were merged since, and prospects who became customers."""
    apart, merged = (_judged(tmp_path / name, name) for name in ("apart", "merged"))
    assert merged.campaigns == apart.campaigns
    assert merged.programme == apart.programme
    assert of(apart, "winback").basis == "control group"


def _judged(folder: Path, name: str) -> Results:
    """Of people every fourth of whom had another number when they entered, where they were merged."""
    ws = workspace(folder, "2026-03-16")
    now = [who(i) for i in range(120)]
    then = [OTHERWISE[i % 8] + one if name == "merged" else one for i, one in enumerate(now)]
    at = f"{ENTRY} 12:00:00"
    lines = [line(f"t{i}", one, 1000 + 10 * i, sold_at=at) for i, one in enumerate(now)]
    points = [
        {"customer_id": one, "given_on": ENTRY, "points": 40 + i} for i, one in enumerate(then)
    ]
    known_as = [
        {"customer_id": old, "into_customer_id": new}
        for old, new in zip(then, now, strict=True)
        if old != new
    ]
    publish(ws, transactions=lines, customer_points=points, known_as=known_as)
    rows = [{**winback(i), "customer_id": one} for i, one in enumerate(then)]
    decide(ws, ENTRY, "winback", rows)
    again = [{**row, "customer_id": one} for row, one in zip(rows, now, strict=True)]
    decide(ws, ENTRY + timedelta(days=1), "winback", again)
    redeem(ws, then[:60])
    return results(ws, Fraction(1))


OTHERWISE = ("", "", "", "o", "", "", "", "prospect:")


def test_a_merge_counts_once_the_marts_have_it(tmp_path: Path) -> None:
    """Until the next build the receipts are those of two customers, and so are the people."""
    ws = workspace(tmp_path, "2026-03-16")
    people = [who(i) for i in range(80)]
    lines = [line(f"t{i}", one, 1000, sold_at=f"{ENTRY} 12:00:00") for i, one in enumerate(people)]
    publish(ws, transactions=lines)
    decide(ws, ENTRY, "winback", [{**winback(i), "variant": ""} for i in range(80)])
    before = results(ws, None)
    with ws.store.write() as store:
        store.run(
            "insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at) "
            f"values ('{who(1)}', '{who(2)}', 1, '2026-03-16T00:00:00+00:00')"
        )
    assert results(ws, None) == before


@BOTH_STORES
def test_who_was_written_to_under_two_numbers_is_one_recipient(
    tmp_path: Path, store_url: str
) -> None:
    ws = workspace(tmp_path / "home", "2026-03-16", store_url=store_url)
    names = [who(i) for i in range(80)]
    known_as = [{"customer_id": f"old-{one}", "into_customer_id": one} for one in names[:10]]
    lines = [line(f"t{one}", one, 1000, sold_at=f"{ENTRY} 12:00:00") for one in names]
    publish(ws, transactions=lines, known_as=known_as)
    halve(ws, names)
    with ws.store.write() as store:
        for one in [*names[::2], "old-c0000", "old-c0002", "old-c0001"]:
            store.run(WRITTEN_TO, key=f"w-{one}", who=one)
        for i, (was, now) in enumerate(
            [("accepted", "ambiguous"), ("accepted", "cancelled"), ("marketing", "service"),
             (str(ENTRY), "2026-03-16")]
        ):  # fmt: skip
            store.run(WRITTEN_TO.replace(was, now), key=f"x-{i}", who=who(2 * i + 21))
    found = results(ws, None)
    ws.store.close()
    # One of the control group was written to before; one message may have left, one is none of marketing's.
    assert of(found, "w").recipients == 43
    assert found.programme is not None
    assert found.programme.recipients == 42


WRITTEN_TO = (
    "insert into outbox (send_key, customer_id, campaign, campaign_version, step, occurrence, channel, "
    "purpose, template, language, timezone, business_date, decided_at, send_at, not_after, state, state_at) "
    f"values (:key, :who, 'w', '1', 's', 'first', 'email', 'marketing', 'w/s', 'en', 'UTC', '{ENTRY}', "
    "'', '', '', 'accepted', '')"
)


def test_of_two_numbers_that_entered_on_one_day_the_lot_of_the_one_that_stays_counts(
    tmp_path: Path,
) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    stays = [(who(i), "control_group" if i % 2 else "planned") for i in range(80)]
    gone = [(f"b{i:04}", "planned" if i % 2 else "control_group") for i in range(80)]
    lines = [
        line(f"t{i}", one, 1000 if why == "planned" else 400, sold_at=f"{ENTRY} 12:00:00")
        for i, (one, why) in enumerate(stays)
    ]
    known_as = [
        {"customer_id": old, "into_customer_id": new}
        for (old, _), (new, _) in zip(gone, stays, strict=True)
    ]
    publish(ws, transactions=lines, known_as=known_as)
    rows = [{"customer_id": one, "reason": why, "decided_by": "w"} for one, why in [*gone, *stays]]
    decide(ws, ENTRY, "w", rows)
    (one,) = results(ws, None).campaigns
    assert one.first is not None
    assert (one.first.people, one.first.control) == (40, 40)
    assert one.first.measures[1].difference == 600


def test_who_paid_in_another_currency_has_bought_too(tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    people = [who(i) for i in range(80)]
    at = f"{ENTRY} 12:00:00"
    lines = [
        line(f"t{i}", one, 1000, sold_at=at, currency="SEK" if i == 0 else "EUR")
        for i, one in enumerate(people)
    ]
    publish(ws, transactions=lines)
    halve(ws, people)
    (one,) = results(ws, None).campaigns
    assert one.first is not None
    converted, revenue, _ = one.first.measures
    assert (converted.treated, revenue.treated) == (1, 975)


def test_receipts_of_years_ago_are_not_read(tmp_path: Path) -> None:
    """What is compared are the days since the first entry, and those before it that narrow the intervals; and
    a shop counts in the currency of the last 92 days."""
    ws = workspace(tmp_path, "2026-03-16")
    people = [who(i) for i in range(80)]
    days = (date(2020, 1, 1), ENTRY - timedelta(days=300), ENTRY - timedelta(days=20), ENTRY)
    lines = [
        line(f"{one}-{day}-{i}", one, 1000, sold_at=f"{day} 12:00:00", currency=currency)
        for one in people
        for day in days
        for i, currency in enumerate(["EUR"] if day > days[1] else ["DEM"] * 3)
    ]
    publish(ws, transactions=lines)
    halve(ws, people)
    with ws.marts() as duck:
        assert currency_of(ws, duck) == "EUR"
        assert entries.load(duck, ws.home, ws.business_date)
        duck.execute(SQL["entrant"])
        spending(ws, duck, "entrant", "EUR", since=first_compared(duck))
        found = duck.execute("select distinct day from sold order by day").fetchall()
    assert [day for (day,) in found] == list(days[2:])
    late = workspace(tmp_path, "2026-09-16")  # after half a year without a receipt: of all
    with late.marts() as duck:
        assert currency_of(late, duck) == "DEM"


@pytest.mark.parametrize(
    ("zone", "built", "today"),
    [
        ("Europe/Athens", "2026-03-29", "2026-03-30"),  # a day of 23 hours
        ("America/New_York", "2026-03-30T20:00:00-04:00", "2026-03-31T06:00:00-04:00"),
    ],
)
def test_a_day_that_the_marts_do_not_know_to_its_end_is_not_over(
    tmp_path: Path, zone: str, built: str, today: str
) -> None:
    ws = workspace(tmp_path, built, timezone=zone)
    people = [who(i) for i in range(80)]
    publish(ws, transactions=[line(f"t{i}", one, 1000) for i, one in enumerate(people)])
    later = workspace(tmp_path, today, timezone=zone)
    entered = later.business_date - timedelta(days=14)
    decide(later, entered, "w", [winback(i) | {"variant": ""} for i in range(80)])
    (one,) = results(later, None).campaigns
    assert one.first is not None
    assert (one.first.people, one.first.control) == (0, 0)


def test_the_programme_is_judged_by_those_whom_no_campaign_may_write_to(tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    at = f"{ENTRY} 12:00:00"
    spent = [900 if i % 4 == 0 and i < 400 else 1300 for i in range(480)]
    spread = np.random.default_rng(2).integers(-200, 200, 480)
    lines = [line(f"t{i}", who(i), spent[i] + int(spread[i]), sold_at=at) for i in range(480)]
    publish(ws, transactions=lines)
    rows = [
        {"customer_id": who(i), "reason": "planned"}
        if i % 4
        else {"customer_id": who(i), "reason": "control_group", "decided_by": "global"}
        for i in range(400)
    ]
    decide(ws, ENTRY, "w", rows)
    alone = {"reason": "control_group", "decided_by": "x"}  # of one campaign: others may write
    decide(ws, ENTRY, "x", [{"customer_id": who(i), **alone} for i in range(400, 440)])
    told = {"reason": "planned", "purpose": "service"}
    decide(ws, ENTRY, "y", [{"customer_id": who(i), **told} for i in range(440, 480)])
    found = results(ws, None)
    assert (
        of(found, "w").basis == "none"
    )  # the global group is no control of one campaign among many
    assert found.programme is not None
    assert found.programme.first is not None
    assert (found.programme.first.people, found.programme.first.control) == (340, 100)
    revenue = found.programme.first.measures[1]
    assert revenue.interval[0] < 400 < revenue.interval[1]
    assert found.programme.says.startswith("It brought more")


def test_where_nobody_could_be_written_to_nothing_is_judged(tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    publish(ws, transactions=[line("t", "c", 100)])
    decide(ws, ENTRY, "w", [{"customer_id": "c", "reason": "no_address"}])
    found = results(ws, None)
    assert found.programme is not None
    assert [one.basis for one in [*found.campaigns, found.programme]] == ["nobody", "nobody"]


def test_where_everybody_is_in_the_control_group_nobody_is_waited_for(tmp_path: Path) -> None:
    ws = workspace(tmp_path, "2026-03-16")
    publish(ws, transactions=[line("t", "c", 100)])
    mine = {"reason": "control_group", "decided_by": "w"}
    decide(ws, ENTRY, "w", [{"customer_id": who(i), **mine} for i in range(40)])
    (one,) = results(ws, None).campaigns
    assert (one.basis, one.first and one.first.control) == ("too few", 40)
    assert one.says.startswith("Everybody who could be written to is in the control group")


def test_command_tells_all_and_one(world: Workspace) -> None:
    words = ["results", "--home", str(world.home.root), "--as-of", "2026-03-16"]
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert {one["campaign"] for one in told["campaigns"]} == {"winback", "replenishment", "welcome"}
    kept = json.loads((world.home.results / "results.json").read_text(encoding="utf-8"))
    assert kept == told
    said = CliRunner().invoke(app, [*words, "replenishment"]).stdout
    assert "no control group" in said
    assert "net" not in said
    table = CliRunner().invoke(app, [*words, "winback"]).stdout
    assert "winner b" in table
    assert CliRunner().invoke(app, [*words, "nobody"]).exit_code != 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Everybody buys as ever; the best half was in another system's campaign."""
    ws = workspace(tmp_path_factory.mktemp("past") / "home", "2026-03-31")
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(0, 89, 7)]
    lines = [
        line(f"{i}-{day}", who(i), int(HABIT[i]), sold_at=f"{day} 12:00:00")
        for i in range(200)
        for day in days
    ]
    publish(ws, transactions=lines)
    return ws


def exposed(path: Path, start: str = "2026-02-10") -> Path:
    rows = [f"spring,{who(i)},{start}" for i in range(200) if REPLENISHED[i]]
    path.write_text("\n".join(["campaign,customer_id,starts_on", *rows]), encoding="utf-8")
    return path


def test_past_campaigns_of_another_system_are_called_what_they_are(
    shop: Workspace, tmp_path: Path
) -> None:
    exposed(tmp_path / "in.csv")
    columns = ("campaign", "customer_id", "starts_on")
    everything, spring = past.judge(shop, tmp_path / "in.csv", None, columns, 28)
    assert everything.campaign == "*"
    assert spring.is_selection
    assert spring.before > 0
    assert spring.change_interval[0] <= 0 <= spring.change_interval[1]
    assert results(shop, None).past == [everything, spring]


def test_the_dates_may_stand_in_a_file_of_their_own(shop: Workspace, tmp_path: Path) -> None:
    people = [f"{who(i)},7" for i in range(200) if REPLENISHED[i]]
    (tmp_path / "who.csv").write_text("\n".join(["household,number", *people]))
    (tmp_path / "when.csv").write_text("number,begins\n7,2026-02-10\n")
    columns = ("number", "household", "begins")
    found = past.judge(shop, tmp_path / "who.csv", tmp_path / "when.csv", columns, 28)
    plain = past.judge(
        shop, exposed(tmp_path / "in.csv"), None, ("campaign", "customer_id", "starts_on"), 28
    )
    assert asdict(found[0]) == asdict(plain[0])


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("soon", "campaign 'spring' has no date in 'starts_on'; write 2026-03-31"),
        ("2026-03-30", "no campaign has 30 exposed and 30 other customers"),
    ],
)
def test_a_bad_file_is_one_sentence(shop: Workspace, tmp_path: Path, start: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        past.judge(
            shop,
            exposed(tmp_path / "in.csv", start),
            None,
            ("campaign", "customer_id", "starts_on"),
            28,
        )


def test_nothing_of_a_person_is_kept_in_the_results(world: Workspace, found: Results) -> None:
    del found
    assert "c0001" not in (world.home.results / "results.json").read_text(encoding="utf-8")
    assert duckdb.sql(f"from '{world.home.know}/entries.parquet'").fetchone()
