"""The commands that plan, decide, explain, list, check and preview, as typed."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.decide import decide as decide_flow
from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.testing import publish
from tests.integration.test_decide import HELLO, YES, member, people, person, workspace, write
from tests.sending import enqueue, outbox_row, states


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with marts of two customers, and the project it belongs to."""
    project = tmp_path / "project"
    write(
        project, {"caps": None}, HELLO, {**HELLO, "campaign": "weekly", "schedule": "0 9 * * WED"}
    )
    monkeypatch.setenv("TESSERA_PROJECT", str(project))
    ws = workspace(tmp_path / "home", project=project)
    people(
        ws,
        customers=[person("ann"), person("bob", email=None)],
        consents=[{**YES, "customer_id": "ann"}],
        audience_all=[member("ann"), member("bob")],
    )
    return tmp_path / "home"


def run(*words: str, code: int = 0) -> str:
    found = CliRunner().invoke(app, words)
    if isinstance(found.exception, BadInput):
        raise found.exception
    assert found.exit_code == code, found.output
    return found.output


def told(*words: str, code: int = 0) -> Any:
    return json.loads(run(*words, "--json", code=code))


def test_plan_shows_candidates_reasons_and_times_and_writes_nothing(home: Path) -> None:
    at = ("--home", str(home), "--as-of", "2026-03-31")
    text = run("plan", *at)
    assert "2026-03-31: 1 of 2 planned" in text
    assert "no_address" in text
    assert "2026-03-31T09:00:00+00:00" in text
    assert "Not today: weekly" in text
    plan = told("plan", *at)
    assert plan["reasons"] == {"no_address": 1, "planned": 1}
    assert plan["campaigns"][0]["campaign"] == "hello"
    assert told("plan", "--campaign", "weekly", *at)["candidates"] == 2
    assert not (home / "decisions").exists()


def test_decide_then_decisions_then_explain(home: Path) -> None:
    at = ("--home", str(home))
    assert told("decide", *at, "--as-of", "2026-03-31")["new"] == 1
    assert told("decide", *at, "--as-of", "2026-03-31")["new"] == 0
    rows = told("decisions", *at)
    assert [(r["customer_id"], r["reason"]) for r in rows] == [
        ("ann", "planned"),
        ("bob", "no_address"),
    ]
    assert told("decisions", *at, "--reason", "planned", "--date", "2026-03-31")[0]["send_key"]
    assert told("decisions", *at, "--date", "2026-03-30") == []
    assert told("decisions", *at, "--campaign", "weekly") == []
    assert len(told("decisions", *at, "--limit", "1")) == 1
    assert "bob" in run("decisions", *at)
    assert run("explain", "bob", *at) == (
        "2026-03-31  hello, step first (first): "
        "not written to, for there is no e-mail address that works.\n"
    )
    assert told("explain", "ann", *at, "--since", "2026-03-31", "--campaign", "hello")[0][
        "said"
    ].endswith("planned for 2026-03-31T09:00:00+00:00; not sent yet.")
    assert "No campaign has had customer 'zoe'" in run("explain", "zoe", *at)
    assert run("explain", "ann", *at, "--campaign", "weekly", "--since", "2026-03-01") == (
        "Campaign 'weekly' has not had customer 'ann' as a candidate since 2026-03-01.\n"
    )


def test_explain_tells_what_became_of_a_letter_that_is_not_planned_again(home: Path) -> None:
    """Also where it went to a number that its reader no longer has."""
    at = ("--home", str(home))
    run("decide", *at, "--as-of", "2026-03-31")
    run("send", "cancel", "hello", *at)
    for who, known_as in (
        ("ann", ()),
        ("eve", [{"customer_id": "ann", "into_customer_id": "eve"}]),
    ):
        publish(
            workspace(home, "2026-04-01", timezone="UTC"),
            customers=[person(who)],
            consents=[{**YES, "customer_id": who}],
            audience_all=[member(who)],
            known_as=known_as,
        )
        run("decide", *at, "--as-of", "2026-04-01")
        (row,) = told("explain", who, *at, "--since", "2026-04-01", "--campaign", "hello")
        assert re.search(
            r"not written to again \(planned on 2026-03-31\); cancelled at [-0-9:T+]+ \(campaign_cancelled\)\.$",
            row["said"],
        ), row["said"]


