"""Campaign files are typed: what they cannot mean is refused by file, line and key."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from tessera import documents
from tessera.cli.app import app
from tessera.decide.campaign import Campaign
from tessera.decide.campaigns import check, choose, load, schema
from tessera.errors import BadInput
from tessera.say import gathered
from tessera.settings import CHECKOUT

GOOD = """\
campaign: winback
purpose: marketing
audience: lapsed_members
where:
  - {field: receipts, gte: 2}
priority: 40
schedule: "0 9 * * TUE"
send_window: {start: 09:00, end: 19:30}
control_group_share: 0.10
re_entry_after_days: 90
steps:
  - {name: reminder, template: winback/reminder}
goal: {event: purchased, within: 14d}
"""
POLICY = "caps: null\nquiet_hours: {start: 21:00, end: 08:00}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One template, two models, one campaign and a policy."""
    template = tmp_path / "templates" / "winback" / "reminder"
    template.mkdir(parents=True)
    for part in ("subject.txt", "body.html", "body.txt"):
        footer = "{{ links.unsubscribe }} {{ shop.postal_address }}" if "body" in part else ""
        (template / part).write_text(f"Come back {footer}")
    models = tmp_path / "dbt" / "models"
    models.mkdir(parents=True)
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "programme.yml").write_text(
        "rewards: [{reward: voucher-5}, {reward: tea}]\ntiers: {levels: [{tier: gold, least: 9}]}\n"
    )
    (models / "audience_lapsed_members.sql").write_text("select 1")
    (models / "_models.yml").write_text(
        "models:\n  - name: customers\n    columns:\n"
        "      - {name: receipts, data_type: bigint}\n      - {name: country, data_type: varchar, config: {meta: {values: [AT, DE]}}}\n"
        "      - {name: tier, data_type: varchar}\n"
        "      - {name: birth_date, data_type: date}\n      - {name: is_registered, data_type: boolean}\n"
        "  - name: customer_events\n    columns:\n      - name: event\n        data_tests:\n"
        "          - accepted_values: {arguments: {values: [joined, first_purchase]}}\n"
    )
    (tmp_path / "deployments" / "campaigns").mkdir()
    (tmp_path / "deployments" / "contact_policy.yml").write_text(POLICY)
    return write(tmp_path, GOOD)


def write(project: Path, text: str) -> Path:
    (project / "deployments" / "campaigns" / "winback.yml").write_text(text, encoding="utf-8")
    return project


def test_the_shipped_campaigns_are_sound() -> None:
    assert check(CHECKOUT) == []


def test_a_sound_campaign_has_no_problems(project: Path) -> None:
    assert check(project) == []
    (campaign,) = load(project)
    assert campaign.steps[0].after_days == 0
    assert check(write(project, GOOD.replace("gte: 2", "gte: 2, lte: 2"))) == [], "just 2"


@pytest.mark.parametrize(
    ("schedules", "said"),
    [
        ("[{cron: 0 9 * * TUE, timezone: UTC}]", None),
        ("[{cron: 0 9 * * WED}]", "'0 9 * * WED'"),
        ("[{cron: 0 9 * * TUE}, {cron: 0 15 * * TUE}]", "'0 9 * * TUE' and '0 15 * * TUE'"),
        ("[]", "no schedule"),
    ],
)
def test_prefect_starts_a_campaign_when_its_own_file_says(
    project: Path, schedules: str, said: str | None
) -> None:
    """Nothing noticed that a schedule was changed in one place of two."""
    deployment = f"{{parameters: {{campaign: winback}}, schedules: {schedules}}}"
    file = project / "deployments" / "prefect.yaml"
    file.write_text(f"deployments:\n  - {{name: daily, schedules: []}}\n  - {deployment}\n")
    found = [str(one) for one in check(project)]
    expected = (
        f"deployments/campaigns/winback.yml:7: this is '0 9 * * TUE', but deployments/prefect.yaml has {said}; "
        "write the same in both."
    )
    assert found == ([expected] if said else [])
    gone = "  - name: spring\n    parameters: {campaign: winbak}\n    schedules: []\n"
    file.write_text(f"deployments:\n  - {deployment}\n{gone}")
    assert [str(one) for one in check(project)][bool(said) :] == [
        "deployments/prefect.yaml:4: there is no campaign 'winbak', so Prefect's runs of it fail; take the deployment "
        "out, or write the campaign's file. Did you mean 'winback'?"
    ]
    file.write_text("deployments: [")
    assert check(project) == [], "Prefect says so"


