"""Every shipped message as the preview shows it: in each language, on desktop, phone, in the dark, as text."""

from __future__ import annotations

import email
import email.policy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tessera import audit, say
from tessera.addresses import address_hash
from tessera.cli.app import app
from tessera.decide import campaigns
from tessera.say.fields import VOUCHER
from tessera.settings import CHECKOUT
from tessera.testing import publish, workspace
from tests.deciding import insert
from tests.serving import served

LANGUAGES = ["en", *sorted(path.stem for path in (CHECKOUT / "templates/locale").glob("*.po"))]
CAMPAIGNS = {one.campaign: one for one in campaigns.load(CHECKOUT)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_shipped_message_has_its_page(tmp_path: Path, language: str) -> None:
    ws = workspace(tmp_path / "home")
    for campaign in CAMPAIGNS.values():
        for _, template in campaign.templates():
            page = say.preview(ws, template, language=language, campaign=campaign.campaign)
            assert page.name == f"{template.replace('/', '-')}.{language}.html"
            text = page.read_text(encoding="utf-8")
            for view in ("Desktop", "Phone", "Dark", "Text"):
                assert f"<h2>{view}</h2>" in text


def test_a_language_without_a_catalogue_is_shown_in_another_and_said(tmp_path: Path) -> None:
    words = ["campaign", "preview", "winback", "--home", str(tmp_path), "--language"]
    result = CliRunner().invoke(app, [*words, "xx"])
    assert "No catalogue for 'xx'; shown in en." in result.stderr
    assert CliRunner().invoke(app, [*words, "de-AT"]).stderr == ""


def test_t42_a_test_arrives_as_it_will_look_and_takes_nothing_from_anybody(tmp_path: Path) -> None:
    """Case T42: a test send used up a code; nor does one count under a cap, or do its links do anything."""
    ws = workspace(tmp_path / "home")
    at = ["--home", str(ws.home.root)]
    words = ["campaign", "test", "birthday", "me@shop.example", "--language", "fa", *at]
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert told == {
        "campaign": "birthday", "step": "greeting", "variant": None, "messenger": "file",
    }  # fmt: skip
    (path,) = ws.home.mail.rglob("*.eml")
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert mail["To"] == "me@shop.example"
    assert mail["Subject"].startswith("[Test] ")
    html = mail.get_body(("html",)).get_content()  # type: ignore[attr-defined]
    assert 'dir="rtl"' in html
    assert VOUCHER["code"] in html
    link = str(mail["List-Unsubscribe"]).strip("<>")
    with ws.store.read() as store:
        counts = [store.scalar(f"select count(*) from {one}") for one in ("outbox", "voucher")]
        assert counts == [0, 0]
    assert [(one["action"], one["subject"]) for one in audit.entries(ws)] == [
        ("send a test", "campaign birthday")
    ]
    with served(ws) as client:
        assert client.post(link.removeprefix(ws.settings.public_url)).status_code == 404
    said = f"Sent to me@shop.example by the messenger 'file', into {ws.home.mail}."
    assert said in CliRunner().invoke(app, words).stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["birthdy", "me@shop.example"], "no campaign 'birthdy'"),
        (["birthday", "me"], "'me' is no address that mail can be sent to"),
        (["birthday", "gone@shop.example"], "That address is suppressed"),
    ],
)
def test_a_test_that_cannot_be_sent_is_a_sentence(
    tmp_path: Path, words: list[str], sentence: str
) -> None:
    ws = workspace(tmp_path / "home")
    hashed = address_hash("gone@shop.example")
    insert(ws, "suppression", address_hash=hashed, channel="email", scope="all", cause="erased", since="2026")  # fmt: skip
    found = CliRunner().invoke(app, ["campaign", "test", *words, "--home", str(ws.home.root)])
    assert sentence in str(found.exception)


