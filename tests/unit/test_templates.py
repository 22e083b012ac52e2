"""The templates that ship read well in every language, for people we know much or nothing of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tessera.say import Templates, check
from tessera.say.fields import sample
from tessera.settings import CHECKOUT

FOLDER = CHECKOUT / "templates"
NAMES = sorted(str(p.parent.relative_to(FOLDER)) for p in FOLDER.rglob("subject.txt"))
LANGUAGES = ["de", "el", "en", "fa", "lv", "ru"]
SCRIPTS = {"el": "[α-ω]", "ru": "[а-я]", "fa": "[آ-ی]"}


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates(FOLDER)


def test_the_first_three_campaigns_have_templates_in_six_languages(templates: Templates) -> None:
    assert {"welcome/hello", "winback/reminder", "birthday/greeting"} <= set(NAMES)
    assert templates.languages.codes == LANGUAGES


@pytest.mark.parametrize("template", NAMES)
def test_a_shipped_template_passes_its_own_check(template: str) -> None:
    assert check(CHECKOUT, template) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", NAMES)
@pytest.mark.parametrize("full", [True, False], ids=["known", "unknown"])
def test_a_message_is_complete(
    templates: Templates, template: str, language: str, full: bool
) -> None:
    data = sample(full=full)
    made = templates.render(template, language, data)
    direction = "rtl" if language == "fa" else "ltr"
    assert f'<html lang="{language}" dir="{direction}"' in made.html
    assert len(made.html.encode()) < 102_000  # beyond this some clients cut the mail off
    for part in (made.html, made.text):
        assert data["links"]["unsubscribe"] in part
        assert data["shop"]["postal_address"] in part
        assert ("Anna" in part) == full
    for part in (made.subject, made.html, made.text):
        assert not re.search(r"None|Undefined|\{\{|%\(", part)
        assert re.search(SCRIPTS.get(language, "[a-z]"), part)
    assert "\n\n\n" not in made.text


@pytest.mark.parametrize(
    ("language", "points", "words"),
    [
        ("en", 1, "1 point is waiting for you."),
        ("en", 2, "2 points are waiting for you."),
        ("de", 1000, "1.000 Punkte warten auf dich."),
        ("ru", 1, "Вас ждёт 1 балл."),
        ("ru", 3, "Вас ждут 3 балла."),
        ("ru", 11, "Вас ждут 11 баллов."),
        ("lv", 21, "Jūs gaida 21 punkts."),
        ("lv", 22, "Jūs gaida 22 punkti."),
        ("el", 1, "Σας περιμένει 1 πόντος."),
        ("fa", 1250, "۱٬۲۵۰ امتیاز منتظر شماست."),
    ],
)
def test_points_are_counted_as_the_language_counts(
    templates: Templates, language: str, points: int, words: str
) -> None:
    data = {**sample(), "points_balance": points}
    assert words in templates.render("winback/reminder", language, data).text


def test_a_right_to_left_mail_is_so_in_every_table(templates: Templates) -> None:
    html = templates.render("winback/reminder", "fa", sample()).html
    assert html.count('dir="rtl"') == html.count("<table") + 1
    assert set(re.findall(r'"(?:sheet|label|button|footer)" align="(\w+)"', html)) == {"right"}
    assert "۱۴ ژانویهٔ ۲۰۲۶" in html


def test_no_points_are_not_boasted_of(templates: Templates) -> None:
    text = templates.render("winback/reminder", "en", {**sample(), "points_balance": 0}).text
    assert "point" not in text


def test_every_answer_to_the_question_has_its_link(templates: Templates) -> None:
    made = templates.render("satisfaction/question", "fa", sample())
    links = [f"https://shop.example/s/sample/{answer}" for answer in range(11)]
    assert re.findall(r'href="([^"]+/s/[^"]+)"', made.html) == links
    assert re.findall(r"^(\S+): \S+/s/\S+$", made.text, re.MULTILINE) == [*"۰۱۲۳۴۵۶۷۸۹", "۱۰"]


def test_who_holds_no_card_is_not_told_so(templates: Templates) -> None:
    for template in [name for name in NAMES if name.startswith("prospects/")]:
        for part in ("html", "text"):
            text = getattr(templates.render(template, "en", sample()), part)
            assert "because you asked to hear from" in text
            assert "because you hold a loyalty card" not in text


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.html")), ids=lambda p: p.name)
def test_templates_ask_the_network_for_nothing(path: Path) -> None:
    assert not re.search(r"<(script|link|img|iframe)|url\(|@import", path.read_text("utf-8"))