@pytest.mark.parametrize(
    ("wrong", "right", "problem"),
    [
        ("priority: 40", "prioritty: 40", "6: 'prioritty' is not a key here. Did you mean 'priority'?"),
        ("purpose: marketing", "purpose: marketting", "2: 'purpose' cannot be 'marketting'. Did you mean 'marketing'?"),
        ("priority: 40", "priority: high", "6: 'priority' cannot be 'high': write a whole number."),
        ("TUE", "TUX", "7: 'schedule' cannot be '0 9 * * TUX': this is not a cron line such as '0 9 * * TUE' (Bad day-of-week)."),
        ("19:30", "25:30", "8: 'end' cannot be '25:30': write a time of day as 09:00."),
        ("0.10", "yes", "9: 'control_group_share' cannot be 'yes': "),
        ("0.10", "true", "9: 'control_group_share' cannot be True: "),
        ("0.10", "1.10", "9: 'control_group_share' cannot be 1.1: 1 is the most."),
        ("steps:", "exit_on: [bought, purchasd]\nsteps:", "11: 'exit_on 2' cannot be 'purchasd'. Did you mean 'purchased'?"),
        ("within: 14d", "within: 2 weeks", "13: 'within' cannot be '2 weeks': write whole days as 7d."),
        ("within: 14d", "within: 0d", "13: 'within' cannot be '0d': write 1d at least."),
        ("receipts, gte: 2", "birth_date, gte: 2026-02-31", "5: 'gte' cannot be '2026-02-31': there is no such day or time; write a date as 2026-12-31."),
        ("gte: 2", "gte: two", "5: 'gte' cannot be 'two'"),
        ("priority: 40", "not_after: 2026-02-31", "6: 'not_after' cannot be '2026-02-31': "),
        ("priority: 40", "not_after: 9999-12-31", "6: 'not_after' cannot be '9999-12-31': leave it out where there is no end."),
        ("priority: 40", "not_after: 20260228", "6: 'not_after' cannot be 20260228: write a date as 2026-12-31"),
        ("priority: 40", "blackout_dates: 2026-12-24", "6: 'blackout_dates' cannot be '2026-12-24': write a list."),
        ("{start: 09:00, end: 19:30}", "9-17", "8: 'send_window' cannot be '9-17': write keys with values."),
        (", gte: 2", "", "5: 'where 1': say what it must be"),
        ("  - {name: reminder", "  - {name: offer, template: winback/reminder}\n  - {name: reminder", "13: a step after the first needs 'after'"),
        ("campaign: winback", "campaign: global", "1: 'global' is how the control group of all campaigns is called"),
        ("campaign: winback", "campaign: winbac", "1: a campaign is called as its file; write 'campaign: winback'."),
        ("lapsed_members", "lapsed_member", "3: dbt has no model audience_lapsed_member. Did you mean 'lapsed_members'?"),
        ("field: receipts", "field: receits", "5: 'receits' is not a column of the customers mart. Did you mean 'receipts'?"),
        ("gte: 2", "eq: true", "5: 'receipts' is a number; 'eq: True' is not."),
        ("field: receipts", "field: country", "5: 'country' is text, which is not more or less; use eq, ne, in or not_in."),
        ("receipts, gte: 2", "birth_date, gte: 2", "5: 'birth_date' is a date; 'gte: 2' is not."),
        ("receipts, gte: 2", "is_registered, eq: 'yes'", "5: 'is_registered' is a boolean; 'eq: yes' is not."),
        ("winback/reminder", "winback/remindr", "12: "),
        ("start: 09:00, end: 19:30", "start: 22:00, end: 23:00", "8: the send window 22:00-23:00 lies wholly in the quiet hours 21:00-08:00."),
        ("campaign: winback", "campaign: [", "1: this is not YAML: "),
        ("priority: 40", "priority:\u00a040", "6: this is not YAML: could not find expected ':'; there is a non-breaking space in this line, type a plain one."),
        ("  - {name", "\u00a0\u00a0- {name", "12: this is not YAML: "),
        ("priority: 40", "priority: *40", "6: this is not YAML: found undefined alias; put a text that begins with * or & in quotes."),
        ("0 9 * * TUE", "0 0 9 * * TUE", "7: 'schedule' cannot be '0 0 9 * * TUE': this is not a cron line such as '0 9 * * TUE' (Wrong number of fields)."),
        ("winback/reminder", "winback/remindr", "12: there is no template templates/winback/remindr. Did you mean 'winback/reminder'?"),
        ("winback/reminder", "Winback", "12: 'template' cannot be 'Winback': name a folder of templates/, such as winback/reminder."),
        ("receipts, gte: 2", "receipts, gte: 5, lt: 2", "5: 'receipts' is never 5 or more and 2 or less at once."),
        ("receipts, gte: 2", "country, in: [AT, LX]", "5: 'country' is never 'LX'. Valid: AT, DE."),
        ("receipts, gte: 2", "country, ne: De", "5: 'country' is never 'De'. Valid: AT, DE."),
        ("receipts, gte: 2", "tier, in: [Gold]", "5: 'tier' is never 'Gold'. Did you mean 'gold'?"),
        ("gte: 2", "gte: 2,50", "5: '50' is not a key here; write a number with a point, as a comma begins the next key."),
        ("0.10", "10", "9: 'control_group_share' cannot be 10: 1 is the most."),
    ],
)  # fmt: skip
def test_check_points_at_file_line_and_key(
    project: Path, wrong: str, right: str, problem: str
) -> None:
    assert wrong in GOOD
    found = [str(one) for one in check(write(project, GOOD.replace(wrong, right)))]
    assert any(text.startswith(f"deployments/campaigns/winback.yml:{problem}") for text in found), (
        found
    )