@pytest.mark.parametrize(
    ("message", "language", "direction"),
    [
        ("satisfaction/question", "fa", "rtl"),
        ("winback/reminder", "fa", "rtl"),
        ("welcome/hello", "el", "ltr"),
        ("weekly_offers/offers/shelf", "de", "ltr"),
        ("birthday/reminder", "ru", "ltr"),
        ("second_purchase/companions", "lv", "ltr"),
    ],
)
def test_nothing_of_a_message_is_cut_off_in_any_view(
    browser: Any, tmp_path: Path, message: str, language: str, direction: str
) -> None:
    campaign, step, *variant = message.split("/")
    chosen = campaigns.step(CAMPAIGNS[campaign], step)
    content = campaigns.content(chosen, variant[0] if variant else None)
    page = say.preview(workspace(tmp_path / "home"), content.template, language=language)
    tab = browser.new_page(viewport={"width": 1500, "height": 1000})
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    assert asked[0] == page.as_uri()
    assert not [url for url in asked if url.startswith("http")]  # nothing is fetched
    for view, width in (("Desktop", 660), ("Phone", 375), ("Dark", 375)):
        frame = tab.frame_locator(f"iframe[title={view}]").locator("html")
        seen = frame.evaluate(
            "e => [e.dir, e.scrollWidth, e.querySelector('.footer').getBoundingClientRect().bottom,"
            " getComputedStyle(e.querySelector('.card')).backgroundColor]"
        )
        assert (seen[0], seen[1] <= width, seen[2] <= 860) == (direction, True, True), (view, seen)
        assert (seen[3] == "rgb(255, 255, 255)") == (view != "Dark")
    shot = tab.screenshot(full_page=True)
    assert shot.startswith(b"\x89PNG")
    tab.close()


@pytest.mark.parametrize(("language", "width"), [("de", 375), ("fa", 375), ("de", 660)])
def test_a_name_that_is_one_long_word_does_not_push_a_message_out_of_its_view(
    browser: Any, tmp_path: Path, language: str, width: int
) -> None:
    ws = workspace(tmp_path / "home")
    word = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenhersteller"
    known = {"customer_id": "c1", "email": "c1@shop.example", "language": language}
    publish(ws, customers=[{**known, "given_name": word, "favourite_category": word}])
    page = say.preview(ws, "weekly_offers/picks", customer_id="c1")
    tab = browser.new_page(viewport={"width": 1500, "height": 1000})
    tab.goto(page.as_uri())
    view = "Phone" if width < 480 else "Desktop"
    seen = tab.frame_locator(f"iframe[title={view}]").locator("html")
    assert seen.evaluate("e => e.scrollWidth") <= width
    label = "e => getComputedStyle(e.querySelector('.label')).wordBreak"
    assert seen.evaluate(label) == "normal"  # or it would stand letter below letter
    tab.close()


def test_who_looks_in_the_dark_or_on_a_phone_sees_each_view_as_it_is_called(
    browser: Any, tmp_path: Path
) -> None:
    page = say.preview(workspace(tmp_path / "home"), "winback/reminder", language="fa")
    tab = browser.new_page(viewport={"width": 380, "height": 800}, color_scheme="dark")
    tab.goto(page.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") == 380
    for view in ("Desktop", "Phone", "Dark"):
        frame = tab.frame_locator(f"iframe[title={view}]").locator("html")
        seen = frame.evaluate(
            "e => [getComputedStyle(e).colorScheme, getComputedStyle(e.querySelector('.card')).backgroundColor]"
        )
        assert (seen == ["light", "rgb(255, 255, 255)"]) == (view != "Dark"), (view, seen)
    tab.close()


def test_the_answers_from_0_to_10_stand_on_one_line_of_a_desktop(
    browser: Any, tmp_path: Path
) -> None:
    for language in ("en", "fa"):
        page = say.preview(workspace(tmp_path / "home"), "satisfaction/question", language=language)
        tab = browser.new_page(viewport={"width": 1500, "height": 1000})
        tab.goto(page.as_uri())
        answers = tab.frame_locator("iframe[title=Desktop]").locator(".scale a")
        tops = answers.evaluate_all("all => all.map(e => e.getBoundingClientRect().top)")
        assert (len(tops), len(set(tops))) == (11, 1)
        tab.close()


def test_a_code_stands_on_one_line_of_a_phone(browser: Any, tmp_path: Path) -> None:
    """It is read out, or typed in, at a till: the Russian words beside it are the longest."""
    page = say.preview(workspace(tmp_path / "home"), "birthday/reminder", language="ru")
    tab = browser.new_page(viewport={"width": 1500, "height": 1000})
    tab.goto(page.as_uri())
    code = tab.frame_locator("iframe[title=Phone]").get_by_text(VOUCHER["code"])
    assert code.evaluate("e => e.getClientRects().length") == 1
    tab.close()
