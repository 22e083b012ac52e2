"""The pages in a real browser, in English and Persian, without JavaScript and with the keyboard."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tessera.say.links import secret_of
from tessera.testing import publish, workspace
from tessera.tokens import PREFERENCES, REFERRAL, SCORE, UNSUBSCRIBE, sign
from tessera.workspace import Workspace
from tests.integration.test_web import confirm_path, rows
from tests.sending import customer, enqueue, outbox_row
from tests.serving import served

PICTURES = os.environ.get("TESSERA_TEST_PICTURES")  # a folder for screenshots, to be looked at
WORDS = {
    "en": {"dir": "ltr", "unsubscribed": "You are unsubscribed", "saved": "Your choices are saved.",
           "better": "What could we do better?", "mail": "Look into your mailbox",
           "welcome": "Welcome to The Shop"},
    "fa": {"dir": "rtl", "unsubscribed": "اشتراک شما لغو شد", "saved": "انتخاب‌های شما ذخیره شد.",
           "better": "چه کاری را می‌توانیم بهتر انجام دهیم؟", "mail": "صندوق ایمیلتان را ببینید",
           "welcome": "به The Shop خوش آمدید"},
}  # fmt: skip
SIZES = [("en", 1280, "light"), ("en", 360, "dark"), ("fa", 1280, "light"), ("fa", 360, "light")]


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    address = f"{'Donaudampfschifffahrtsgesellschaft' * 4}, 10001 Sampletown"  # has to be broken
    found = workspace(tmp_path_factory.mktemp("home"), "2026-03-31T12:00", postal_address=address)
    people = [customer(n, language=lang) for n, (lang, _, _) in enumerate(SIZES)]
    publish(found, customers=people)
    rows_ = [outbox_row(f"c{n}", state="accepted", language=s[0]) for n, s in enumerate(SIZES)]
    enqueue(found, *rows_)
    return found


@pytest.fixture(scope="module")
def client(ws: Workspace) -> Iterator[httpx.Client]:
    with served(ws) as found:
        yield found


class Reader:
    """A tab without JavaScript; every page it comes to is looked over."""

    def __init__(self, tab: Any, base: str, language: str, name: str) -> None:
        self.tab, self.base, self.language, self.name = tab, base, language, name
        self.words = WORDS[language]
        self.fetched: list[str] = []
        tab.on("request", lambda request: self.fetched.append(request.resource_type))
        tab.on("console", lambda message: self._hear(message.text))

    def _hear(self, said: str) -> None:
        if "the server responded with" not in said:  # a form that is sent back, a link to nowhere
            self.fetched.append(said)

    def open(self, path: str) -> None:
        self.tab.goto(f"{self.base}{path}")
        self.look()

    def press(self, words: str | None = None) -> None:
        """The page's (first) button, by keyboard."""
        self.tab.locator("main button", has_text=words).first.focus()
        with self.tab.expect_navigation():
            self.tab.keyboard.press("Enter")
        self.look()

    def look(self) -> None:
        """In the right language and direction, whole, labelled, and nothing fetched but the page."""
        page, html = self.tab, self.tab.locator("html")
        assert html.get_attribute("lang") == self.language
        assert html.get_attribute("dir") == self.words["dir"]
        assert set(self.fetched) == {"document"}
        assert page.locator("h1").count() == page.locator("main").count() == 1
        assert [page.locator(mark).count() for mark in ("header", "footer", "nav[aria-label]")] == [
            1
        ] * 3
        for one in page.locator("input:not([type=hidden]), select, textarea").all():
            assert page.locator(f"label[for={one.get_attribute('id')}]").count() == 1
        width = page.viewport_size["width"]
        for one in page.locator(":is(header, main, footer) *:not(.trap, .trap *)").all():
            box = one.bounding_box()
            assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= width + 1)
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            number = len(list(Path(PICTURES).glob(f"{self.name}-*.png")))
            page.screenshot(path=f"{PICTURES}/{self.name}-{number:02}.png", full_page=True)