PATH = """\
campaign: winback
purpose: marketing
tags: [offers]
trigger: {event: first_purchase, within: 7d}
schedule: "0 9 * * *"
exit_on: [purchased, unsubscribed]
cadence: nurture
on_cap: defer
steps:
  - {name: thanks, template: winback/reminder, after: 1d, grant: {voucher: voucher-5}}
  - name: goes_with
    after: 6d
    only_if: {step: thanks, was: opened}
    variants:
      - {name: a, template: winback/reminder, weight: 3}
      - {name: b, template: winback/reminder}
    choose: {winner_by: clicked, after_messages: 100}
  - name: reminder
    template: winback/reminder
    follows: [thanks, goes_with]
    after: 14d
    only_if: [{step: goes_with, was: not_clicked}, {step: thanks, was: {scored: [0, 6]}}]
"""


@pytest.mark.parametrize(
    ("wrong", "right", "problem"),
    [
        ("first_purchase,", "first_purchse,", "4: 'first_purchse' is not an event of customer_events. Did you mean 'first_purchase'?"),
        ("within: 7d", "within: 60d", "4: customer_events holds 31 days; write 31d or less."),
        ("within: 7d", "wihtin: 7d", "4: 'wihtin' is not a key here. Did you mean 'within'?"),
        ("within: 7d", "date: birth_date", "4: 'date' is not a key here. Valid: before, event, "),
        ("event: first_purchase", "evnt: first_purchase", "4: 'evnt' is not a key here. Did you mean 'event'?"),
        ("{event: first_purchase, within: 7d}", "{date: birth_dat}", "4: 'birth_dat' is not a column of the customers mart. Did you mean 'birth_date'?"),
        ("{event: first_purchase, within: 7d}", "{date: birth_date, within: 400d}", "4: 'before' and 'within' must come to less than 365d, when the date returns."),
        ("{event: first_purchase, within: 7d}", "\n  date: birth_date\n  before: 300d\n  within: 65d", "7: 'before' and 'within' must come to less than 365d, when the date returns."),
        ("{event: first_purchase, within: 7d}", "{date: country}", "4: 'country' is not a date."),
        ("{event: first_purchase, within: 7d}", "{date: birth_date, leap_day: feb_29}", "4: 'leap_day' cannot be 'feb_29'. Did you mean 'feb_28'?"),
        ("trigger: {event: first_purchase, within: 7d}\n", "", "1: say for whom it is: 'audience', or a 'trigger'."),
        ("unsubscribed", "unsubscribd", "6: 'exit_on 2' cannot be 'unsubscribd'. Did you mean 'unsubscribed'?"),
        ("nurture", "nurtur", "7: the policy has no cadence 'nurtur'. Did you mean 'nurture'?"),
        ("defer", "deffer", "8: 'on_cap' cannot be 'deffer'. Did you mean 'defer'?"),
        ("voucher-5", "vouchr-5", "10: deployments/programme.yml has no reward 'vouchr-5'. Did you mean 'voucher-5'?"),
        ("voucher: voucher-5", "reward: voucher-5", "10: 'reward' is not a key here."),
        ("name: goes_with", "name: thanks", "11: there is a step 'thanks' already."),
        ("    after: 6d\n", "", "11: a step after the first needs 'after', a day at least."),
        ("{step: thanks, was: opened}", "{step: thank, was: opened}", "13: 'thank' is no step before 'goes_with'. Did you mean 'thanks'?"),
        ("{step: thanks, was: opened}", "{step: reminder, was: opened}", "13: 'reminder' is no step before 'goes_with'."),
        ("{step: thanks, was: opened}", "{step: thanks, was: openned}", "13: 'was' cannot be 'openned'. Did you mean 'opened'?"),
        ("{scored: [0, 6]}", "{scored: [6, 0]}", "22: 'was': write {scored: [0, 6]} or {not_scored: [0, 6]}."),
        ("{scored: [0, 6]}", "{scored: [0, 6, 9]}", "22: 'scored': write 2 values at most."),
        ("{scored: [0, 6]}", "{scord: [0, 6]}", "22: 'scord' is not a key here. Did you mean 'scored'?"),
        ("weight: 3", "weight: 0.5", "15: 'weight' cannot be 0.5"),
        ("name: b,", "name: a,", "11: 'steps 2': two variants have the same name."),
        ("name: b, template: winback/reminder", "name: b, template: winback/remindr", "16: "),
        ("tags: [offers]", "channel: sms", "13: nobody tells whether a text message or a letter was opened; ask for 'purchased'."),
        ("tags: [offers]", "channel: print", "17: nobody tells whether a text message or a letter was clicked; ask for 'purchased'."),
        ("tags: [offers]", "channel: print", "22: nobody tells whether a text message or a letter was clicked; ask for 'purchased'."),
        ("exit_on: [purchased, unsubscribed]", "channel: sms\nexit_on: [purchased, clicked]", "7: nobody tells whether a text message or a letter was clicked; ask for 'purchased'."),
        ("winner_by: clicked", "winner_by: cliked", "17: 'winner_by' cannot be 'cliked'. Did you mean 'clicked'?"),
        ("follows: [thanks, goes_with]", "follows: [thanks, goes_wiht]", "20: 'goes_wiht' is no step before 'reminder'. Did you mean 'goes_with'?"),
        ("    template: winback/reminder\n    follows", "    follows", "18: 'steps 3': a step needs 'template' or 'variants', one of them."),
        ("name: thanks,", "name: thanks, only_if: {step: thanks, was: opened},", "10: the first step follows none, and nothing was before it."),
    ],
)  # fmt: skip
def test_check_points_at_what_a_path_names(
    project: Path, wrong: str, right: str, problem: str
) -> None:
    assert check(write(project, PATH)) == []
    assert wrong in PATH
    found = [str(one) for one in check(write(project, PATH.replace(wrong, right)))]
    assert any(text.startswith(f"deployments/campaigns/winback.yml:{problem}") for text in found), (
        found
    )


