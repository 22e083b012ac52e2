"""Say: what a template may show, in which language, and what is refused before anything is sent."""

from __future__ import annotations

import stat
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tessera.errors import BadInput
from tessera.keyfile import key_in
from tessera.say import Templates, Unrenderable, check, gathered, preview, render
from tessera.say.check import MISSING, Gap
from tessera.say.environment import make_environment
from tessera.say.fields import sample
from tessera.say.links import links, secret_of
from tessera.say.templates import content_hash
from tessera.settings import CHECKOUT
from tessera.testing import publish, workspace
from tessera.tokens import PREFERENCES, REFERRAL, SCORE, UNSUBSCRIBE, sign, verify
from tessera.workspace import Workspace

KINDS = {
    "unsubscribe": UNSUBSCRIBE,
    "preferences": PREFERENCES,
    "score": SCORE,
    "referral": REFERRAL,
}
FOOTER = "{{ links.unsubscribe }} {{ shop.postal_address }}"
INVITED = {"referral": {"invited_by": "Ben\0\nZ"}}
PO = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'


def project(path: Path, **parts: str) -> Path:
    """A project with the template `t`; a part that is not given is a good one."""
    files = {"subject.txt": "Hi", "body.html": f"<p>{FOOTER}</p>", "body.txt": FOOTER}
    files |= {name.replace("_", ".", 1): text for name, text in parts.items()}
    folder = path / "templates" / "t"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return path


def catalogue(path: Path, language: str, text: str) -> None:
    folder = path / "templates" / "locale"
    folder.mkdir(exist_ok=True)
    (folder / f"{language}.po").write_text(PO + text, encoding="utf-8")


def subject(path: Path, source: str, language: str = "en", **data: Any) -> str:
    return render(project(path, subject_txt=source), "t", language, {**sample(), **data}).subject


def test_a_name_is_escaped_in_html_and_left_alone_in_text(tmp_path: Path) -> None:
    name = "<b>O'Hara & Söhne</b>"
    shown = "{{ given_name }} "
    path = project(
        tmp_path,
        subject_txt=shown,
        body_html="{{ _('Dear %(n)s', n=given_name | isolate) }}" + FOOTER,
        body_txt=shown + FOOTER,
    )
    made = render(path, "t", "en", {**sample(), "given_name": name})
    assert "<bdi>&lt;b&gt;O&#39;Hara &amp; Söhne&lt;/b&gt;</bdi>" in made.html
    assert made.subject == name
    assert made.text.startswith(name)


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\0"]
)
def test_no_value_can_end_the_subject_line(tmp_path: Path, end: str) -> None:
    name = f"Anna{end}Bcc: all@mail.example"
    made = subject(tmp_path, "Hi {{ given_name }} of {{ shop.name }}\n", given_name=name)
    assert made == "Hi Anna Bcc: all@mail.example of The Shop"
    shop = {**sample()["shop"], "name": f"A{end}B: c"}
    second = subject(tmp_path / "2", "{{ shop.name }}", shop=shop)
    assert second == "A B: c"


def test_joiners_that_spelling_needs_stay_in_names(tmp_path: Path) -> None:
    assert subject(tmp_path, "{{ given_name }}", given_name="علی\u200cرضا") == "علی\u200cرضا"


@pytest.mark.parametrize("blank", [None, "", "  ", "\t\n", "\x00"])
def test_an_empty_name_is_no_name(tmp_path: Path, blank: str | None) -> None:
    source = "{% if given_name %}Hi {{ given_name }}{% else %}Hi there{% endif %}"
    assert subject(tmp_path, source, given_name=blank) == "Hi there"


def test_of_a_list_what_is_empty_is_left_out_and_of_the_rest_its_line_ends(tmp_path: Path) -> None:
    source = "{% if usual_products %}{{ usual_products | join('|') }}{% else %}none{% endif %}"
    path = project(tmp_path, body_txt=source + "{{ referral.invited_by }}")
    templates = Templates(path / "templates")
    made = [
        templates.render("t", "en", {**sample(), "usual_products": names, **INVITED}).text
        for names in (("Oat\r\ndrink", " ", "Tea"), (" ", None))
    ]
    assert made == ["Oat drink|TeaBen Z", "noneBen Z"]


