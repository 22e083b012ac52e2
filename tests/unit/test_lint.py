"""The mail linter and the restraint check: each rule finds the template that breaks it, and where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.decide import policy
from tessera.errors import BadInput
from tessera.say import check
from tessera.say.lint import lint, names
from tessera.settings import CHECKOUT

TEMPLATE = "birthday/greeting"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The shipped templates and policy, to be spoiled."""
    shutil.copytree(CHECKOUT / "templates", tmp_path / "templates")
    shutil.copytree(CHECKOUT / "deployments", tmp_path / "deployments")
    return tmp_path


def spoil(project: Path, file: str, old: str, new: str) -> list[str]:
    """What the linter says of the birthday mail once `old` is `new` in one of its files."""
    path = project / "templates" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return lint(project, TEMPLATE)


def test_every_shipped_template_passes_the_linter() -> None:
    assert len(names(CHECKOUT)) > 20
    assert [problem for name in names(CHECKOUT) for problem in lint(CHECKOUT, name)] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("a:focus {", "p { color: red }\na:focus {", "the style of 'p' must be inline"),
        ("a:focus {", "@import url(x.css);\na:focus {", "must be inline"),
        ("max-width:560px; background", "width:900px; background", "900 pixels wide"),
        ('class="brand" style="', 'class="brand" style="float:left; ', "side by side"),
        ("</style>", "</style><script></script>", "<script>, which mail programs remove"),
        ("(prefers-color-scheme: dark)", "print", "no dark mode"),
        ('<meta name="color-scheme" content="light dark">', "", "no dark mode"),
        ('lang="{{ lang }}" ', "", "no <html lang"),
        ('dir="{{ dir }}" xmlns', "xmlns", 'needs <html dir="rtl">'),
        ('border="0" dir="{{ dir }}" class="card"', 'class="card"', "a table has no dir"),
        ('<p class="brand"', '<img src="a.png"><p class="brand"', "'a.png' has no alt text"),
        (", {{ shop.postal_address }}", "", "no postal address"),
        ('href="{{ links.unsubscribe }}"', "", "no unsubscribe link"),
        ('href="{{ links.preferences }}"', "", "is in body.txt, but not linked in body.html"),
        ("</body>", "{{ 'x' * 102000 }}</body>", "the unsubscribe link is cut off"),
        ("given_name | isolate", "given_name | safe", "shown unescaped"),
    ],
)
def test_a_mail_that_some_program_would_break_is_found(
    project: Path, old: str, new: str, said: str
) -> None:
    found = spoil(project, "_layout.html", old, new)
    assert any(said in problem for problem in found), found


def test_the_text_part_leads_wherever_the_page_does(project: Path) -> None:
    found = spoil(project, "_layout.txt", "{{ links.preferences }}", "")
    assert any("is linked in body.html, but not in body.txt (de, el, en" in one for one in found)


@pytest.mark.parametrize(
    ("subject", "said"),
    [("", "the subject is empty"), ("{{ 'long ' * 20 }}", "99 characters")],
)
def test_a_subject_is_there_and_short(project: Path, subject: str, said: str) -> None:
    (project / "templates" / TEMPLATE / "subject.txt").write_text(subject, encoding="utf-8")
    assert any(said in one for one in lint(project, TEMPLATE))


def test_the_command_lints_one_campaign_or_all_and_fails_when_something_is_wrong(
    project: Path, tmp_path: Path
) -> None:
    given = {"TESSERA_PROJECT": str(project), "TESSERA_HOME": str(tmp_path / "home")}
    spoil(project, "_layout.html", "</style>", "</style><form></form>")
    done = CliRunner().invoke(app, ["campaign", "lint", "winback", "--json"], env=given)
    assert done.exit_code == BadInput.exit_code
    said = json.loads(done.stdout)
    assert list(said["templates"]) == ["winback/reminder"] or len(said["templates"]) < 5
    assert all("<form>" in found[0] for found in said["templates"].values())


def restrain(project: Path, fields: str) -> None:
    path = project / policy.FILE
    lines = path.read_text(encoding="utf-8").partition("may_show:")[0]
    path.write_text(f"{lines}may_show: {fields}\n", encoding="utf-8")


def test_a_template_that_shows_more_than_the_policy_lists_fails_by_file_line_and_field(
    project: Path,
) -> None:
    assert check(project, TEMPLATE) == []
    restrain(project, "[tier]")
    path = project / "templates" / "_layout.html"
    lines = path.read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines, 1) if "given_name" in line)
    found = check(project, TEMPLATE)
    assert any(one.startswith(f"{path}:{at}: 'given_name' is shown, but may_show") for one in found)
    restrain(project, "[given_name, tier]")
    assert not any("'given_name'" in one for one in check(project, TEMPLATE))
    policy_file = project / policy.FILE
    policy_file.write_text(policy_file.read_text("utf-8").partition("may_show:")[0], "utf-8")
    assert check(project, TEMPLATE) == [], "who does not say has all of it shown"


@pytest.mark.parametrize(
    "shown",
    [
        "{{ points_balance }}",
        "{% if points_balance %}rich{% endif %}",
        "{% set points_balance = points_balance %}{{ points_balance }}",
        "{% with n = points_balance %}{{ n }}{% endwith %}",
        "{{ _('%(n)s points', n=points_balance | number) }}",
        "{{ [points_balance] | first }}",
    ],
)
def test_no_detour_gets_around_the_restraint(project: Path, shown: str) -> None:
    restrain(project, "[given_name]")
    path = project / "templates" / TEMPLATE / "subject.txt"
    path.write_text(f"Hi\n{shown}", encoding="utf-8")
    assert any(f"{path}:2: 'points_balance' is shown" in one for one in check(project, TEMPLATE))


def test_the_policy_lists_only_fields_there_are(project: Path) -> None:
    restrain(project, "[given_name, email]")
    with pytest.raises(BadInput, match=r"contact_policy\.yml:\d+.*no template knows it"):
        policy.load(project)