def test_a_cap_on_a_tag_that_no_campaign_has_is_a_mistake(project: Path) -> None:
    cap = "caps:\n  - {purpose: marketing, max: 1, days: 1}\n  - {purpose: marketing, tag: ofers, max: 1, days: 7}\n"
    (project / "deployments" / "contact_policy.yml").write_text(cap)
    assert [str(one) for one in check(write(project, PATH))] == [
        "deployments/contact_policy.yml:3: no campaign has the tag 'ofers'. Did you mean 'offers'?"
    ]


def test_the_cost_of_a_reward_that_there_is_not_is_a_mistake(project: Path) -> None:
    costs = (
        "caps: null\ncosts:\n  currency: EUR\n  rewards:\n    voucher-5: 500\n    vouchr-5: 500\n"
    )
    (project / "deployments" / "contact_policy.yml").write_text(costs)
    said = "6: deployments/programme.yml has no reward 'vouchr-5'. Did you mean 'voucher-5'?"
    assert [str(one) for one in check(write(project, PATH))] == [
        f"deployments/contact_policy.yml:{said}"
    ]


@pytest.mark.parametrize("document", ["campaign", "policy"])
def test_an_editor_judges_the_shipped_files_as_the_check_does(document: Any) -> None:
    """By the exported JSON Schema; dates are text to JSON."""
    judge = Draft202012Validator(schema(document))
    folder = CHECKOUT / "deployments"
    files = {
        "campaign": sorted((folder / "campaigns").glob("*.yml")),
        "policy": [folder / "contact_policy.yml"],
    }[document]
    for file in files:
        said = json.loads(json.dumps(yaml.safe_load(file.read_text(encoding="utf-8")), default=str))
        assert [error.message for error in judge.iter_errors(said)] == [], file
        assert list(judge.iter_errors({**said, "prioritty": 4}))


