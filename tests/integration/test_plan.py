"""Plan before apply: what a day would bring, what a change would make of it, and nothing written."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.decide import decide
from tessera.decide.agenda import agenda
from tessera.decide.plan import Otherwise, diff, plan
from tessera.errors import BadInput
from tessera.report.alerts import alerts
from tessera.report.figures import figures
from tessera.warehouse import red
from tessera.workspace import Workspace
from tests.deciding import outbox, person
from tests.integration.test_decide import HELLO, insert, on, people, why, workspace, write

WEEKLY = {**HELLO, "campaign": "weekly", "schedule": "0 9 * * TUE", "priority": 10}
ONE_A_WEEK = {"caps": [{"purpose": "marketing", "max": 1, "days": 7}]}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workspace]:
    """Ten customers, two campaigns for all of them, no caps; 2026-03-31 is a Tuesday."""
    project = tmp_path / "project"
    weekly = {**WEEKLY, "steps": [{"name": "first", "template": "weekly/first"}]}
    write(project, {"caps": None}, HELLO, weekly)
    ws = workspace(tmp_path / "home", project=project)
    people(ws, *(f"c{i}" for i in range(10)))
    yield ws
    ws.store.close()


def other(ws: Workspace, text: dict[str, Any]) -> Path:
    path = ws.project / "other.yml"
    path.write_text(yaml.safe_dump(text))
    return path


def run(ws: Workspace, *words: str) -> str:
    where = ("--home", str(ws.home.root))
    found = CliRunner().invoke(app, [*words, *where], env={"TESSERA_PROJECT": str(ws.project)})
    assert found.exit_code == 0, found.output
    return found.output


def content(ws: Workspace) -> dict[str, str]:
    """Everything in the home but the store's own write-ahead files."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ws.home.root.rglob("*")
        if path.is_file() and "sqlite-" not in path.name
    }


def test_a_plan_counts_rewards_and_costs_by_the_policy(shop: Workspace) -> None:
    step = {"name": "first", "template": "hello/first", "grant": {"voucher": "coffee"}}
    costs = {"currency": "EUR", "per_thousand_messages": 150, "rewards": {"coffee": 90}}
    (shop.project / "deployments/programme.yml").write_text("rewards: [{reward: coffee}]")
    write(shop.project, {"caps": None, "costs": costs}, {**HELLO, "steps": [step]})
    found = plan(shop)
    assert (found.planned, found.rewards) == (20, {"coffee": 10})
    assert [(one.campaign, one.cost) for one in found.campaigns] == [
        ("hello", 2 + 10 * 90),  # ten messages are a cent and a half, and half cents are paid
        ("weekly", 2),
    ]
    text = run(shop, "plan", "--as-of", "2026-03-31")
    assert "10 coffee" in text
    assert "Cost: 9.04 EUR" in text


def test_a_policy_without_costs_makes_no_cost_up(shop: Workspace) -> None:
    assert plan(shop).cost is None
    assert "cost" not in run(shop, "plan", "--as-of", "2026-03-31").lower()


def test_a_held_campaign_says_why(shop: Workspace) -> None:
    write(shop.project, None, {**HELLO, "blackout_dates": ["2026-03-31"]})
    held = {one.campaign: one.held for one in plan(shop).campaigns}
    assert held == {"hello": "blackout 2026-03-31", "weekly": None}
    assert "Held: hello (blackout 2026-03-31)" in run(shop, "plan", "--as-of", "2026-03-31")
    late = plan(on(shop, "2026-04-07"))
    assert {one.held for one in late.campaigns} == {"stale data: marts of 2026-03-31"}


def test_a_red_build_holds_every_campaign_until_the_next_green_one(shop: Workspace) -> None:
    shop.home.dbt.mkdir(parents=True)
    red.note(shop.home, "test unique_customers")
    assert plan(shop).reasons == {"stale_data": 20}
    assert {one.held for one in plan(shop).campaigns} == {
        "stale data: red build: test unique_customers"
    }
    decide(shop, ["hello"])
    assert why(shop, "c1") == ("stale_data", "red build: test unique_customers")
    red.forget(shop.home)
    assert plan(shop).planned == 20