def test_explain_tells_of_all_numbers_of_a_person(home: Path) -> None:
    at = ("--home", str(home))
    run("decide", *at, "--as-of", "2026-03-31")
    ws = workspace(home, "2026-04-01", timezone="UTC")
    publish(ws, known_as=[{"customer_id": "bob", "into_customer_id": "ann"}])
    ann, bob = (run("explain", who, *at) for who in ("ann", "bob"))
    assert ann == bob
    assert ann.splitlines() == [
        "2026-03-31  hello, step first (first): planned for 2026-03-31T09:00:00+00:00; not sent yet.",
        "2026-03-31  hello, step first (first), as bob: "
        "not written to, for there is no e-mail address that works.",
    ]
    assert [row["customer_id"] for row in told("explain", "bob", *at)] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan", "--campaign", "helo"], r"no campaign 'helo'\. Did you mean 'hello'"),
        (["decisions", "--reason", "cap"], "'cap' is not a reason; there are no_address"),
        (["decisions", "--date", "31/03"], "--date '31/03' is not a date"),
        (["explain", "ann", "--since", "soon"], "--since 'soon' is not a date"),
        (["explain", "ann", "--campaign", "helo"], r"no campaign 'helo'\. Did you mean 'hello'"),
        (["decisions", "--campaign", "helo"], r"no campaign 'helo'\. Did you mean 'hello'"),
        (["plan", "--as-of", "9999-12-31"], "'9999-12-31' must lie between 1900 and 2199"),
        (["plan", "--as-of", "0001-01-01"], "'0001-01-01' must lie between 1900 and 2199"),
        (["calendar", "--from", "9999-12-30"], "--from '9999-12-30' must lie between 1900"),
        (["campaign", "preview", "helo"], r"no campaign 'helo'\. Did you mean 'hello'"),
        (
            ["campaign", "preview", "hello", "--step", "frst"],
            r"no step 'frst'\. Did you mean 'first'",
        ),
        (["plan", "--home", "/nowhere/at/all"], "No marts are published"),
    ],
)
def test_a_slip_of_the_pen_is_one_sentence(home: Path, words: list[str], sentence: str) -> None:
    at = [] if "--home" in words else ["--home", str(home)]
    with pytest.raises(BadInput, match=sentence):
        run(*words, *at)


def test_campaign_list_says_when_each_runs_next(home: Path) -> None:
    rows = told("campaign", "list", "--home", str(home), "--as-of", "2026-03-31")
    assert {r["campaign"]: r["next_on"] for r in rows} == {
        "hello": "2026-03-31",
        "weekly": "2026-04-01",
    }


def test_campaign_check_tells_every_problem_and_fails(home: Path, tmp_path: Path) -> None:
    found = told("campaign", "check", "--home", str(home), code=BadInput.exit_code)
    assert not found["ok"]
    assert {problem["key"] for problem in found["problems"]} == {"audience", "steps.0.template"}
    text = run("campaign", "check", "--home", str(home), code=BadInput.exit_code)
    assert "campaigns/hello.yml:1: dbt has no model audience_all" in text
    offers = tmp_path / "project" / "deployments" / "offers.yml"
    offers.write_text("trial: t\nmargin_shar: 0.3\ncost_share: 0.1\n", encoding="utf-8")
    text = run("campaign", "check", "--home", str(home), code=BadInput.exit_code)
    wrong = (
        "deployments/offers.yml:2: 'margin_shar' is not a key here. Did you mean 'margin_share'?"
    )
    assert wrong in text