@pytest.mark.parametrize(
    "shown",
    ["{{ given_name }}", "{{ _('%(n)s', n=given_name) }}", "{{ given_name | isolate }}",
     "{{ last_purchase_on | date }}", "{{ points_expiring | number }}", "{{ given_name ~ '!' }}",
     "{{ referral.code }}"],
)  # fmt: skip
def test_an_empty_field_cannot_be_printed(tmp_path: Path, shown: str) -> None:
    path = project(tmp_path, subject_txt=f"Hi\n{shown}")
    with pytest.raises(Unrenderable, match=r"t/subject\.txt:2: .* is empty for this customer"):
        render(path, "t", "en", sample(full=False))


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("{{ given_name | date }}", "the filter 'date' cannot write this value"),
        ("{{ given_name | number }}", "the filter 'number' cannot write this value"),
        ("{{ tier | money('EUR') }}", "the filter 'money' cannot write this value with 'EUR'"),
        ("{% include 't/subject.txt' %}", "this goes on for ever: a file includes"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "or a macro calls itself"),
        ("{{ range(10 ** 9) }}", r"\(100000\)$"),
        ("{% for a in range(10001) %}{% endfor %}", "take more than 10,000 turns in one message$"),
        (
            "{% for a in range(200) %}{% for b in range(200) %}.{% endfor %}{% endfor %}",
            "more than 10,000 turns",
        ),
        ("{{ 'x' * 10 ** 9 }}", "makes more here than the 1,000,000 a message may hold"),
        ("{{ [given_name] * 10 ** 7 }}", "makes more here than"),
        ("{{ 9 ** (9 ** 9) }}", "a power of 387,420,489 is too much"),
    ],
)
def test_what_cannot_be_written_says_where_and_why_but_not_whose(
    tmp_path: Path, shown: str, said: str
) -> None:
    path = project(tmp_path, subject_txt=f"Hi\n{shown}")
    with pytest.raises(Unrenderable, match=rf"^t/subject\.txt:\d: .*{said}") as error:
        render(path, "t", "en", {**sample(), "given_name": "Zoe"})
    assert "Zoe" not in str(error.value)


def test_loops_are_counted_anew_in_every_message_and_know_their_length(tmp_path: Path) -> None:
    turns = "{% for n in range(10_000) %}{{ loop.length if loop.last }}{% endfor %}"
    path = project(tmp_path, body_txt=turns)
    templates = Templates(path / "templates")
    assert {templates.render("t", "en", sample()).text for _ in range(3)} == {"10000"}


@pytest.mark.parametrize("shown", ["{{ '.' * 999_999 }}", "{{ given_name | center(999_999) }}"])
def test_a_message_that_is_far_too_long_is_told_its_length(tmp_path: Path, shown: str) -> None:
    path = project(tmp_path, body_txt=shown, subject_txt="Hi")
    with pytest.raises(Unrenderable, match=r"^t makes a message of 1,000,\d+ characters, and 1,0"):
        render(path, "t", "en", sample())
    (problem, *_) = check(path, "t")
    assert "t makes a message of 1,000," in problem


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ range(a=1, a=2) }}", "keyword argument repeated: a"),
        ("{% if 1 %}" * 120 + "{% endif %}" * 120, "its parts are nested too deeply"),
        ("{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "its parts are nested too deeply"),
    ],
)
def test_what_python_cannot_compile_is_a_sentence_too(
    tmp_path: Path, source: str, said: str
) -> None:
    path = project(tmp_path, body_txt=source)
    assert check(path, "t") == [f"{path}/templates/t/body.txt does not compile: {said}."]


def test_an_empty_field_may_have_a_default(tmp_path: Path) -> None:
    assert subject(tmp_path, "{{ given_name | default('friend') }}", given_name=None) == "friend"


@pytest.mark.parametrize("field", ["email", "family_name", "nonsense"])
def test_a_template_gets_nothing_that_is_not_on_the_list(tmp_path: Path, field: str) -> None:
    path = project(tmp_path, subject_txt=f"{{{{ {field} }}}}")
    with pytest.raises(Unrenderable, match=f"'{field}' is undefined"):
        render(path, "t", "en", {**sample(), field: "secret"})
    (problem, *_) = check(path, "t")
    assert problem.startswith(f"{path}/templates/t/subject.txt:1: '{field}' is not something")