def test_a_broken_template_holds_its_campaign_alone_until_it_is_mended(shop: Workspace) -> None:
    """Nothing of it is promised, so nothing is lost: who waits is written to the day after, once."""
    body = shop.project / "templates" / "weekly" / "first" / "body.html"
    body.write_text("<p>\n{% if points_balance %}")
    found = plan(shop)
    held = {one.campaign: one.held for one in found.campaigns}
    assert held["hello"] is None
    assert re.fullmatch(
        r"templates/weekly/first/body\.html:2 does not compile: .*[^.]", held["weekly"] or ""
    )
    assert found.reasons == {"broken_template": 10, "planned": 10}
    assert f"Held: weekly ({held['weekly']})" in run(shop, "plan", "--as-of", "2026-03-31")
    assert decide(shop).held == {"weekly": held["weekly"]}
    assert f"Held: weekly ({held['weekly']})" in run(shop, "decide", "--as-of", "2026-03-31")
    said = f"held until its campaign's template is mended ({held['weekly']})"
    assert said in run(shop, "explain", "c1", "--campaign", "weekly")
    assert [row["campaign"] for row in outbox(shop)] == ["hello"] * 10
    alert = f"Campaign weekly is held, and 10 messages wait: {held['weekly']}."
    assert alert in [one.says for one in alerts(figures(shop))]

    body.write_text("Hello")
    assert decide(shop).new == 10
    assert decide(shop).new == 0
    assert len(outbox(shop)) == 20


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder: (folder / "weekly/first/subject.txt").unlink(),
         "templates/weekly/first/subject.txt is missing; every"),
        (lambda folder: shutil.rmtree(folder / "weekly"), "templates/weekly/first/subject.txt is mi"),
        (lambda folder: (folder / "weekly/first/body.txt").write_text("{{ pionts }}"),
         "templates/weekly/first/body.txt:1: 'pionts' is undefined"),
        (lambda folder: (folder / "weekly/first/body.txt").write_text(
            "{% for a in range(999) %}{% for b in range(999) %}{% endfor %}{% endfor %}"),
         "templates/weekly/first/body.txt:1: its loops take more than 10,000"),
    ],
)  # fmt: skip
def test_whatever_keeps_a_template_from_being_written_holds(
    shop: Workspace, break_it: Callable[[Path], None], said: str
) -> None:
    break_it(shop.project / "templates")
    held = {one.campaign: one.held for one in plan(shop).campaigns}
    assert held["hello"] is None
    assert (held["weekly"] or "").startswith(said)


def test_a_catalogue_holds_what_it_breaks_if_anybody_reads_it(shop: Workspace) -> None:
    folder = shop.project / "templates"
    (folder / "locale").mkdir()
    (folder / "weekly/first/body.txt").write_text("\n{{ _('Hello') }} {{ _('Bye') }}")
    lines = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Bye"\n'
    (folder / "locale/de.po").write_text(f'{lines}msgstr "%(who)s"\n')
    (folder / "locale/fa.po").write_text("nonsense")
    assert {one.held for one in plan(shop).campaigns} == {None}
    people(shop, "c1", customers=[person("c1", language="de-AT")])
    held = {one.campaign: one.held for one in plan(shop).campaigns}
    assert held["hello"] is None
    assert (held["weekly"] or "").startswith(
        'templates/weekly/first/body.txt:2 does not compile: "Bye" lacks the value of a placeholder'
    )
    people(shop, "c1", customers=[person("c1", language="fa")])
    assert {(one.held or "")[:28] for one in plan(shop).campaigns} == {
        "templates/locale/fa.po:1 is "
    }


