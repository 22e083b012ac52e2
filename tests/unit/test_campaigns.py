"""Campaign files are typed: what they cannot mean is refused by file, line and key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tessera.decide.campaigns import check, choose, load
from tessera.errors import BadInput
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
    (models / "audience_lapsed_members.sql").write_text("select 1")
    (models / "_models.yml").write_text(
        "models:\n  - name: customers\n    columns:\n"
        "      - {name: receipts, data_type: bigint}\n      - {name: country, data_type: varchar}\n"
        "      - {name: birth_date, data_type: date}\n      - {name: is_registered, data_type: boolean}\n"
    )
    (tmp_path / "deployments" / "campaigns").mkdir(parents=True)
    (tmp_path / "deployments" / "contact_policy.yml").write_text(POLICY)
    return write(tmp_path, GOOD)


def write(project: Path, text: str) -> Path:
    (project / "deployments" / "campaigns" / "winback.yml").write_text(text, encoding="utf-8")
    return project


def test_the_shipped_campaigns_are_sound() -> None:
    assert check(CHECKOUT) == []
    assert [one.campaign for one in load(CHECKOUT)] == ["birthday", "welcome", "winback"]


def test_a_sound_campaign_has_no_problems(project: Path) -> None:
    assert check(project) == []
    (campaign,) = load(project)
    assert campaign.steps[0].after_days == 0


@pytest.mark.parametrize(
    ("wrong", "right", "problem"),
    [
        ("priority: 40", "prioritty: 40", "6: 'prioritty' is not a key here. Did you mean 'priority'?"),
        ("purpose: marketing", "purpose: marketting", "2: 'purpose' cannot be 'marketting'. Did you mean 'marketing'?"),
        ("priority: 40", "priority: high", "6: 'priority' cannot be 'high': Input should be a valid integer."),
        ("TUE", "TUX", "7: 'schedule' cannot be '0 9 * * TUX': this is not a cron line such as '0 9 * * TUE' (Bad day-of-week)."),
        ("19:30", "25:30", "8: 'end' cannot be '25:30': write a time of day as 09:00."),
        ("0.10", "1.10", "9: 'control_group_share' cannot be 1.1: Input should be less than or equal to 1."),
        ("steps:", "exit_on: [purchased]\nsteps:", "11: 'exit_on' is not a key here."),
        ("name: reminder,", "name: reminder, only_if: x,", "12: 'only_if' is not a key here."),
        ("within: 14d", "within: 2 weeks", "13: 'within' cannot be '2 weeks': write whole days as 7d."),
        ("gte: 2", "gte: two", "5: 'gte' cannot be 'two'"),
        (", gte: 2", "", "5: 'where 1': say what it must be"),
        ("  - {name: reminder", "  - {name: offer, template: winback/reminder}\n  - {name: reminder", "1: a step after the first needs 'after'"),
        ("campaign: winback", "campaign: winbac", "1: a campaign is called as its file; write 'campaign: winback'."),
        ("lapsed_members", "lapsed_member", "3: dbt has no model audience_lapsed_member. Did you mean 'lapsed_members'?"),
        ("field: receipts", "field: receits", "5: 'receits' is not a column of the customers mart. Did you mean 'receipts'?"),
        ("gte: 2", "eq: true", "5: 'receipts' is a number; 'eq: True' is not."),
        ("field: receipts", "field: country", "5: 'country' is text, which is not more or less; use eq, ne, in or not_in."),
        ("receipts, gte: 2", "birth_date, gte: 2", "5: 'birth_date' is a date; 'gte: 2' is not."),
        ("receipts, gte: 2", "is_registered, eq: 'yes'", "5: 'is_registered' is a boolean; 'eq: yes' is not."),
        ("winback/reminder", "winback/remindr", "12: "),
        ("start: 09:00, end: 19:30", "start: 22:00, end: 23:00", "8: the send window 22:00-23:00 lies wholly in the quiet hours 21:00-08:00."),
        ("campaign: winback", "campaign: [", "3: this is not YAML: "),
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


def test_every_file_is_checked_and_all_problems_are_told(project: Path) -> None:
    write(project, GOOD.replace("priority", "prioritty").replace("audience", "audiense"))
    (project / "deployments" / "contact_policy.yml").write_text("capz: null\n")
    assert [one.file.rpartition("/")[2] for one in check(project)] == [
        "contact_policy.yml", "winback.yml", "winback.yml", "winback.yml",
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"'audiense'[\s\S]*'prioritty'"):
        load(project)


def test_a_template_that_does_not_compile_is_a_problem_of_its_step(project: Path) -> None:
    (project / "templates" / "winback" / "reminder" / "body.html").write_text("{% if %}")
    found = [str(one) for one in check(project)]
    assert any("winback.yml:12: " in text and "body.html" in text for text in found), found


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
        ("2026-03-31T10:00:00", datetime(2026, 3, 31, 7, tzinfo=UTC)),
        ("2026-03-31T10:00:00Z", datetime(2026, 3, 31, 10, tzinfo=UTC)),
    ]:
        (campaign,) = load(write(project, f"{GOOD}not_after: {said}\n"))
        assert campaign.ends_at(athens) == instant


def test_an_unknown_campaign_names_the_nearest(project: Path) -> None:
    with pytest.raises(BadInput, match=r"no campaign 'winbck'\. Did you mean 'winback'"):
        choose(load(project), ["winbck"])