def test_the_schema_knows_what_a_list_of_one_is_written_as(project: Path) -> None:
    judge = Draft202012Validator(schema("campaign"))
    said = yaml.safe_load(PATH)
    assert list(judge.iter_errors(said)) == []
    said["steps"][1]["only_if"]["was"] = "opend"
    assert list(judge.iter_errors(said))


@pytest.mark.parametrize(
    ("instant", "is_sound"),
    [("2026-12-31T18:00", True), ("2026-12-31 18:00:00+01:00", True), ("2026-12-31", True), ("18:00", False)],
)  # fmt: skip
def test_the_schema_takes_an_instant_as_the_check_does(
    project: Path, instant: str, is_sound: bool
) -> None:
    """Editors underlined the very form that the check asks for: 2026-12-31T18:00."""
    judge = Draft202012Validator(
        schema("campaign"), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    where = [{"field": "birth_date", "gte": instant}]
    for changed in ({"not_after": instant}, {"where": where}):
        said = yaml.safe_load(GOOD) | changed
        said["send_window"] = {"start": "09:00", "end": "19:30"}  # YAML 1.1 makes 1170 of it
        (campaign, problems, _) = documents.read(_as_file(project, said), Campaign, project=project)
        assert (campaign is not None, problems == []) == (is_sound, is_sound)
        assert (not list(judge.iter_errors(said))) is is_sound


def _as_file(project: Path, said: dict[str, Any]) -> Path:
    path = project / "one.yml"
    path.write_text(yaml.safe_dump(said), encoding="utf-8")
    return path


def test_a_campaign_has_one_file(project: Path) -> None:
    (project / "deployments" / "campaigns" / "winback.yaml").write_text(GOOD, encoding="utf-8")
    (found,) = map(str, check(project))
    assert ".yml:1: there is a winback.yaml beside this file already; remove one" in found


def test_tags_are_not_missed_while_a_campaign_cannot_be_read(project: Path) -> None:
    cap = "caps: [{purpose: marketing, tag: offers, max: 1, days: 7}]\n"
    (project / "deployments" / "contact_policy.yml").write_text(cap)
    assert len(check(write(project, PATH.replace("marketing", "marketting", 1)))) == 1


def test_every_file_is_checked_and_all_problems_are_told(project: Path) -> None:
    write(project, GOOD.replace("priority", "prioritty").replace("audience", "audiense"))
    (project / "deployments" / "contact_policy.yml").write_text("capz: null\n")
    assert [one.file.rpartition("/")[2] for one in check(project)] == [
        "contact_policy.yml", "winback.yml", "winback.yml",
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"'audiense'[\s\S]*'prioritty'"):
        load(project)


def test_a_template_that_does_not_compile_is_a_problem_of_its_step(project: Path) -> None:
    (project / "templates" / "winback" / "reminder" / "body.html").write_text("{% if %}")
    found = [str(one) for one in check(project)]
    assert any("winback.yml:12: " in text and "body.html" in text for text in found), found


def test_what_a_catalogue_lacks_is_told_once_and_gathered(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that several messages and campaigns have was told for each of them."""
    body = project / "templates/winback/reminder/body.txt"
    body.write_text(body.read_text() + "\n".join(f"{{{{ _('Text {n}') }}}}" for n in range(9)))
    (project / "templates/web").mkdir()
    (project / "templates/web/thanks.html").write_text("{{ _('On a page') }}{{ _('Text 1') }}")
    other = GOOD.replace("campaign: winback", "campaign: comeback")
    (project / "deployments/campaigns/comeback.yml").write_text(other)
    (project / "templates/locale").mkdir()
    known = '#, fuzzy\nmsgid "Text 8"\nmsgstr "Tekstas"\n'
    (project / "templates/locale/lt.po").write_text(known, encoding="utf-8")
    found = check(project)
    assert {one.file for one in found} == {"templates/locale/lt.po"}
    assert sorted(one.key for one in found) == ["On a page", *(f"Text {n}" for n in range(9))]
    at = "templates/winback/reminder/body.txt"
    assert gathered(found) == [
        f"templates/locale/lt.po:2: \"Text 8\" ({at}:9) is not translated; complete its msgstr and remove 'fuzzy'.",
        f'templates/locale/lt.po:1: 9 texts are not translated; add each with its msgstr: "On a page" '
        f'(templates/web/thanks.html:1), "Text 1" (templates/web/thanks.html:1), "Text 0" ({at}:1) and 6 more, which --json lists.',
    ]
    monkeypatch.setenv("TESSERA_PROJECT", str(project))
    said = CliRunner().invoke(app, ["campaign", "check"])
    assert said.stderr.splitlines() == gathered(found)
    rows = json.loads(CliRunner().invoke(app, ["campaign", "check", "--json"]).stdout)["problems"]
    assert len(rows) == len(found)


def test_what_is_wrong_with_a_template_is_told_once(project: Path) -> None:
    other = GOOD.replace("campaign: winback", "campaign: comeback")
    (project / "deployments/campaigns/comeback.yml").write_text(other)
    (project / "templates/winback/reminder/body.html").write_text("{% if %}")
    assert len(check(project)) == 1


@pytest.mark.parametrize(
    ("reward", "grant", "said"),
    [
        ("voucher: {valid_days: 9}", True, []),
        ("voucher: {valid_until: 2026-12-31, codes: pool}", True, []),
        ("voucher: {percent: 10}", True, ["valid_until"]),
        ("voucher: {percent: 10}", False, ["code"]),
    ],
)
def test_a_template_shows_no_more_of_a_voucher_than_its_messages_have(
    project: Path, reward: str, grant: bool, said: list[str]
) -> None:
    """Each of them would be rejected at sending."""
    (project / "deployments/programme.yml").write_text(f"rewards: [{{reward: tea, {reward}}}]\n")
    subject = project / "templates/winback/reminder/subject.txt"
    subject.write_text("{{ voucher.code }} until {{ voucher.valid_until | date }}")
    goes = ", grant: {voucher: tea}}" if grant else "}"
    found = check(write(project, GOOD.replace("winback/reminder}", f"winback/reminder{goes}")))
    assert [f"'voucher.{name}' is empty" in str(one) for name in said for one in found] == [
        True
    ] * len(said)
    assert len(found) == len(said)


def test_a_template_may_show_the_code_that_an_earlier_step_brought(project: Path) -> None:
    (project / "deployments/programme.yml").write_text(
        "rewards: [{reward: tea, voucher: {percent: 10}}]\n"
    )
    shutil.copytree(project / "templates/winback/reminder", project / "templates/winback/ends")
    (project / "templates/winback/ends/subject.txt").write_text("{{ voucher.code }}")
    brings, ends = (
        "  - {name: reminder, template: winback/reminder%s}\n",
        "  - {name: ends, template: winback/ends, after: 9d}\n",
    )
    for grant, said in ((", grant: {voucher: tea}", []), ("", ["'voucher.code' is empty"])):
        found = check(write(project, GOOD.replace(brings % "", brings % grant + ends)))
        assert [one in str(problem) for one, problem in zip(said, found, strict=True)] == [
            True
        ] * len(said)


@pytest.mark.parametrize(
    "rewards", ["[tea]", "tea", "[{voucher: {}}]", "[{reward: tea, voucher: 5}]"]
)
def test_a_programme_that_cannot_be_read_is_no_end_of_the_check(
    project: Path, rewards: str
) -> None:
    (project / "deployments/programme.yml").write_text(f"rewards: {rewards}\n")
    goes = GOOD.replace("winback/reminder}", "winback/reminder, grant: {voucher: tea}}")
    found = [str(one) for one in check(write(project, goes))]
    assert all("has no reward 'tea'" in one for one in found)
    assert len(found) == ("{reward: tea" not in rewards)


def test_what_points_became_has_a_code_without_a_grant(project: Path) -> None:
    programme = project / "deployments/programme.yml"
    text = GOOD.replace("audience: lapsed_members", "trigger: {event: joined}")
    text = text.replace("joined", "reward_earned")
    (project / "templates/winback/reminder/subject.txt").write_text("{{ voucher.code }}")
    models = project / "dbt/models/_models.yml"
    models.write_text(models.read_text().replace("joined", "reward_earned"))
    programme.write_text("rewards: [{reward: tea, at_points: 500}]\n")
    assert check(write(project, text)) == []
    programme.write_text("rewards: [{reward: tea}]\n")
    assert len(check(project)) == 1


def test_a_later_step_must_wait(project: Path) -> None:
    text = GOOD.replace("goal:", "  - {name: offer, template: winback/reminder}\ngoal:")
    with pytest.raises(BadInput, match="a step after the first needs 'after'"):
        load(write(project, text))
    (campaign,) = load(write(project, text.replace("name: offer", "name: offer, after: 7d")))
    assert campaign.steps[1].after_days == 7


def test_a_version_changes_with_the_meaning_only(project: Path) -> None:
    def version(text: str) -> str:
        return load(write(project, text))[0].version

    plain = version(GOOD)
    assert version("# a remark\n" + GOOD.replace('"0 9 * * TUE"', "0 9 * * TUE")) == plain
    assert version(GOOD + "content_repeat: never\n") == plain
    assert version(GOOD.replace("40", "41")) != plain


def test_not_after_a_date_holds_to_its_end_in_the_shops_zone(project: Path) -> None:
    athens = ZoneInfo("Europe/Athens")
    for said, instant in [
        ("2026-03-31", datetime(2026, 3, 31, 21, tzinfo=UTC)),
        ("'2026-03-31'", datetime(2026, 3, 31, 21, tzinfo=UTC)),
        ("2026-03-31T10:00:00", datetime(2026, 3, 31, 7, tzinfo=UTC)),
        ("2026-03-31T10:00:00Z", datetime(2026, 3, 31, 10, tzinfo=UTC)),
    ]:
        (campaign,) = load(write(project, f"{GOOD}not_after: {said}\n"))
        assert campaign.ends_at(athens) == instant
        kept = json.loads(campaign.model_dump_json(exclude_defaults=True, by_alias=True))
        assert Campaign.model_validate(kept) == campaign, "as a journey begun under it reads it"


def test_a_day_in_quotes_is_a_day_to_a_filter_too(project: Path) -> None:
    text = GOOD.replace("receipts, gte: 2", "birth_date, gte: '1990-12-31', lt: 2000-01-01")
    assert check(write(project, text)) == []


def test_an_unknown_campaign_names_the_nearest(project: Path) -> None:
    with pytest.raises(BadInput, match=r"no campaign 'winbck'\. Did you mean 'winback'"):
        choose(load(project), ["winbck"])


@pytest.mark.parametrize("written", [b"# caf\xe9\n", b"rewards: [", b"- a list\n"])
def test_a_programme_that_cannot_be_read_is_no_crash_of_the_campaigns(
    project: Path, written: bytes
) -> None:
    """What is wrong with it, `tessera programme check` says."""
    (project / "deployments/programme.yml").write_bytes(written)
    assert all("programme.yml" in str(one) for one in check(project))