@pytest.mark.parametrize(
    ("text", "msg", "line"),
    [
        ("{{ _('Hi %(name)s', name=given_name) }}",
         'msgid "Hi %(name)s"\nmsgstr "Hallo %(nmae)s"\n', '"Hi %(name)s" as "Hallo %(nmae)s"'),
        ("{% trans name=given_name %}Hi {{ name }}{% endtrans %}",
         'msgid "Hi %(name)s"\nmsgstr "Hallo %(n)s"\n', '"Hi %(name)s" as "Hallo %(n)s"'),
        ("{{ ngettext('%(num)s point', '%(num)s points', points_balance) }}",
         'msgid "%(num)s point"\nmsgid_plural "%(num)s points"\nmsgstr[0] "%(num)s Punkt"\n'
         'msgstr[1] "%(anzahl)s Punkte"\n', '"%(num)s points" as "%(anzahl)s Punkte"'),
        ("{{ pgettext('till', 'By %(name)s', name=given_name) }}",
         'msgctxt "till"\nmsgid "By %(name)s"\nmsgstr "Von %(n)s"\n', '"By %(name)s" as "Von %(n)s"'),
    ],
)  # fmt: skip
def test_a_translation_that_asks_for_a_value_nobody_gives_holds(
    shop: Workspace, text: str, msg: str, line: str
) -> None:
    folder = shop.project / "templates"
    (folder / "locale").mkdir()
    (folder / "weekly/first/body.txt").write_text(
        f"\n{{% if points_balance == 1 %}}{text}{{% endif %}}"
    )
    plural = "Plural-Forms: nplurals=2; plural=(n != 1);\\n"
    lines = f'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n{plural}"\n\n'
    (folder / "locale/de.po").write_text(lines + msg)
    assert {one.held for one in plan(shop).campaigns} == {None}
    spoken = [person("c1", language="de"), person("c2", language="cs")]  # one is as it is written
    people(shop, "c1", "c2", customers=spoken)
    held = {one.campaign: one.held for one in plan(shop).campaigns}
    assert held["hello"] is None
    said = "templates/weekly/first/body.txt:2 is translated with a value nobody gives: "
    assert held["weekly"] == said + line
    right = re.sub(r"%\((nmae|n|anzahl)\)", "%(num)" if "num" in msg else "%(name)", msg)
    (folder / "locale/de.po").write_text(lines + right)
    assert plan(shop).campaigns[1].held is None


def test_a_journey_whose_version_has_lost_its_template_waits_and_others_do_not(
    shop: Workspace,
) -> None:
    later = {"name": "next", "template": "gone/next", "after": "1d"}
    write(shop.project, None, {**HELLO, "steps": [*HELLO["steps"], later]})
    decide(shop, ["hello"])
    shutil.rmtree(shop.project / "templates" / "gone")
    write(shop.project, None, {**HELLO, "steps": [{"name": "first", "template": "new/first"}]})
    people(shop, "c1", "new")
    found = plan(on(shop, "2026-04-01"), ["hello"])
    assert found.reasons == {"broken_template": 1, "planned": 1}
    assert found.campaigns[0].held is None


def test_another_policy_changes_what_it_should_and_nothing_is_written(shop: Workspace) -> None:
    plan(shop)
    before = content(shop)
    stricter = Otherwise(policy=other(shop, ONE_A_WEEK))
    found = diff(shop, stricter)
    assert (found.before, found.changed) == ("as it stands", 10)
    hello, weekly = found.campaigns
    assert (hello.changed, weekly.changed) == (0, 10)
    assert {r: (c.before, c.after) for r, c in weekly.reasons.items()} == {
        "outranked": (0, 10),
        "planned": (10, 0),
    }
    row = found.customers[0]
    assert (row["customer_id"], row["before"], row["after"]) == ("c0", "planned", "outranked")
    assert row["after_by"] == "hello/first (1 marketing in 7 days)"
    assert content(shop) == before