def test_a_template_is_kept_in_its_sandbox(tmp_path: Path) -> None:
    path = project(tmp_path, subject_txt="{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(Unrenderable, match="unsafe"):
        render(path, "t", "en", sample())


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("ok\n{% if %}", 2, "does not compile"),
        ("ok\nok\n{{ given_name }", 3, "does not compile"),
        ("{{ given_name | shout }}", 1, "No filter named 'shout'"),
        ("\n{% endfor %}", 2, "does not compile"),
        ("{{ _('100% off') }}", 1, "should be %%"),
        ("{{ _('Hi %(name)s') }}", 1, "lacks the value of a placeholder"),
    ],
)
def test_a_template_that_does_not_compile_is_one_sentence(
    tmp_path: Path, source: str, line: int, words: str
) -> None:
    path = project(tmp_path, body_txt=source)
    with pytest.raises(BadInput, match=words) as error:
        Templates(path / "templates").compile("t", "en")
    assert f"{path}/templates/t/body.txt:{line}" in str(error.value)
    assert check(path, "t") == [str(error.value)]


def test_a_layout_that_does_not_compile_is_found_before_anything_is_rendered(
    tmp_path: Path,
) -> None:
    path = project(tmp_path, body_html="{% extends '_layout.html' %}")
    (path / "templates/_layout.html").write_text("<p>\n{% block %}")
    with pytest.raises(BadInput, match=r"_layout\.html:2 does not compile"):
        Templates(path / "templates").compile("t", "en")


def test_a_block_that_the_layout_asks_for_is_missed_in_the_template(tmp_path: Path) -> None:
    path = project(tmp_path, body_html="\n{% extends '_layout.html' %}")
    (path / "templates/_layout.html").write_text("\n\n{% block heading required %}{% endblock %}")
    said = r"t/body\.html:\d: the block 'heading', which its layout asks for, is missing; write \{% block heading %\}"
    with pytest.raises(Unrenderable, match=said):
        render(path, "t", "en", sample())


def test_who_has_no_account_has_no_points(tmp_path: Path) -> None:
    assert check(project(tmp_path, subject_txt="{{ points_balance | number }} points"), "t") == []


def test_a_missing_part_or_layout_is_one_sentence(tmp_path: Path) -> None:
    path = project(tmp_path, body_html="{% include 'none.html' %}")
    assert "none.html is missing" in check(path, "t")[0]
    (path / "templates/t/subject.txt").unlink()
    assert "t/subject.txt is missing; every template has" in check(path, "t")[0]
    (path / "templates/t/subject.txt").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in check(path, "t")[0]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"subject_txt": " \n"}, "subject.txt is empty"),
        ({"body_html": "{{ shop.postal_address }}"}, "body.html has no unsubscribe link"),
        ({"body_txt": "{{ links.unsubscribe }}"}, "body.txt has no postal address"),
        ({"body_html": f"<img src='a.png'>{FOOTER}"}, "picture 'a.png' has no alt text"),
        ({"subject_txt": "{{ campaign.colour }}"}, "subject.txt:1: 'campaign.colour'"),
        ({"subject_txt": "{{ given_name }}"}, "'given_name' is empty for this customer"),
        (
            {"body_txt": "{% if tier %}{{ tier | date }}{% endif %}" + FOOTER},
            "the filter 'date' cannot write this value",
        ),
    ],
)
def test_check_says_what_is_wrong_and_where(
    tmp_path: Path, parts: dict[str, str], words: str
) -> None:
    problems = check(project(tmp_path, **parts), "t")
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not translated; add it"),
        ('msgid "Hi %(n)s"\nmsgstr ""\n', "complete its msgstr"),
        ('#, fuzzy\nmsgid "Hi %(n)s"\nmsgstr "Hallo %(n)s"\n', "remove 'fuzzy'"),
        ('msgid "Hi %(n)s"\nmsgstr "Hallo %(m)s"\n', "must keep the placeholders %(n)s"),
        ('msgid "Hi %(n)s"\nmsgstr "Hallo %(n)s %(m)s"\n', "must keep the placeholders %(n)s"),
        ('msgid "Hi %(n)s"\nmsgstrr "Hallo"', "de.po:5 is not a gettext catalogue"),
    ],
)
def test_an_incomplete_catalogue_fails_the_check(tmp_path: Path, text: str, words: str) -> None:
    path = project(tmp_path, body_txt="{{ _('Hi %(n)s', n=shop.name) }}" + FOOTER)
    catalogue(path, "de", text)
    problem, *_ = check(path, "t")
    assert "locale/de.po" in problem
    assert words in problem