@pytest.fixture(params=list(enumerate(SIZES)), ids=lambda one: "-".join(map(str, one[1])))
def reader(request: Any, browser: Any, client: httpx.Client) -> Iterator[tuple[Reader, str]]:
    """A reader and the customer they are."""
    number, (language, width, scheme) = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        java_script_enabled=False,
        locale=language,
    )
    name = f"{language}-{width}-{scheme}"
    base = str(client.base_url).rstrip("/")
    yield Reader(context.new_page(), base, language, name), f"c{number}"
    context.close()


def link(ws: Workspace, kind: str, customer_id: str) -> str:
    (row,) = rows(ws, f"select send_key from outbox where customer_id = '{customer_id}'")
    return f"/{kind}/{sign(secret_of(ws), kind, row['send_key'])}"


def test_a_reader_walks_through_every_page(ws: Workspace, reader: tuple[Reader, str]) -> None:
    who, customer_id = reader
    mine = f"where customer_id = '{customer_id}'"

    who.open(f"{link(ws, SCORE, customer_id)}/4")
    assert who.tab.locator("#score_4").is_checked()
    assert rows(ws, f"select * from answer {mine}") == []
    who.press()
    assert who.tab.get_by_text(who.words["better"]).is_visible()
    who.tab.fill("#comment", "چای بیشتر" if who.language == "fa" else "More tea")
    who.press()
    assert [row["score"] for row in rows(ws, f"select score from answer {mine}")] == [4, 4]

    who.open(link(ws, PREFERENCES, customer_id))
    who.tab.check("#channel_email")
    who.tab.uncheck("#topic_offers")
    who.tab.check("#frequency_monthly")
    who.tab.check("#pause_30")
    who.press()
    assert who.tab.get_by_text(who.words["saved"]).is_visible()
    assert who.tab.locator("#channel_email").is_checked()
    assert not who.tab.locator("#topic_offers").is_checked()
    assert who.tab.locator("#frequency_monthly").is_checked()
    said = rows(ws, f"select granted, wording_version from consent {mine}")
    assert said == [{"granted": 1, "wording_version": f"email-2026-01/{who.language}"}]

    who.open(link(ws, UNSUBSCRIBE, customer_id))
    assert len(rows(ws, f"select * from consent {mine}")) == 1
    who.press()
    assert who.tab.get_by_role("heading", name=who.words["unsubscribed"]).is_visible()
    assert len(rows(ws, f"select * from consent {mine}")) == 2


def test_a_friend_signs_up_and_confirms(ws: Workspace, reader: tuple[Reader, str]) -> None:
    who, customer_id = reader
    who.open(link(ws, REFERRAL, customer_id) + f"?lang={who.language}")
    with who.tab.expect_navigation():
        who.tab.locator("main a.button").click()
    who.look()
    who.tab.fill("#email", "no address")
    who.press()
    assert who.tab.get_by_role("alert").is_visible()
    assert who.tab.locator("#email").get_attribute("aria-invalid") == "true"
    who.tab.fill("#email", f"friend-{who.name}@mail.example")
    who.tab.check("#agreed")
    who.press()
    assert who.tab.get_by_role("heading", name=who.words["mail"]).is_visible()
    (row,) = rows(ws, f"select * from signup where email = 'friend-{who.name}@mail.example'")
    assert (row["language"], row["referred_by"]) == (who.language, customer_id)
    who.open(confirm_path(ws, row["signup_id"]))
    who.press()
    assert who.tab.get_by_role(
        "heading", name=re.compile(re.escape(who.words["welcome"]))
    ).is_visible()
    (row,) = rows(ws, f"select * from signup where signup_id = '{row['signup_id']}'")
    assert row["confirmed_at"]


def test_a_link_that_leads_nowhere_says_so(reader: tuple[Reader, str]) -> None:
    who, _ = reader
    who.open("/u/nowhere")
    who.open("/")