def test_a_project_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It had no campaigns, and nothing else was said."""
    monkeypatch.setenv("TESSERA_PROJECT", "/nowhere/at/all")
    with pytest.raises(BadInput, match="TESSERA_PROJECT: there is no folder /nowhere/at/all"):
        run("campaign", "list")


def test_preview_writes_a_page_of_the_shipped_campaign(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESSERA_PROJECT")
    assert run("campaign", "check") == "All campaigns are sound.\n"
    words = ("campaign", "preview", "welcome", "--home", str(home), "--language", "fa")
    page = Path(told(*words, "--customer", "ann")["page"])
    assert "rtl" in page.read_text(encoding="utf-8")
    with pytest.raises(BadInput, match="no customer 'zoe'"):
        run(*words, "--customer", "zoe")


def test_preview_shows_the_variant_that_is_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESSERA_PROJECT")
    words = ("campaign", "preview", "weekly_offers", "--home", str(home))
    assert told(*words)["variant"] == "picks"
    shelf = told(*words, "--variant", "shelf")
    assert (shelf["variant"], Path(shelf["page"]).name) == ("shelf", "weekly_offers-shelf.en.html")
    with pytest.raises(BadInput, match=r"'offers' has no variant 'shelv'\. Did you mean 'shelf'"):
        run(*words, "--variant", "shelv")


def test_the_schemas_are_printed_for_editors() -> None:
    assert "trigger" in json.loads(run("campaign", "schema"))["properties"]
    assert "fatigue" in json.loads(run("campaign", "schema", "policy"))["properties"]


def test_the_flow_is_the_stage(home: Path) -> None:
    found = decide_flow.fn(as_of="2026-03-31", home=str(home), dry_run=True)
    assert (found["planned"], found["new"]) == (1, 0)
    found = decide_flow.fn(campaign="weekly", as_of="2026-03-31", home=str(home))
    assert (found["candidates"], found["new"]) == (2, 1)


def test_the_flow_gives_up_first_what_nobody_came_to_send(home: Path) -> None:
    """But not where it only shows what it would do."""
    ws = workspace(home, project=home.parent / "project")
    enqueue(
        ws, outbox_row("ann", not_after="2026-03-30T16:30:00+00:00", business_date="2026-03-30")
    )
    decide_flow.fn(as_of="2026-03-31", home=str(home), dry_run=True)
    assert states(ws) == {"ready": 1}
    decide_flow.fn(as_of="2026-03-31", home=str(home))
    assert states(ws) == {"cancelled": 1, "ready": 1}


def found(home: Path, *words: str) -> list[str]:
    return [row["customer_id"] for row in told("customers", *words, "--home", str(home))]


@pytest.fixture
def base(home: Path, tmp_path: Path) -> Path:
    """Four customers: of one nothing is known."""
    noon = datetime.fromisoformat("2026-03-01 23:30")
    ann = person("ann", given_name="Ann", tier="gold", revenue=900, birth_date=date(1990, 2, 28))
    bob = person(
        "bob", given_name="Bób", family_name="Lee", tier="silver", revenue=1500, joined_at=noon
    )
    cat = person("cat", given_name="O'Neil", tier="basic", revenue=20, has_complaint_open=True)
    cat |= {"phone": "+49 69/123-456"}
    ws = workspace(home, project=tmp_path / "project")
    people(ws, customers=[ann, bob, cat, {"customer_id": "dan"}])
    tiers = "tiers: {levels: [{tier: silver, least: 1}, {tier: gold, least: 2}]}"
    (tmp_path / "project/deployments/programme.yml").write_text(tiers)
    return home


WHO: list[tuple[list[str], list[str]]] = [
    ([], ["ann", "bob", "cat", "dan"]),
    (["--where", "tier=gold"], ["ann"]),
    (["--where", "tier==gold"], ["ann"]),
    (["--where", "tier = gold, silver"], ["ann", "bob"]),
    (["--where", "tier!=gold,silver"], ["cat", "dan"]),
    (["--where", "tier!=gold"], ["bob", "cat", "dan"]),
    (["--where", "tier="], ["dan"]),
    (["--where", "tier!=", "--where", "revenue>=900"], ["ann", "bob"]),
    (["--where", "revenue<20.5"], ["cat"]),
    (["--where", "birth_date=1990-02-28"], ["ann"]),
    (["--where", "has_complaint_open=true"], ["cat"]),
    (["--where", "joined_at>2026-02-28"], ["bob"]),
    (["--where", "joined_at=2026-03-01"], ["bob"]),
    (["--where", "joined_at>2026-03-01T23:30"], []),
    (["--sort", "-revenue"], ["bob", "ann", "cat", "dan"]),
    (["--sort", "tier", "--sort", "-revenue", "--limit", "2"], ["cat", "ann"]),
    (["BÓB"], ["bob"]),
    (["bób lee"], ["bob"]),
    (["Lee  Bób"], ["bob"]),
    (["o'n"], ["cat"]),
    (["69/123"], ["cat"]),
    (["+4969 123456"], ["cat"]),
    (["0049 (69) 12 34 56"], ["cat"]),
    (["069-123456"], ["cat"]),
    (["69 124"], []),
    (["0000"], []),
    (["shop.example", "--where", "revenue>100"], ["ann", "bob"]),
    (["' or true --"], []),
    (["--where", "given_name=' or true --"], []),
]


def test_customers_are_searched_filtered_and_sorted(base: Path) -> None:
    for words, who in WHO:
        assert found(base, *words) == who, words


def test_customers_are_shown_with_how_many_there_are(base: Path) -> None:
    at = ("--home", str(base))
    shown = run("customers", "--column", "tier", "--column", "revenue", "--limit", "1", *at)
    assert [line.split() for line in shown.splitlines()[::2]] == [
        ["tier", "revenue"],
        ["gold", "900"],
    ]
    assert shown.endswith("1 of 4; --limit N shows more, --json all.\n")
    assert run("customers", "--where", "tier=gold", *at).endswith("1 of 1.\n")
    assert "(nothing)\n0 of 0." in run("customers", "nobody", *at)


SLIPS = [
    (["--where", "gold"], "--where 'gold' is no filter; write it as tier=gold"),
    (["--where", "tir=gold"], r"'tir' is not a column .*\. Did you mean 'tier'"),
    (["--where", "tier!=silver,Gold"], "'tier' is never 'Gold'. Did you mean 'gold'"),
    (["--where", "revenue>much"], "'much' is not a number"),
    (["--where", "revenue>nan"], "'nan' is not a number"),
    (["--where", "revenue>"], "'' is not a number"),
    (["--where", "revenue>1,2"], "only = and != may be followed by several"),
    (["--where", "tier>gold"], "'tier' is text, which is not more or less"),
    (["--where", "is_registered=yes"], "'yes' is not true or false"),
    (["--where", "birth_date>1990"], "'1990' is not a day"),
    (["--where", "joined_at>soon"], "'soon' is not a day"),
    (["--sort", "-revenu"], r"'revenu' is not a column .*\. Did you mean 'revenue'"),
    (["--column", "name"], "'name' is not a column"),
]


def test_a_search_that_cannot_be_understood_is_one_sentence(base: Path) -> None:
    for words, sentence in SLIPS:
        with pytest.raises(BadInput, match=sentence):
            run("customers", *words, "--home", str(base))