def test_a_template_is_tried_in_every_language(tmp_path: Path) -> None:
    source = "{% if lang == 'de' %}{{ 'today' | date }}{% endif %}"
    path = project(tmp_path, body_txt=source + FOOTER)
    assert check(path, "t") == []
    catalogue(path, "de", "")
    (problem,) = check(path, "t")
    assert "the filter 'date' cannot write this value" in problem


def test_text_messages_and_letters_need_no_more_than_to_say_something(tmp_path: Path) -> None:
    path = project(tmp_path, sms_txt="Hi", letter_html="<p>Hi</p>")
    assert [check(path, "t", channel) for channel in ("sms", "print")] == [[], []]
    (path / "templates/t/sms.txt").write_text("{% if not given_name %}Hi{% endif %} \n")
    assert check(path, "t", "sms") == [f"{path}/templates/t says nothing."]


def test_three_gaps_of_a_catalogue_are_told_apart_and_four_together() -> None:
    found = [Gap("de.po", 1, f"T{n}", f"T{n} {MISSING}.", "t:1", MISSING) for n in range(4)]
    assert gathered(found[:3]) == [str(one) for one in found[:3]]
    assert len(gathered(found)) == 1


def test_a_catalogue_needs_all_its_plural_forms(tmp_path: Path) -> None:
    source = "{{ ngettext('%(n)s day', '%(n)s days', points_balance or 1, n=2) }}"
    path = project(tmp_path, body_txt=source + FOOTER)
    plural = 'msgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "%(n)s день"\n'
    catalogue(path, "ru", plural)
    assert "complete its msgstr" in check(path, "t")[0]


@pytest.mark.parametrize(
    ("asked", "fallback", "spoken", "words"),
    [
        ("de", "en", "de", "Hallo"),
        ("de-AT", "en", "de-AT", "Hallo"),
        ("de_CH", "en", "de-CH", "Grüezi"),
        ("DE", "en", "de", "Hallo"),
        ("fr", "de", "de", "Hallo"),
        ("fr", "sw", "en", "Hi"),
        ("en-GB", "de", "en-GB", "Hi"),
        ("zh-TW", "en", "zh-Hant-TW", "嗨"),
        ("zh-HK", "en", "zh-Hant-HK", "喂"),
        ("pt-BR", "en", "pt-BR", "Oi"),
        ("pt", "en", "en", "Hi"),
        ("klingon?", "de", "de", "Hallo"),
        ("", "de", "de", "Hallo"),
        (None, "de", "de", "Hallo"),
    ],
)
def test_the_nearest_language_is_spoken(
    tmp_path: Path, asked: str | None, fallback: str, spoken: str, words: str
) -> None:
    path = project(tmp_path, subject_txt="{{ _('Hi') }}")
    catalogue(path, "de", 'msgid "Hi"\nmsgstr "Hallo"\n')
    catalogue(path, "de_CH", 'msgid "Hi"\nmsgstr "Grüezi"\n')
    catalogue(path, "zh_Hant", 'msgid "Hi"\nmsgstr "喂"\n')
    catalogue(path, "zh_TW", 'msgid "Hi"\nmsgstr "嗨"\n')
    catalogue(path, "pt-BR", 'msgid "Hi"\nmsgstr "Oi"\n')
    made = render(path, "t", asked, sample(), fallback=fallback)
    assert (made.language, made.subject) == (spoken, words)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["12,345", "March 31, 2026", "€12.34", "¥1,234"]),
        ("de-AT", ["12.345", "31. März 2026", "€\xa012,34", "¥\xa01.234"]),
        ("lv", ["12\xa0345", "2026. gada 31. marts", "12,34\xa0€", "1\xa0234\xa0¥"]),
        ("ar-EG", ["١٢٬٣٤٥", "٣١ مارس ٢٠٢٦", "\u200f١٢٫٣٤\xa0€", "\u200f١٬٢٣٤\xa0JP¥"]),
        ("fa", ["۱۲٬۳۴۵", "۳۱ مارس ۲۰۲۶", "\u200e€\xa0۱۲٫۳۴", "\u200e¥\xa0۱٬۲۳۴"]),
    ],
)
def test_numbers_dates_and_money_are_written_as_people_write_them(
    tmp_path: Path, language: str, expected: list[str]
) -> None:
    spoken = Templates(tmp_path).languages.speak("en")
    locale = type(spoken.locale).parse(language.replace("-", "_"))
    filters = make_environment(tmp_path, type(spoken)(locale, spoken.translations)).filters
    found = [
        filters["number"](12345),
        filters["date"](date(2026, 3, 31)),
        filters["money"](1234, "EUR"),
        filters["money"](1234, "JPY"),
    ]
    assert found == expected


