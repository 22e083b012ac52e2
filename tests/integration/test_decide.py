"""A pass over audiences: one reason each, caps that hold, and nothing twice, on both databases."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from tessera.addresses import address_hash
from tessera.decide import decide
from tessera.decide.decisions import Question, find
from tessera.decide.reasons import Reason, sentence
from tessera.errors import BadInput
from tessera.testing import workspace
from tessera.warehouse import marts
from tessera.workspace import Workspace
from tests import decide_model
from tests.conftest import BOTH_STORES
from tests.deciding import (
    HELLO,
    YES,
    insert,
    member,
    on,
    outbox,
    people,
    person,
    reasons,
    why,
    write,
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """SQLite, where a test does not ask for both."""
    asked = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "store_url" in metafunc.fixturenames and "store_url" not in asked:
        metafunc.parametrize("store_url", ["sqlite"], indirect=True)


@pytest.fixture
def shop(tmp_path: Path, store_url: str) -> Iterator[Workspace]:
    """A workspace with a policy without caps and one campaign for everybody."""
    write(tmp_path / "project", {"caps": None}, HELLO)
    ws = workspace(tmp_path / "home", project=tmp_path / "project", store_url=store_url)
    yield ws
    ws.store.close()


@BOTH_STORES
def test_every_candidate_gets_one_reason_and_the_planned_ones_a_message(shop: Workspace) -> None:
    write(shop.project, None, {**HELLO, "control_group_share": 0.5})
    names = [f"c{i}" for i in range(40)]
    people(shop, *names)
    report = decide(shop)
    control = {n for n in names if decide_model.bucket("hello", n) < 5000}
    assert report.candidates == 40
    assert report.reasons == {"control_group": len(control), "planned": 40 - len(control)}
    assert report.new == report.planned == len(outbox(shop))
    assert {row["customer_id"] for row in outbox(shop)} == set(names) - control
    row = outbox(shop)[0]
    assert row["send_key"] == decide_model.send_key(("hello", "first", row["customer_id"], "first"))
    assert (row["state"], row["send_at"]) == ("ready", "2026-03-31T09:00:00+00:00")
    assert row["not_after"] == "2026-03-31T19:30:00+00:00"


@BOTH_STORES
def test_the_same_day_again_adds_nothing_and_writes_the_same_bytes(shop: Workspace) -> None:
    write(shop.project, {"caps": [{"purpose": "marketing", "max": 1, "days": 7}]})
    write(shop.project, None, {**HELLO, "campaign": "second", "priority": 10})
    people(shop, *(f"c{i}" for i in range(30)))
    first = decide(shop)
    assert (first.new, first.reasons) == (30, {"outranked": 30, "planned": 30})

    def hashes() -> dict[str, str]:
        files = shop.home.decisions.rglob("*.parquet")
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = hashes()
    again = decide(shop)
    assert replace(again, seconds=0) == replace(first, new=0, seconds=0)
    assert hashes() == before
    assert len(outbox(shop)) == 30


def test_in_how_many_parts_a_pass_arbitrates_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps = [
        {"purpose": "marketing", "max": 1, "days": 1},
        {"purpose": "marketing", "max": 2, "days": 1, "per": "household"},
    ]
    names = [f"c{i}" for i in range(40)]
    customers = [person(name, household_id=f"h{i // 3}") for i, name in enumerate(names)]
    audience = [member(name, expected_value=i % 5) for i, name in enumerate(names)]
    found = []
    for at_once in (1, 7, 100):
        monkeypatch.setattr("tessera.decide.parts.AT_ONCE", at_once)
        folder = tmp_path / str(at_once)
        write(folder / "project", {"caps": caps, "reserve_days": 2}, HELLO)
        for name, tags, schedule in [("b", ["x"], "0 9 * * *"), ("c", [], "0 9 1 4 *")]:
            one = {"campaign": name, "tags": tags, "schedule": schedule, "on_cap": "drop"}
            write(folder / "project", None, {**HELLO, **one})
        shop = workspace(folder / "home", project=folder / "project")
        people(shop, *names, customers=customers, audience_all=audience)
        decide(shop)
        files = {path.name: path.read_bytes() for path in shop.home.decisions.rglob("*.parquet")}
        found.append((files, outbox(shop)))
        shop.store.close()
    assert {row["state"] for row in found[0][1]} == {"ready", "cancelled"}
    assert found[0] == found[1] == found[2]


def test_a_dry_run_says_the_same_and_writes_nothing(shop: Workspace) -> None:
    people(shop, "ann", "bob")
    plan = decide(shop, dry_run=True)
    assert (plan.planned, plan.new) == (2, 0)
    assert outbox(shop) == []
    assert not shop.home.decisions.exists()
    done = decide(shop)
    assert plan == replace(done, new=0, seconds=plan.seconds)


def test_who_is_not_written_to_and_why(shop: Workspace) -> None:
    names = ["ann", "bob", "cat", "dan", "eva", "fay", "gus", "hal", "ida"]
    write(shop.project, None, {**HELLO, "steps": [{**HELLO["steps"][0], "after": "40d"}]})
    people(
        shop,
        *names,
        customers=[
            person("ann"),
            person("bob", email=None),
            person("cat", email="not an address"),
            person("dan", has_complaint_open=True),
            *(person(name) for name in names[4:]),
        ],
        consents=[
            *({**YES, "customer_id": name} for name in names if name not in ("eva", "fay")),
            {**YES, "customer_id": "fay", "granted": False},
        ],
        audience_all=[
            *(member(name, entered_on=date(2026, 1, 1)) for name in names if name != "hal"),
            member("hal", entered_on=date(2026, 3, 1)),
            member("nobody"),
        ],
    )
    for name, scope in (("gus", "all"), ("ida", "service")):
        insert(
            shop,
            "suppression",
            address_hash=address_hash(f" {name.upper()}@shop.example "),
            channel="email",
            scope=scope,
            cause="bounce",
            since="2026-03-01T00:00:00+00:00",
        )
    decide(shop)
    assert {name: why(shop, name) for name in [*names, "nobody"]} == {
        "ann": ("planned", None),
        "bob": ("no_address", "email"),
        "cat": ("no_address", "email"),
        "dan": ("complaint_open", "complaint"),
        "eva": ("no_consent", "email marketing never given"),
        "fay": ("no_consent", "email marketing withdrawn"),
        "gus": ("suppressed", "bounce"),
        "hal": ("not_due", "due on 2026-04-10"),
        "ida": ("planned", None),
        "nobody": ("no_address", "email"),
    }
    said = [sentence(row) for row in find(shop.home, Question(customer_id="gus"))]
    assert said == [
        "2026-03-31  hello, step first (first): "
        "not written to, for the address is suppressed (bounce)."
    ]


def test_a_service_message_needs_no_consent_and_minds_suppression_for_all(shop: Workspace) -> None:
    write(shop.project, {"caps": [{"purpose": "marketing", "max": 0, "days": 7}]})
    write(shop.project, None, {**HELLO, "purpose": "service"})
    write(shop.project, {"caps": None, "global_control_group_share": 1.0})
    people(shop, "ann", "bob", "cat", consents=[])
    for name, scope in (("bob", "all"), ("cat", "marketing")):
        values = {"channel": "email", "scope": scope, "cause": "complaint", "since": "2026"}
        insert(shop, "suppression", address_hash=address_hash(f"{name}@shop.example"), **values)
    decide(shop)
    assert reasons(shop) == {"ann": "planned", "bob": "suppressed", "cat": "planned"}


def test_the_latest_word_on_consent_holds_wherever_it_was_said(shop: Workspace) -> None:
    """A no counts as soon as it is known; a yes of tomorrow does not count today."""
    names = ["ann", "bob", "cat", "dan", "eva", "fay", "gus"]
    no = {**YES, "granted": False}
    people(
        shop,
        *names,
        consents=[
            {**(no if name in ("bob", "eva", "gus") else YES), "customer_id": name}
            for name in names
        ],
    )
    for name, granted, at in [
        ("ann", 0, "2026-02-01T00:00:00+00:00"),
        ("bob", 1, "2026-02-01T00:00:00+00:00"),
        ("cat", 0, "2026-04-01T00:00:00+00:00"),
        ("dan", 0, "2026-01-01T00:00:00+00:00"),
        ("eva", 1, "2026-04-01T00:00:00+00:00"),
        ("fay-again", 0, "2026-03-01T00:00:00+00:00"),  # of who was merged every no counts,
        ("gus-again", 1, "2026-02-01T00:00:00+00:00"),  # and no yes from before
    ]:
        insert(
            shop,
            "consent",
            customer_id=name,
            channel="email",
            purpose="marketing",
            granted=granted,
            recorded_at=at,
            origin="preference centre",
        )
    for name in ("fay", "gus"):
        merged = {"customer_id": f"{name}-again", "into_customer_id": name, "is_in_force": 1}
        insert(shop, "person_merge", **merged, recorded_at="2026-03-02T00:00:00.5+00:00")
    decide(shop)
    assert reasons(shop) == {
        "ann": "no_consent",
        "bob": "planned",
        "cat": "no_consent",
        "dan": "no_consent",
        **dict.fromkeys(("eva", "fay", "gus"), "no_consent"),
    }


def test_no_personal_data_reaches_outbox_or_decisions(shop: Workspace) -> None:
    people(shop, customers=[person("c1", email="ann.miller@shop.example", given_name="Ann")],
           consents=[{**YES, "customer_id": "c1"}], audience_all=[member("c1")])  # fmt: skip
    decide(shop)
    assert "miller" not in str(outbox(shop))
    assert all(
        b"miller" not in path.read_bytes() for path in shop.home.decisions.rglob("*.parquet")
    )


def test_addresses_that_only_python_understands_are_hashed_alike(shop: Workspace) -> None:
    addresses = {
        "a": "Ann.Miller+club@Shop.Example",
        "b": "ann@bücher.example",
        "c": "  ann@sub-domain.shop.example\t",
        "d": "\u0130nci@shop.example",
        "e": "ann@shop",
        "f": "ann@shop.example\nBcc: all@shop.example",
    }
    people(shop, *addresses, customers=[person(k, email=v) for k, v in addresses.items()])
    for address in addresses.values():
        values = {"channel": "email", "scope": "all", "cause": "bounce", "since": "2026"}
        insert(shop, "suppression", address_hash=address_hash(address), **values)
    decide(shop)
    assert set(reasons(shop).items()) == {
        ("a", "suppressed"), ("b", "suppressed"), ("c", "suppressed"),
        ("d", "no_address"), ("e", "no_address"), ("f", "no_address"),
    }  # fmt: skip


def test_filters_narrow_an_audience(shop: Workspace) -> None:
    people(
        shop,
        "ann", "bob", "cat",
        customers=[
            person("ann", receipts=1, country="GR", is_registered=True, birth_date=date(1990, 1, 1)),
            person("bob", receipts=5, country="DE", is_registered=False),
            person("cat", receipts=9, discount_share=0.25),
        ],
    )  # fmt: skip
    for where, count in [
        ({"field": "receipts", "gte": 5}, 2),
        ({"field": "receipts", "gt": 1, "lt": 9}, 1),
        ({"field": "country", "eq": "GR"}, 1),
        ({"field": "country", "ne": "GR"}, 2),
        ({"field": "country", "in": ["GR", "DE"]}, 2),
        ({"field": "country", "not_in": ["GR", "LV"]}, 2),
        ({"field": "country", "is_null": True}, 1),
        ({"field": "country", "is_null": False, "ne": "DE"}, 1),
        ({"field": "is_registered", "eq": True}, 1),
        ({"field": "birth_date", "lte": date(1990, 1, 1)}, 1),
        ({"field": "discount_share", "lte": 0.25}, 1),
        ({"field": "country", "eq": "x' or true or '"}, 0),
    ]:
        write(shop.project, None, {**HELLO, "where": [where]})
        assert decide(shop, dry_run=True).candidates == count, where


def test_a_day_without_a_time_is_a_day_of_the_shops(shop: Workspace) -> None:
    """Half an hour into the first of March in Athens; in UTC it is still February."""
    instant = datetime(2026, 2, 28, 22, 30, tzinfo=UTC)
    ann = person("ann", joined_at=instant.replace(tzinfo=None))
    people(shop, "ann", "bob", customers=[ann, person("bob")])
    athens = replace(shop, settings=shop.settings.model_copy(update={"timezone": "Europe/Athens"}))
    first, eve = date(2026, 3, 1), date(2026, 2, 28)
    for said, count in [
        ({"gte": first}, 1), ({"lte": first}, 1), ({"eq": first}, 1), ({"in": [eve, first]}, 1),
        ({"lt": first}, 0), ({"gt": first}, 0), ({"not_in": [first]}, 1), ({"ne": eve}, 2),
        ({"eq": instant}, 1), ({"gt": instant}, 0),
    ]:  # fmt: skip
        write(shop.project, None, {**HELLO, "where": [{"field": "joined_at", **said}]})
        assert decide(athens, dry_run=True).candidates == count, said


def test_a_field_or_audience_that_is_not_there_is_one_sentence(shop: Workspace) -> None:
    people(shop, "ann")
    write(shop.project, None, {**HELLO, "where": [{"field": "receits", "gte": 5}]})
    with pytest.raises(
        BadInput,
        match=r"'receits' is not a column .* Did you mean 'receipts'\?.* after 'tessera run'",
    ):
        decide(shop)
    write(shop.project, None, {**HELLO, "where": [{"field": "receipts", "eq": "five"}]})
    with pytest.raises(BadInput, match="'receipts' is a number; 'eq: five' is not"):
        decide(shop)
    write(shop.project, None, {**HELLO, "audience": "none"})
    with pytest.raises(BadInput, match="audience_none, which is not among the published marts"):
        decide(shop)
    assert outbox(shop) == []


@pytest.mark.parametrize(
    ("built", "said"),
    [
        ("* exclude (expected_value)", "expected_value is missing, not BIGINT"),
        ("* replace ('soon' as entered_on)", "entered_on is VARCHAR, not DATE"),
        ("* replace (1.5::double as expected_value)", "expected_value is DOUBLE, not BIGINT"),
        ("* replace (5 as customer_id)", "customer_id is INTEGER, not VARCHAR"),
    ],
)
def test_an_audience_without_the_columns_that_all_have_is_one_sentence(
    shop: Workspace, built: str, said: str
) -> None:
    """An own model, described as it was built, passes the build."""
    write(shop.project, {"caps": None}, HELLO)
    people(shop, "ann")
    (file,) = shop.home.marts.glob("*/audience_all/*.parquet")
    duckdb.sql(
        f"copy (select {built} from read_parquet('{file}')) to '{file}.new' (format parquet)"
    )
    Path(f"{file}.new").replace(file)
    with pytest.raises(BadInput, match=f"is for audience_all, whose column {said}; correct"):
        decide(shop)
    assert outbox(shop) == []


def test_an_audience_that_says_no_occurrence_has_one_for_ever(shop: Workspace) -> None:
    """It ended the pass, and those of all other campaigns with it."""
    write(shop.project, {"caps": None}, HELLO)
    people(shop, "ann")
    (file,) = shop.home.marts.glob("*/audience_all/*.parquet")
    query = f"select * replace (null::varchar as occurrence) from read_parquet('{file}')"
    duckdb.sql(f"copy ({query}) to '{file}.new' (format parquet)")
    Path(f"{file}.new").replace(file)
    assert decide(shop).planned == 1
    tomorrow = replace(shop, as_of=shop.as_of + timedelta(days=1))
    assert [one.reasons for one in decide(tomorrow).campaigns] == [{"re_entry": 1}]
    assert len(outbox(shop)) == 1


def test_a_campaign_runs_on_its_days_unless_it_is_named(shop: Workspace) -> None:
    write(shop.project, None, {**HELLO, "schedule": "0 9 * * WED"})
    people(shop, "ann")
    report = decide(shop)  # 2026-03-31 is a Tuesday
    assert (report.candidates, report.not_scheduled) == (0, ["hello"])
    assert decide(shop, ["hello"]).planned == 1
    with pytest.raises(BadInput, match=r"no campaign 'helo'\. Did you mean 'hello'"):
        decide(shop, ["helo"])


def test_zero_null_and_absent_are_three_caps(shop: Workspace) -> None:
    """Case T20: "0 per day" was read as a cap after the first."""
    people(shop, "ann")
    write(shop.project, None, *({**HELLO, "campaign": f"c{i}", "steps": [{"name": "s", "template": f"t{i}"}]} for i in range(4)))  # fmt: skip
    (shop.project / "deployments/campaigns/hello.yml").unlink()
    for policy, planned in [
        ({"caps": [{"purpose": "marketing", "max": 0, "days": 7}]}, 0),
        ({"caps": [{"purpose": "marketing", "max": 3, "days": 7}]}, 3),
        ({"caps": [{"purpose": "marketing", "max": None, "days": 7}]}, 4),
        ({"caps": None}, 4),
        ({"caps": []}, 4),
        ({}, 2),
    ]:
        write(shop.project, policy)
        assert decide(shop, dry_run=True).planned == planned, policy


def test_slots_go_by_priority_then_expected_value(shop: Workspace) -> None:
    write(shop.project, {"caps": [{"purpose": "marketing", "max": 1, "days": 7}]})
    audience = [member("ann", expected_value=5), member("bob", expected_value=70)]
    for name, priority, template in [("low", 10, "x/a"), ("high", 90, "x/b"), ("rich", 50, "x/c")]:
        step = {"name": "first", "template": template}
        write(
            shop.project, None, {**HELLO, "campaign": name, "priority": priority, "steps": [step]}
        )
    write(shop.project, None, {**HELLO, "audience": "hello", "priority": 90})
    people(shop, "ann", "bob", audience_hello=audience)
    decide(shop)
    assert {(m["customer_id"], m["campaign"]) for m in outbox(shop)} == {
        ("ann", "hello"),
        ("bob", "hello"),
    }
    lost = find(shop.home, Question(customer_id="ann", campaign="low"))
    assert (lost[0]["reason"], lost[0]["decided_by"]) == (
        "outranked",
        "hello/first (1 marketing in 7 days)",
    )


@BOTH_STORES
def test_a_full_cap_stays_full_until_its_span_is_over(shop: Workspace) -> None:
    write(shop.project, {"caps": [{"purpose": "marketing", "max": 1, "days": 3}]})
    everyday = {**HELLO, "content_repeat": "allow"}
    write(shop.project, None, everyday)
    found = []
    for day in range(1, 9):
        today = on(shop, f"2026-04-0{day}")
        people(today, "ann", audience_all=[member("ann", occurrence=str(day))])
        decide(today)
        found.append(why(today, "ann"))
    full = ("capped", "1 marketing in 3 days")
    planned = ("planned", None)
    assert found == [planned, full, full, planned, full, full, planned, full]


def test_a_cancelled_message_leaves_its_slot_to_others(shop: Workspace) -> None:
    write(shop.project, {"caps": [{"purpose": "marketing", "max": 1, "days": 7}]})
    people(shop, "ann")
    decide(shop)
    with shop.store.write() as store:
        store.run("update outbox set state = 'cancelled'")
    write(
        shop.project,
        None,
        {**HELLO, "campaign": "other", "steps": [{"name": "s", "template": "o"}]},
    )
    tomorrow = on(shop, "2026-04-01")
    people(tomorrow, "ann")
    decide(tomorrow)
    assert {r["campaign"]: r["reason"] for r in find(shop.home, Question(on=date(2026, 4, 1)))} == {
        "hello": "re_entry",
        "other": "planned",
    }


def test_what_was_planned_today_stays_planned(shop: Workspace) -> None:
    """Whatever happens later that day: the sender looks again before it sends."""
    write(shop.project, {"caps": [{"purpose": "marketing", "max": 1, "days": 7}]})
    people(shop, "ann", "bob")
    decide(shop)
    write(shop.project, None, {**HELLO, "campaign": "grand", "priority": 99, "steps": [{"name": "s", "template": "g"}]})  # fmt: skip
    people(shop, "ann", consents=[], audience_all=[member("ann")])
    report = decide(shop)
    assert report.new == 0
    found = {(r["campaign"], r["customer_id"]): r["reason"] for r in find(shop.home, Question())}
    assert found == {
        ("hello", "ann"): "planned",
        ("hello", "bob"): "planned",
        ("grand", "ann"): "no_consent",
    }
    people(shop, "ann", "bob")
    decide(shop)
    kept = find(shop.home, Question(campaign="grand", customer_id="bob"))
    assert kept[0]["decided_by"] == "hello/first (1 marketing in 7 days)"


def test_a_step_follows_the_one_before_by_its_days(shop: Workspace) -> None:
    steps = [{"name": "one", "template": "a"}, {"name": "two", "template": "b", "after": "3d"}]
    write(shop.project, None, {**HELLO, "steps": steps})
    found = []
    for day in range(1, 7):
        today = on(shop, f"2026-04-0{day}")
        people(today, "ann")
        decide(today)
        rows = find(shop.home, Question(on=today.business_date))
        found.append({row["step"]: (row["reason"], row["decided_by"]) for row in rows})
    assert found == [
        {"one": ("planned", None)},
        {"two": ("not_due", "due on 2026-04-04")},
        {"two": ("not_due", "due on 2026-04-04")},
        {"two": ("planned", None)},
        {"two": ("re_entry", "planned on 2026-04-04")},
        {"two": ("re_entry", "planned on 2026-04-04")},
    ]


def test_a_journey_of_long_ago_goes_on_for_members_and_is_forgotten_of_others(
    shop: Workspace,
) -> None:
    steps = [{"name": "one", "template": "a"}, {"name": "two", "template": "b", "after": "3d"}]
    write(shop.project, None, {**HELLO, "steps": steps})
    people(shop, "ann", "bob", "eve", audience_all=[member("ann"), member("bob")])
    assert decide(shop).planned == 2
    later = on(shop, "2027-03-31")
    people(later, "ann", "bob", "eve", audience_all=[member("ann"), member("eve")])
    decide(later)
    rows = find(later.home, Question(on=later.business_date))
    assert {row["customer_id"]: (row["step"], row["reason"]) for row in rows} == {
        "ann": ("two", "planned"),
        "eve": ("one", "planned"),
    }
    again = on(shop, "2028-03-31")
    people(again, "ann", "bob", "eve", audience_all=[member("ann"), member("bob")])
    decide(again)
    assert why(again, "ann") == ("re_entry", "planned on 2027-03-31")
    rows = find(again.home, Question(on=again.business_date, customer_id="bob"))
    assert [(row["step"], row["reason"]) for row in rows] == [("two", "planned")]


def test_a_new_occurrence_waits_and_does_not_get_the_same_content(shop: Workspace) -> None:
    write(shop.project, None, {**HELLO, "re_entry_after_days": 10})
    people(shop, "ann")
    decide(shop)
    for day, repeat, told in [
        ("2026-04-09", "allow", ("re_entry", "planned on 2026-03-31, again after 10 days")),
        ("2026-04-10", "never", ("repeat_content", "hello/first on 2026-03-31")),
        ("2026-04-10", "allow", ("planned", None)),
    ]:
        write(shop.project, None, {**HELLO, "re_entry_after_days": 10, "content_repeat": repeat})
        today = on(shop, day)
        people(today, "ann", audience_all=[member("ann", occurrence="second")])
        decide(today)
        assert why(today, "ann") == told


def test_the_same_content_goes_to_a_person_once_even_from_two_campaigns(shop: Workspace) -> None:
    write(shop.project, None, {**HELLO, "campaign": "twin", "priority": 10})
    people(shop, "ann", audience_all=[member("ann"), member("ann", occurrence="second")])
    report = decide(shop)
    assert report.reasons == {"outranked": 3, "planned": 1}
    lost = find(shop.home, Question(reason="outranked", campaign="twin"))
    assert {row["decided_by"] for row in lost} == {"hello/first"}


def test_data_of_another_day_holds_everything(shop: Workspace) -> None:
    people(shop, "ann")
    assert decide(on(shop, "2026-04-01"), dry_run=True).planned == 1
    assert decide(on(shop, "2026-04-02"), dry_run=True).reasons == {"stale_data": 1}
    assert decide(on(shop, "2026-03-30"), dry_run=True).reasons == {"stale_data": 1}


def test_nothing_goes_out_after_its_time(shop: Workspace) -> None:
    people(shop, "ann")
    write(shop.project, None, {**HELLO, "not_after": date(2026, 3, 30)})
    assert decide(shop, dry_run=True).reasons == {"too_late": 1}
    write(shop.project, None, {**HELLO, "not_after": datetime.fromisoformat("2026-03-31T10:00")})
    assert decide(shop, dry_run=True).reasons == {"planned": 1}
    evening = on(shop, "2026-03-31T20:00")
    write(shop.project, None, HELLO)
    assert decide(evening, dry_run=True).reasons == {"outside_window": 1}
    write(shop.project, None, {**HELLO, "valid_hours": 2})
    decide(on(shop, "2026-03-31T11:00"))
    (row,) = outbox(shop)
    assert (row["send_at"], row["not_after"]) == (
        "2026-03-31T11:00:00+00:00",
        "2026-03-31T13:00:00+00:00",
    )


def test_an_unknown_zone_falls_back_to_the_shops(tmp_path: Path) -> None:
    write(tmp_path / "project", {"caps": None}, HELLO)
    shop = workspace(tmp_path / "home", project=tmp_path / "project", timezone="Europe/Athens")
    zones = {"ann": "Mars/Olympus", "bob": "", "cat": "America/New_York", "dan": None}
    people(shop, *zones, customers=[person(k, timezone=v) for k, v in zones.items()])
    assert decide(shop).planned == 4
    assert {m["customer_id"]: (m["send_at"][11:16], m["timezone"]) for m in outbox(shop)} == {
        "ann": ("06:00", "Europe/Athens"),
        "bob": ("06:00", "Europe/Athens"),
        "cat": ("13:00", "America/New_York"),
        "dan": ("06:00", "Europe/Athens"),
    }


def test_who_is_named_twice_in_an_audience_is_a_candidate_once(shop: Workspace) -> None:
    """With the earliest day and the highest value that were said; another occurrence is another candidate."""
    twice = [member("ann", entered_on=date(2026, 3, day), expected_value=day) for day in (9, 2, 5)]
    write(shop.project, None, {**HELLO, "steps": [{**HELLO["steps"][0], "after": "25d"}]})
    other = member("ann", occurrence="other", entered_on=date(2026, 3, 30))
    people(shop, "ann", "bob", audience_all=[*twice, other, member("bob")])
    report = decide(shop)
    assert (report.candidates, report.planned) == (3, 2)
    found = find(shop.home, Question(on=shop.business_date))
    told = [(row["customer_id"], row["occurrence"], row["reason"]) for row in found]
    assert told == [
        ("ann", "first", "planned"),
        ("ann", "other", "not_due"),
        ("bob", "first", "planned"),
    ]
    assert found[0]["expected_value"] == 9


def test_a_file_of_decisions_is_sorted_by_customer(shop: Workspace) -> None:
    """So that one customer is found in it by its row groups; also who is in the audience but not among the
    customers."""
    names = [f"c{i * 7919 % 300}" for i in range(300)]
    people(shop, *names, customers=[person(name) for name in names if not name.endswith("3")])
    decide(shop)
    with duckdb.connect() as duck:
        files = f"'{shop.home.decisions}/*/hello.parquet'"
        found = duck.execute(f"select customer_id from read_parquet({files})").fetchall()
    assert found == sorted((f"c{i}",) for i in range(300))


def test_a_larger_share_keeps_everyone_who_was_in_the_control_group(shop: Workspace) -> None:
    names = [f"c{i}" for i in range(400)]
    people(shop, *names)
    groups = []
    for share in (0, 0.1, 0.2, 0.5, 1):
        write(shop.project, None, {**HELLO, "control_group_share": share})
        days = on(shop, "2026-03-31")
        report = decide(days, dry_run=True)
        groups.append({n for n in names if decide_model.bucket("hello", n) < share * 10_000})
        assert report.reasons.get("control_group", 0) == len(groups[-1])
    assert all(smaller <= larger for smaller, larger in itertools.pairwise(groups))
    assert (len(groups[0]), len(groups[-1])) == (0, 400)
    assert 20 <= len(groups[1]) <= 60


def _decide_in_a_process(home: str, project: str, url: str, names: list[str], gate: Any) -> None:
    ws = workspace(Path(home), project=Path(project), store_url=url)
    gate.wait()
    decide(ws, names)
    ws.store.close()


@BOTH_STORES
def test_four_passes_at_once_neither_break_a_cap_nor_plan_twice(shop: Workspace) -> None:
    write(shop.project, {"caps": [{"purpose": "marketing", "max": 1, "days": 1}]})
    campaigns = [
        {**HELLO, "campaign": f"c{i}", "priority": i, "steps": [{"name": "s", "template": f"t{i}"}]}
        for i in range(4)
    ]
    write(shop.project, None, *campaigns)
    people(shop, *(f"p{i}" for i in range(200)))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    gate = context.Barrier(4)
    url = shop.settings.store_url
    processes = [
        context.Process(
            target=_decide_in_a_process,
            args=(str(shop.home.root), str(shop.project), url, names, gate),
        )
        for names in (["c0"], ["c1"], ["c0", "c1", "c2"], [])
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert Counter(m["customer_id"] for m in outbox(shop)) == {f"p{i}": 1 for i in range(200)}


def test_a_pass_killed_before_its_end_plans_nothing_and_the_next_plans_all(shop: Workspace) -> None:
    people(shop, *(f"p{i}" for i in range(50)))
    code = (
        "import os\nfrom pathlib import Path\nfrom tessera.decide import decide\n"
        "from tessera.store import Connection\nfrom tessera.testing import workspace\n"
        "insert = Connection.insert_new\n"
        "def die(*args):\n    insert(*args)\n    os.kill(os.getpid(), 9)\n"
        "Connection.insert_new = die\n"
        f"decide(workspace(Path({str(shop.home.root)!r}), project=Path({str(shop.project)!r}), "
        f"store_url={shop.settings.store_url!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert outbox(shop) == []
    assert decide(shop).new == 50
    assert {path.name for path in shop.home.decisions.rglob("*")} >= {"hello.parquet"}


def test_reasons_are_asked_in_the_order_they_are_listed(shop: Workspace) -> None:
    """Somebody whom every rule stops is told the first; lifting it shows the next."""
    write(
        shop.project,
        {"caps": [{"purpose": "marketing", "max": 0, "days": 7}], "global_control_group_share": 1.0},
        {**HELLO, "not_after": date(2026, 1, 1), "send_window": {"start": "00:00", "end": "00:01"},
         "re_entry_after_days": 400, "steps": [{"name": "first", "template": "hello/first", "after": "60d"}]},
    )  # fmt: skip
    earlier = {
        "send_key": "k", "customer_id": "ann", "campaign": "hello", "campaign_version": "1", "step": "first",
        "occurrence": "old", "channel": "email", "purpose": "marketing", "template": "hello/first", "language": "en",
        "timezone": "UTC", "business_date": "2026-03-01", "decided_at": "2026", "send_at": "2026-03-01T09:00:00+00:00",
        "not_after": "2026", "state": "accepted", "state_at": "2026",
    }  # fmt: skip
    insert(shop, "outbox", **earlier)
    suppressed = {
        "address_hash": address_hash("ann@shop.example"),
        "channel": "email",
        "scope": "all",
        "cause": "bounce",
        "since": "2026",
    }
    insert(shop, "suppression", **suppressed)
    marts: dict[str, Any] = {
        "customers": [person("ann", email=None, has_complaint_open=True)],
        "consents": [],
    }
    today = on(shop, "2026-03-31T12:00")
    late = on(shop, "2026-03-25T12:00")  # the marts' day
    lift = {
        "no_address": lambda: marts.update(customers=[person("ann", has_complaint_open=True)]),
        "no_consent": lambda: marts.update(consents=[{**YES, "customer_id": "ann"}]),
        "suppressed": lambda: _run(shop, "delete from suppression"),
        "complaint_open": lambda: marts.update(customers=[person("ann")]),
        "control_group": lambda: _edit(shop, "contact_policy.yml", "share: 1.0", "share: 0"),
        "re_entry": lambda: _edit(shop, "campaigns/hello.yml", "days: 400", "days: 4"),
        "not_due": lambda: _edit(shop, "campaigns/hello.yml", "60d", "1d"),
        "repeat_content": lambda: _edit(
            shop, "campaigns/hello.yml", "campaign:", "content_repeat: allow\ncampaign:"
        ),
        "stale_data": lambda: None,
        "broken_template": lambda: body.write_text("Hello"),
        "too_late": lambda: _edit(shop, "campaigns/hello.yml", "2026-01-01", "2026-12-31"),
        "outside_window": lambda: _edit(shop, "campaigns/hello.yml", "00:01", "23:00"),
        "capped": lambda: _edit(shop, "contact_policy.yml", "max: 0", "max: null"),
    }
    body = shop.project / "templates/hello/first/body.html"
    body.write_text("{% if %}")
    told = []
    for reason, change in lift.items():
        built = late if list(lift).index(reason) <= list(lift).index("stale_data") else today
        people(built, "ann", **marts)
        told += list(decide(today, dry_run=True).reasons)
        change()
    assert told == list(lift)
    elsewhere = (
        "exited",
        "condition_not_met",
        "outranked",
        "reserved",
        "no_reward_left",
        "planned",
    )
    assert told == [reason.value for reason in Reason if reason not in elsewhere]
    assert decide(today, dry_run=True).reasons == {"planned": 1}


def _run(ws: Workspace, query: str) -> None:
    with ws.store.write() as store:
        store.run(query)


def _edit(ws: Workspace, file: str, old: str, new: str) -> None:
    path = ws.project / "deployments" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_shops_day_begins_in_its_own_zone(tmp_path: Path) -> None:
    """In Auckland the morning of the 31st is still the 30th in London, and a Londoner's slot on
    the 31st begins twenty hours later."""
    write(tmp_path / "project", {"caps": None}, HELLO)
    shop = workspace(tmp_path / "home", project=tmp_path / "project", timezone="Pacific/Auckland")
    assert shop.as_of.astimezone(ZoneInfo("Europe/London")).date() == date(2026, 3, 30)
    people(shop, "ann", customers=[person("ann", timezone="Europe/London")])
    decide(shop)
    (row,) = outbox(shop)
    assert (row["business_date"], row["send_at"]) == ("2026-03-31", "2026-03-31T08:00:00+00:00")


def test_what_does_not_fit_into_memory_goes_to_disk_in_a_home_that_never_had_to(
    shop: Workspace,
) -> None:
    """DuckDB makes the folder it spills into, but not the one above it."""
    people(shop, "ann")
    assert not (shop.home.root / "tmp").exists()
    with closing(marts.connect(shop.home, memory="50MB", threads=1)) as duck:
        duck.execute(
            "create temp table much as select md5(i::varchar) as it from range(3000000) as t (i)"
        )
        assert duck.execute("select count(distinct it) from much").fetchall() == [(3_000_000,)]