def test_of_a_campaign_that_comes_or_goes_every_candidate_changes(shop: Workspace) -> None:
    folder = shop.project / "others"
    folder.mkdir()
    third = {**HELLO, "campaign": "third", "steps": [{"name": "one", "template": "third/one"}]}
    (folder / "third.yml").write_text(yaml.safe_dump(third))
    found = diff(shop, Otherwise(campaigns=folder))
    assert {one.campaign: one.changed for one in found.campaigns} == {
        "hello": 10,
        "third": 10,
        "weekly": 10,
    }
    assert {row["before"] for row in found.customers if row["campaign"] == "third"} == {None}
    assert diff(shop, Otherwise(campaigns=folder), ["third"]).changed == 10
    with pytest.raises(BadInput, match="no campaign 'fourth'"):
        diff(shop, Otherwise(campaigns=folder), ["fourth"])
    with pytest.raises(BadInput, match=r"No campaign files \(\*.yml\) are in "):
        diff(shop, Otherwise(campaigns=folder / "nowhere"))


def test_without_other_rules_the_plan_now_is_compared_with_what_was_decided(
    shop: Workspace,
) -> None:
    with pytest.raises(BadInput, match="Nothing was decided on 2026-03-31"):
        diff(shop, Otherwise())
    decide(shop)
    assert diff(shop, Otherwise()).changed == 0
    word = {
        "channel": "email",
        "scope": "all",
        "cause": "bounce",
        "since": "2026-03-31T00:00:00+00:00",
    }
    insert(shop, "suppression", address_hash=hashlib.sha256(b"c3@shop.example").hexdigest(), **word)
    people(shop, *(f"c{i}" for i in range(11)))
    found = diff(shop, Otherwise())
    # What was promised today stays; who came since is new.
    assert [(r["customer_id"], r["before"], r["after"]) for r in found.customers] == [
        ("c10", None, "planned"),
        ("c10", None, "planned"),
    ]
    text = run(shop, "plan", "--as-of", "2026-03-31", "--diff", "--customers")
    assert "2 verdicts change, from the plan as it was decided to the plan now" in text
    assert "c10" in text
    told = json.loads(run(shop, "plan", "--as-of", "2026-03-31", "--diff", "--json"))
    assert (told["changed"], len(told["customers"])) == (2, 2)


def test_explain_tells_what_became_of_the_message(shop: Workspace) -> None:
    decide(shop)
    with shop.store.write() as store:
        store.run(
            "update outbox set state = 'accepted', state_at = '2026-03-31T09:00:05+00:00' "
            "where customer_id = 'c1' and campaign = 'hello'"
        )
        store.run(
            "update outbox set state = 'cancelled', state_reason = 'no_consent', "
            "state_at = '2026-03-31T09:00:05+00:00' where customer_id = 'c1' and campaign = 'weekly'"
        )
        key = store.scalar(
            "select send_key from outbox where customer_id='c1' and campaign='hello'"
        )
    at = {"send_key": key, "received_at": "2026-03-31T12:00:00+00:00", "reason": None}
    opened = {"event": "open", "occurred_at": "2026-03-31T10:00:00+00:00"}
    insert(shop, "provider_event", event_key="1", **at, **opened)
    insert(
        shop,
        "provider_event",
        event_key="2",
        **at,
        **opened | {"occurred_at": "2026-03-31T11:00:00+00:00"},
    )
    hello, weekly = run(shop, "explain", "c1").splitlines()
    assert hello.endswith(
        "planned for 2026-03-31T09:00:00+00:00; handed over at 2026-03-31T09:00:05+00:00; "
        "opened at 2026-03-31T10:00:00+00:00."
    )
    assert weekly.endswith("; cancelled at 2026-03-31T09:00:05+00:00 (no_consent).")
    assert run(shop, "explain", "c2").splitlines()[0].endswith("; not sent yet.")
    told = json.loads(run(shop, "explain", "c1", "--json"))
    assert [fate["what"] for fate in told[0]["since"]] == ["handed over", "opened"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("accepted", "; handed over at 2026-04-01T09:00:00+00:00 (accepted)."),
        ("given_up", "; perhaps sent, which nobody can know at 2026-04-01T09:00:00+00:00 (given_up)."),
        ("dropped by the provider", "; refused at 2026-04-01T09:00:00+00:00 (dropped by the provider)."),
    ],
)  # fmt: skip
def test_explain_says_handed_over_only_of_what_is_known_to_be(
    shop: Workspace, reason: str, said: str
) -> None:
    decide(shop, ["hello"])
    with shop.store.write() as store:
        store.run(
            "update outbox set state = 'reconciled', state_at = '2026-04-01T09:00:00+00:00', "
            "state_reason = :reason",
            reason=reason,
        )
    assert run(shop, "explain", "c1", "--campaign", "hello").rstrip().endswith(said)