def test_a_template_says_on_each_channel_what_is_written_for_it(tmp_path: Path) -> None:
    path = project(tmp_path, sms_txt="short", letter_html="<p>printed</p>", body_txt="long")
    templates = Templates(path / "templates")
    made = [templates.render("t", "en", sample(), c) for c in ("email", "sms", "print")]
    assert [one.text for one in made] == ["long", "short", ""]
    assert [one.subject for one in made] == ["Hi", "", ""]
    assert made[2].html == "<p>printed</p>"


def test_the_same_data_gives_the_same_hash_and_other_data_another() -> None:
    first = render(CHECKOUT, "welcome/hello", "en", sample())
    again = render(CHECKOUT, "welcome/hello", "en", sample())
    assert again.content_hash == first.content_hash
    other = render(CHECKOUT, "welcome/hello", "en", {**sample(), "given_name": "Ben"})
    assert other.content_hash != first.content_hash
    parts = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", "d")]
    assert len({content_hash(*one) for one in parts}) == len(parts)


def test_a_link_holds_for_its_own_kind_and_message_only() -> None:
    secret, other = b"s" * 32, b"t" * 32
    token = sign(secret, UNSUBSCRIBE, "abc")
    assert verify(secret, UNSUBSCRIBE, token) == "abc"
    assert verify(secret, PREFERENCES, token) is None
    assert verify(other, UNSUBSCRIBE, token) is None
    for forged in ("abd" + token[3:], token[:-1], "abc", "", "é.ü"):
        assert verify(secret, UNSUBSCRIBE, forged) is None
    made = links("https://shop.example/", secret, "abc")
    assert made.pop("shop") == "https://shop.example"
    for name, kind in KINDS.items():
        assert made.pop(name) == f"https://shop.example/{kind}/{sign(secret, kind, 'abc')}"
    assert not made


def test_the_secret_is_made_once_and_readable_by_nobody_else(ws: Workspace) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(secret_of(ws))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0]) == 64
    assert stat.S_IMODE((ws.home.root / "link_secret").stat().st_mode) == 0o600
    assert [p.name for p in ws.home.root.iterdir()] == ["link_secret"]


def test_of_two_processes_that_make_a_homes_key_at_once_the_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = key_in(tmp_path / "key")
    monkeypatch.setattr(Path, "exists", lambda _self: False)  # as the other saw it before
    assert key_in(tmp_path / "key") == first
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_secret_in_the_settings_is_used(tmp_path: Path) -> None:
    assert secret_of(workspace(tmp_path, link_secret="mine")) == b"mine"


def test_a_preview_shows_four_views_and_signs_no_real_link(ws: Workspace) -> None:
    publish(ws, customers=[{"customer_id": "c1", "given_name": "Мария", "language": "ru"}])
    page = preview(ws, "winback/reminder", customer_id="c1")
    assert page.name == "winback-reminder.ru.html"
    text = page.read_text(encoding="utf-8")
    for view in ("Desktop", "Phone", "Dark", "Text"):
        assert f"<h2>{view}</h2>" in text
    assert "Здравствуйте, Мария!" in text
    assert "/u/preview." in text
    assert not (ws.home.root / "link_secret").exists()


def test_a_preview_needs_no_marts_for_a_made_up_customer(ws: Workspace) -> None:
    assert preview(ws, "welcome/hello", language="fa").name == "welcome-hello.fa.html"
    with pytest.raises(BadInput, match="No marts are published"):
        preview(ws, "welcome/hello", customer_id="c1")
    publish(ws)
    with pytest.raises(BadInput, match="no customer 'c1'"):
        preview(ws, "welcome/hello", customer_id="c1")


def test_a_preview_is_in_the_language_that_was_asked_for(ws: Workspace) -> None:
    publish(ws, customers=[{"customer_id": "c1", "language": "ru"}])
    page = preview(ws, "welcome/hello", customer_id="c1", language="fa")
    assert page.name == "welcome-hello.fa.html"