def test_the_calendar_expects_what_the_last_weeks_brought_on_that_weekday(shop: Workspace) -> None:
    daily = {**HELLO, "content_repeat": "allow", "re_entry_after_days": 1}
    write(shop.project, None, daily)
    tuesday = date(2026, 3, 31)
    for ahead, names in ((0, 10), (1, 4), (2, 6)):
        ws = on(shop, str(tuesday + timedelta(ahead)))
        people(ws, *(f"{ahead}-{i}" for i in range(names)))
        decide(ws)
    (today,) = agenda(ws, date(2026, 4, 2), date(2026, 4, 2))  # which was decided in part
    assert (today.expected, today.basis) == (7, "last 2 runs")
    four_weeks = agenda(on(shop, "2026-04-28"), date(2026, 4, 28), date(2026, 4, 28))
    assert {(one.expected, one.basis) for one in four_weeks} == {(10, "last 1 Tuesday")}
    ws = on(shop, "2026-04-03")
    found = agenda(ws, date(2026, 4, 3), date(2026, 4, 8))
    assert [(e.date, e.campaign, e.expected, e.basis) for e in found] == [
        ("2026-04-03", "hello", 6, "last 3 runs"),
        ("2026-04-04", "hello", 6, "last 3 runs"),
        ("2026-04-05", "hello", 6, "last 3 runs"),
        ("2026-04-06", "hello", 6, "last 3 runs"),
        ("2026-04-07", "hello", 10, "last 1 Tuesday"),
        ("2026-04-07", "weekly", 10, "last 1 Tuesday"),
        ("2026-04-08", "hello", 4, "last 1 Wednesday"),
    ]
    nobody = on(shop, "2026-04-03")  # is a candidate: a run of no messages, not none
    people(nobody)
    decide(nobody)
    (found,) = agenda(on(shop, "2026-04-10"), date(2026, 4, 10), date(2026, 4, 10))
    assert (found.expected, found.basis) == (0, "last 1 Friday")


def test_the_calendar_shows_blackouts_and_plans_for_campaigns_that_never_ran(
    shop: Workspace,
) -> None:
    write(
        shop.project,
        {"caps": None, "blackout_dates": ["2026-04-01"]},
        {**HELLO, "not_after": date(2026, 4, 2)},
    )
    rows = json.loads(
        run(
            shop,
            "calendar",
            "--from",
            "2026-03-31",
            "--to",
            "2026-04-06",
            "--as-of",
            "2026-03-31",
            "--json",
        )
    )
    assert [(r["date"], r["campaign"], r["expected"], r["held"]) for r in rows] == [
        ("2026-03-31", "hello", 10, None),
        ("2026-03-31", "weekly", 10, None),
        ("2026-04-01", "hello", 0, "blackout 2026-04-01"),
        ("2026-04-02", "hello", 10, None),
    ]
    assert {r["basis"] for r in rows} == {"a plan for today", "held"}
    late = agenda(on(shop, "2026-04-09"), date(2026, 4, 9), date(2026, 4, 16))
    assert {(one.expected, one.basis) for one in late} == {
        (None, "no plan for today: marts of 2026-03-31")
    }
    with pytest.raises(BadInput, match="from a day to a later one"):
        agenda(shop, date(2026, 4, 1), date(2026, 3, 1))
