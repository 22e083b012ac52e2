"""The web service, on a real port: what a GET, a POST, a scanner, a forger and a provider may do."""

from __future__ import annotations

import email
import email.policy
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tessera.addresses import address_hash
from tessera.clock import stamp
from tessera.consent import Word, record
from tessera.errors import BadInput
from tessera.hear import hearing
from tessera.say.links import secret_of
from tessera.send import send
from tessera.testing import publish, workspace
from tessera.tokens import CONFIRM, PREFERENCES, REFERRAL, SCORE, UNSUBSCRIBE, sign
from tessera.web import make_app, people
from tessera.web.server import listen, serve
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.deciding import insert
from tests.sending import customer, enqueue, outbox_row, reasons, states
from tests.serving import PUBLIC_KEY, SIGNATURE, TIMESTAMP, post_events, served, signed

SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
TABLES = (
    *("consent", "suppression", "suppression_lift", "preference", "answer", "signup"),
    *("outbox", "provider_event", "unread_event", "provider_request"),
)
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
AS_OF = "2026-03-31T12:00"
ADDRESS = "person1@mail.example"


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Workspace:
    found = workspace(
        tmp_path / "home", AS_OF, store_url=store_url, sendgrid_webhook_key=PUBLIC_KEY
    )
    publish(found, customers=[customer(n) for n in range(5)])
    return found


@pytest.fixture
def client(ws: Workspace) -> Iterator[httpx.Client]:
    with served(ws) as found:
        yield found


def rows(ws: Workspace, query: str) -> list[dict[str, Any]]:
    with ws.store.read() as connection:
        return [dict(row) for row in connection.all(query)]


def everything(ws: Workspace) -> dict[str, list[str]]:
    """Every row of every table that a visitor could have touched."""
    return {name: sorted(map(str, rows(ws, f"select * from {name}"))) for name in TABLES}


def link(ws: Workspace, kind: str, subject: str) -> str:
    return f"/{kind}/{sign(secret_of(ws), kind, subject)}"


def sent_to(ws: Workspace, customer_id: str = "c1", **columns: Any) -> str:
    """A message that went out to this customer; its send key."""
    (key,) = enqueue(ws, outbox_row(customer_id, **{"state": "accepted", **columns}))
    return key


def submit(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Open the page, fill in its (first) form and send it, as a browser would."""
    page = client.get(path)
    form = re.search(r'<form method="post" action="([^"]+)".*?</form>', page.text, re.DOTALL)
    assert form, page.text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]))
    action = form[1].replace("&amp;", "&")
    return client.post(action, data={**hidden, **fields}, follow_redirects=True)


def mails(ws: Workspace) -> list[Any]:
    return [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted(ws.home.mail.rglob("*.eml"))
    ]


def urls(mail: Any) -> set[str]:
    """Every address in a mail's headers and parts."""
    found = " ".join(str(value) for value in mail.values())
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            found += " " + part.get_content().replace("&amp;", "&")
    return set(re.findall(r"https?://[^\s\"'<>)]+", found))


# A link scanner


@BOTH_STORES
def test_a_scanner_that_gets_every_link_of_every_mail_changes_nothing(ws: Workspace) -> None:
    """T30: a whole church staff was unsubscribed by a virus scanner's GET."""
    templates = ("winback/reminder", "satisfaction/question", "referral/invitation")
    enqueue(ws, *(outbox_row(f"c{n}", template=t, campaign=t) for n, t in enumerate(templates)))
    send(ws)
    with served(ws) as client:
        submit(client, "/join", email="new@mail.example", agreed="yes")
        every = mails(ws)
        assert len(every) == 4
        before = everything(ws)
        found = {url for mail in every for url in urls(mail)}
        paths = {httpx.URL(url).raw_path.decode() for url in found if "localhost" in url}
        kinds = {path.split("/")[1] for path in paths}
        assert kinds == {"", "u", "p", "s", "r", "c"}
        assert len([path for path in paths if re.match(r"/s/.*/\d+$", path)]) == 11
        for _ in range(2):
            for path in sorted(paths):
                page = client.get(path)
                assert page.status_code == 200, path
                assert client.head(path).status_code == 200
                paths |= set(re.findall(r'href="(/[^"]*)"', page.text))
        assert everything(ws) == before


@SQLITE
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_answered(ws: Workspace, client: httpx.Client, method: str) -> None:
    path = link(ws, UNSUBSCRIBE, sent_to(ws))
    before = everything(ws)
    assert client.request(method, path, data=ONE_CLICK).status_code == 405
    assert everything(ws) == before


# Unsubscribing


@BOTH_STORES
def test_one_click_is_one_post_without_cookies_or_questions(ws: Workspace) -> None:
    """RFC 8058. The address is suppressed too: somebody else in the books may have the same one."""
    path = link(ws, UNSUBSCRIBE, sent_to(ws))
    with served(ws) as client:
        for _ in range(3):
            assert client.post(path, data=ONE_CLICK).status_code == 200
        assert "unsubscribed" in client.get(path).text
    (word,) = rows(ws, "select customer_id, channel, granted, origin from consent")
    assert word == {
        "customer_id": "c1",
        "channel": "email",
        "granted": 0,
        "origin": "one-click unsubscribe",
    }
    (found,) = rows(ws, "select address_hash, scope, cause from suppression")
    assert found == {
        "address_hash": address_hash(ADDRESS),
        "scope": "marketing",
        "cause": "unsubscribe",
    }


@SQLITE
def test_one_click_may_come_in_parts_as_rfc_8058_prefers_it(
    ws: Workspace, client: httpx.Client
) -> None:
    path = link(ws, UNSUBSCRIBE, sent_to(ws))
    odd = {"Content-Type": "multipart/form-data; boundary=a"}
    for body in (
        b"",
        b"--a\r\n\r\n--a--",
        b"--a--" * 1000,
        b"\xff" * 100,
        b"List-Unsubscribe=One-Click",
    ):
        assert client.post(path, content=body, headers=odd).status_code == 403
    assert rows(ws, "select * from consent") == []
    whole = {name: (None, value) for name, value in ONE_CLICK.items()}
    assert client.post(path, files=whole).status_code == 200
    assert rows(ws, "select origin from consent") == [{"origin": "one-click unsubscribe"}]


@SQLITE
def test_the_page_unsubscribes_with_its_own_form_only(ws: Workspace, client: httpx.Client) -> None:
    path = link(ws, UNSUBSCRIBE, sent_to(ws))
    assert client.post(path).status_code == 403
    assert client.post(path, data={"form": "made-up.token"}).status_code == 403
    assert rows(ws, "select * from consent") == []
    assert "You are unsubscribed" in submit(client, path).text
    assert rows(ws, "select origin from consent") == [{"origin": "unsubscribe page"}]


@SQLITE
def test_unsubscribing_works_without_marts(store_url: str, tmp_path: Path) -> None:
    ws = workspace(tmp_path / "bare", AS_OF, store_url=store_url)
    path = link(ws, UNSUBSCRIBE, sent_to(ws))
    with served(ws) as client:
        assert client.post(path, data=ONE_CLICK).status_code == 200
        assert client.get(link(ws, PREFERENCES, sent_to(ws, "c2"))).status_code == 200
    assert len(rows(ws, "select * from consent")) == 1


@BOTH_STORES
def test_what_was_planned_before_is_stopped_when_it_is_claimed(ws: Workspace) -> None:
    """T31: service messages still go out. T32: the queue is checked at the last moment, by channel."""
    long_ago = dict.fromkeys(("send_at", "state_at"), "2026-03-20T09:00:00+00:00")
    first = sent_to(ws, occurrence="before", **long_ago)
    enqueue(
        ws,
        outbox_row("c1", occurrence="planned"),
        outbox_row("c1", occurrence="receipt", purpose="service"),
        outbox_row("c2"),
    )
    with served(ws) as client:
        client.post(link(ws, UNSUBSCRIBE, first), data=ONE_CLICK)
        client.post(
            link(ws, UNSUBSCRIBE, sent_to(ws, "c2", channel="sms", occurrence="sms", **long_ago)),
            data=ONE_CLICK,
        )
    send(ws)
    assert states(ws) == {"accepted": 4, "cancelled": 1}
    assert reasons(ws) == {"c1": "suppressed"}
    words = rows(ws, "select customer_id, channel from consent order by 1")
    assert words == [
        {"customer_id": "c1", "channel": "email"},
        {"customer_id": "c2", "channel": "sms"},
    ]


@SQLITE
def test_a_link_is_forged_for_another_use_or_too_old(ws: Workspace, client: httpx.Client) -> None:
    key = sent_to(ws, send_at="2024-03-30T09:00:00+00:00")
    assert client.get(link(ws, UNSUBSCRIBE, key)).status_code == 410
    assert client.post(link(ws, UNSUBSCRIBE, key), data=ONE_CLICK).status_code == 410
    young = sent_to(ws, "c2")
    as_score = sign(secret_of(ws), SCORE, young)
    for path in (f"/u/{as_score}", f"/p/{as_score}", "/u/nothing", link(ws, UNSUBSCRIBE, "gone")):
        assert client.post(path, data=ONE_CLICK).status_code == 404
    assert rows(ws, "select * from consent") == []


# Preferences


@BOTH_STORES
def test_preferences_write_down_what_changed_and_with_which_words(ws: Workspace) -> None:
    key = sent_to(ws)
    path = link(ws, PREFERENCES, key)
    fields = {"topic_points": "yes", "frequency": "weekly", "language": "fa", "pause": "30"}
    with served(ws) as client:
        page = submit(client, path + "?lang=de", channel_sms="yes", **fields)
        assert 'lang="fa" dir="rtl"' in page.text
        assert re.search(r'id="channel_sms"[^>]* checked', page.text)
        assert re.search(r'id="topic_points"[^>]* checked', page.text)
        assert not re.search(r'id="topic_offers"[^>]* checked', page.text)
        assert "۳۰ آوریل ۲۰۲۶" in page.text
        before = everything(ws)
        submit(client, path, channel_sms="yes", **fields | {"pause": "keep"})
        none_of_ours = {"frequency": "hourly", "language": "tlh", "pause": "31"}
        submit(client, path, channel_sms="yes", **fields | none_of_ours)
        assert everything(ws) == before
        assert "tlh" not in client.get(f"{path}?lang=tlh").text
    found = {row["name"]: row["value"] for row in rows(ws, "select * from current_preference")}
    assert found == {
        "topic:offers": "no",
        "topic:reminders": "no",
        "topic:occasions": "no",
        "topic:surveys": "no",
        "frequency": "weekly",
        "language": "fa",
        "paused_until": "2026-04-30",
    }
    (word,) = rows(ws, "select channel, granted, wording_version, origin, proof from consent")
    assert word == {
        "channel": "sms",
        "granted": 1,
        "wording_version": "sms-2026-01/de",
        "origin": "preference centre",
        "proof": json.dumps({"link_of_message": key}),
    }


@BOTH_STORES
def test_who_comes_back_is_written_to_again(ws: Workspace) -> None:
    key = sent_to(ws)
    preferences = link(ws, PREFERENCES, key)
    with served(ws) as client:
        client.post(link(ws, UNSUBSCRIBE, key), data=ONE_CLICK)
    with served(ws, lambda: ws.as_of + timedelta(minutes=5)) as client:
        assert not re.search(r'id="channel_email"[^>]* checked', client.get(preferences).text)
        page = submit(client, preferences, channel_email="yes", topic_offers="yes")
        assert re.search(r'id="channel_email"[^>]* checked', page.text)
    assert rows(ws, "select * from suppression") == []
    words = rows(ws, "select granted, wording_version from consent order by recorded_at")
    assert [tuple(word.values()) for word in words] == [(0, None), (1, "email-2026-01/en")]


@SQLITE
def test_the_shops_own_books_count_until_the_person_speaks(ws: Workspace) -> None:
    yes = {"customer_id": "c1", "channel": "email", "purpose": "marketing", "granted": True,
           "recorded_at": "2026-01-01"}  # fmt: skip
    publish(ws, customers=[customer(1)], consents=[yes])
    path = link(ws, PREFERENCES, sent_to(ws))
    with served(ws) as client:
        assert re.search(r'id="channel_email"[^>]* checked', client.get(path).text)
        submit(client, path)
        assert not re.search(r'id="channel_email"[^>]* checked', client.get(path).text)
    assert rows(ws, "select channel, granted from consent") == [{"channel": "email", "granted": 0}]


@SQLITE
def test_a_link_in_a_letter_to_a_former_number_is_of_who_they_are_now(ws: Workspace) -> None:
    """It showed no channel ticked, and left the address as it was."""
    yes = {"customer_id": "c2", "channel": "email", "purpose": "marketing", "granted": True,
           "recorded_at": "2026-01-01"}  # fmt: skip
    was = [{"customer_id": "c1", "into_customer_id": "c2"}]
    publish(ws, customers=[{**customer(2), "email": ADDRESS}], consents=[yes], known_as=was)
    key = sent_to(ws)
    path = link(ws, PREFERENCES, key)
    with served(ws) as client:
        assert re.search(r'id="channel_email"[^>]* checked', client.get(path).text)
        client.post(link(ws, UNSUBSCRIBE, key), data=ONE_CLICK)
        assert not re.search(r'id="channel_email"[^>]* checked', client.get(path).text)
    assert [row["granted"] for row in rows(ws, "select granted from consent")] == [0]
    (found,) = rows(ws, "select address_hash from suppression")
    assert found == {"address_hash": address_hash(ADDRESS)}


@SQLITE
def test_who_said_yes_under_the_number_they_have_now_may_unsubscribe_in_an_old_letter(
    ws: Workspace,
) -> None:
    """The page went by what the letter's number had said: it was done, and offered no button."""
    publish(ws, customers=[customer(2)], known_as=[{"customer_id": "c1", "into_customer_id": "c2"}])
    with ws.store.write() as store:
        for who, granted, day in (("c1", False, 1), ("c2", True, 2)):
            word = Word(who, "email", granted, "preference centre")
            record(store, word, datetime(2026, 3, day, tzinfo=UTC))
    path = link(ws, UNSUBSCRIBE, sent_to(ws))
    with served(ws) as client:
        assert "<form" in client.get(path).text
        client.post(path, data=ONE_CLICK)
        assert "<form" not in client.get(path).text
    said = rows(ws, "select granted from consent order by recorded_at")
    assert [row["granted"] for row in said] == [0, 1, 0]


@SQLITE
def test_a_channel_whose_address_somebody_unsubscribed_is_not_ticked(ws: Workspace) -> None:
    """Somebody else in the books may have the same one."""
    yes = {"channel": "email", "purpose": "marketing", "granted": True, "recorded_at": "2026-01-01"}
    same = [customer(1), {**customer(2), "email": ADDRESS}]
    publish(ws, customers=same, consents=[{**yes, "customer_id": one} for one in ("c1", "c2")])
    with served(ws) as client:
        path = link(ws, PREFERENCES, sent_to(ws, "c2"))
        assert re.search(r'id="channel_email"[^>]* checked', client.get(path).text)
        client.post(link(ws, UNSUBSCRIBE, sent_to(ws)), data=ONE_CLICK)
        assert not re.search(r'id="channel_email"[^>]* checked', client.get(path).text)
        submit(client, path, channel_sms="yes")  # a yes to text messages is none to mail
    assert len(rows(ws, "select * from suppression")) == 1


@SQLITE
def test_a_choice_is_one_against_what_the_page_had_shown(ws: Workspace) -> None:
    """Not against the books, which may not be readable just now, nor against what was said elsewhere since."""
    yes = {"customer_id": "c1", "channel": "email", "purpose": "marketing", "granted": True,
           "recorded_at": "2026-01-01"}  # fmt: skip
    publish(ws, customers=[customer(1)], consents=[yes])
    path, current = link(ws, PREFERENCES, sent_to(ws)), ws.home.marts / "current.json"
    sound = current.read_bytes()
    with served(ws) as client:
        form = filled(client.get(path))
        current.write_bytes(b"{")
        damaged = client.get(path)
        assert "channel_email" not in damaged.text
        client.post(path, data=filled(damaged))
        client.post(path, data=form | {"channel_email": "yes"})
        assert rows(ws, "select * from consent") == []
        client.post(path, data=form)
        assert rows(ws, "select granted from consent") == [{"granted": 0}]
        current.write_bytes(sound)
        client.post(path, data=form | {"channel_email": "yes"})  # a page opened before the no
        assert len(rows(ws, "select * from consent")) == 1
        client.post(path, data={"form": form["form"], "channel_email": "yes"})  # does not tell
        assert rows(ws, "select granted from consent where granted = 1") == [{"granted": 1}]


def filled(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of the page's first form."""
    form = page.text[: page.text.index("</form>")]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


@SQLITE
def test_a_yes_at_the_counter_after_a_no_can_be_taken_back_again(ws: Workspace) -> None:
    path = link(ws, UNSUBSCRIBE, sent_to(ws))
    with served(ws) as client:
        client.post(path, data=ONE_CLICK)
        yes = {"customer_id": "c1", "channel": "email", "purpose": "marketing", "granted": True,
               "recorded_at": "2026-04-02"}  # fmt: skip
        publish(ws, customers=[customer(1)], consents=[yes])
        assert "Yes, unsubscribe me" in client.get(path).text
    with served(ws, lambda: ws.as_of + timedelta(days=5)) as client:
        client.post(path, data=ONE_CLICK)
        assert "You are unsubscribed" in client.get(path).text
    words = rows(ws, "select substr(recorded_at, 1, 10) as day from consent order by 1")
    assert [word["day"] for word in words] == ["2026-03-31", "2026-04-05"]


@SQLITE
def test_a_break_can_be_ended_and_everything_stopped(ws: Workspace, client: httpx.Client) -> None:
    path = link(ws, PREFERENCES, sent_to(ws))
    for pause, until in (("14", "2026-04-14"), ("0", "")):
        submit(client, path, pause=pause)
        paused = rows(ws, "select value from current_preference where name = 'paused_until'")
        assert paused == [{"value": until}]
        for day, is_shown in ((13, True), (14, False)):  # the first day with messages again
            with served(ws, lambda day=day: datetime(2026, 4, day, tzinfo=UTC)) as later:  # type: ignore[misc]
                assert ("April 14, 2026" in later.get(path).text) == (is_shown and bool(until))
    submit(client, path, action="none")
    words = rows(ws, "select channel, granted from consent order by channel")
    assert [tuple(word.values()) for word in words] == [("email", 0), ("print", 0), ("sms", 0)]


# Answers


@BOTH_STORES
def test_an_answer_is_written_down_by_post_and_can_be_changed(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    path = link(ws, SCORE, sent_to(ws))
    words = "More tea, please: \U0001f375".ljust(2000, "!")
    with served(ws) as client:
        page = client.get(f"{path}/3")
        assert re.search(r'value="3" required checked', page.text)
        assert rows(ws, "select * from answer") == []
        page = submit(client, f"{path}/3", score="3")
        assert "What could we do better?" in page.text
        assert "tessera answers --below 7" in caplog.text
        page = submit(client, path, comment=f"{words[:5]}\0{words[5:]}!".ljust(3000, "!"))
        assert "reaches those who can change something" in page.text
        page = submit(client, f"{path}/10", score="10")
        assert "What could we do better?" not in page.text
        assert re.search(r'href="/r/[^"]+"', page.text)
        before = everything(ws)
        submit(client, f"{path}/10", score="10")
        assert client.get(f"{path}/11").status_code == 200
        assert submit(client, f"{path}/10", score="11").status_code == 400
        assert submit(client, f"{path}/10", score="١").status_code == 400
        assert everything(ws) == before
    found = rows(ws, "select score, comment from answer order by answer_id")
    assert [tuple(row.values()) for row in found] == [(3, None), (3, words), (10, None)]


@SQLITE
def test_staff_is_written_to_once_about_a_low_answer(tmp_path: Path, store_url: str) -> None:
    home = tmp_path / "home"
    ws = workspace(home, store_url=store_url, staff_email="staff@shop.example")
    deaf = workspace(home, store_url=store_url, staff_email="staff@shop.example",
                     messenger="smtp", smtp_url="smtp://127.0.0.1:1")  # fmt: skip
    publish(ws, customers=[customer(1)])
    asked = (outbox_row(f"c{number}") for number in (1, 2, 4, 5))
    paths = [link(ws, SCORE, key) for key in enqueue(ws, *asked)]
    week = {"customer_id": "c3", "score": 0, "answered_at": stamp(ws.as_of - timedelta(days=7))}
    insert(ws, "answer", answer_id=1, send_key=sent_to(ws, "c3"), **week)  # is told no more
    with served(deaf) as client:
        submit(client, f"{paths[0]}/2", score="2")  # nobody can be told
        for score in ("1", "8"):  # who thinks better of it is not told of any more
            submit(client, f"{paths[3]}/{score}", score=score)
    with served(ws) as client:
        submit(client, f"{paths[2]}/7", score="7")
        for score in ("6", "3", "9", "0"):
            submit(client, f"{paths[1]}/{score}", score=score)
        submit(client, paths[1], comment="Cold <tea>")
    told = [path.read_text(encoding="utf-8") for path in (home / "mail").rglob("alert-*.eml")]
    assert sorted("Customer c1" in mail for mail in told) == [False, True]
    assert all("To: staff@shop.example" in mail for mail in told)


# Signing up


def confirm_path(ws: Workspace, signup_id: str = "") -> str:
    """The link of the latest confirmation mail, or of one sign-up's."""
    looked_at = mails(ws) if signup_id else mails(ws)[-1:]
    found = {httpx.URL(url).raw_path.decode() for mail in looked_at for url in urls(mail)}
    wanted = f"/c/{signup_id}"
    (path,) = {p for p in found if p.startswith(wanted) and not p.endswith("/no")}
    return path


@BOTH_STORES
def test_only_the_owner_of_an_address_can_make_it_a_consent(ws: Workspace) -> None:
    """T34: who, when, where, in which words, and how we know."""
    with served(ws) as client:
        page = submit(client, "/join?lang=fa", email=" New@Mail.Example ", agreed="yes")
        assert "صندوق ایمیلتان را ببینید" in page.text
        assert rows(ws, "select * from consent") == []
        (mail,) = mails(ws)
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        path = confirm_path(ws)
        client.get(path)
        assert rows(ws, "select * from consent") == []
        assert 'lang="fa"' in client.get(path).text
        hidden = re.findall(r'name="form" value="([^"]*)"', client.get(path).text)
        for _ in range(2):
            assert client.post(path, data={"form": hidden[0]}).status_code == 303
        assert "Welcome to <bdi>The Shop" in client.get(f"{path}?lang=en").text
    with served(ws, lambda: ws.as_of + timedelta(hours=1)) as client:
        client.post(path, data={"form": hidden[0]})
    (signup,) = rows(ws, "select * from signup")
    (word,) = rows(ws, "select * from consent")
    with served(ws, lambda: ws.as_of + timedelta(hours=2)) as client:
        submit(client, "/join", email="new@mail.example", agreed="yes")
        (again,) = rows(ws, "select signup_id from signup where confirmed_at is null")
        submit(client, confirm_path(ws, again["signup_id"]))
    assert len(rows(ws, "select distinct customer_id from signup")) == 1, "and one prospect"
    assert word["customer_id"] == signup["customer_id"] == f"prospect:web-{signup['signup_id']}"
    assert (word["granted"], word["origin"]) == (1, "sign-up form")
    assert word["wording_version"] == "email-2026-01/fa"
    assert json.loads(word["proof"]) == {
        "signup": signup["signup_id"],
        "asked_at": "2026-03-31T12:00:00+00:00",
        "confirmed_at": "2026-03-31T12:00:00+00:00",
        "address_hash": address_hash("new@mail.example"),
    }


@SQLITE
def test_a_known_address_is_its_customer_and_signs_up_anew(ws: Workspace) -> None:
    key = sent_to(ws)
    publish(ws, customers=[customer(1), {**customer(2), "email": f" {ADDRESS.upper()}"}])
    with served(ws) as client:
        client.post(link(ws, UNSUBSCRIBE, key), data=ONE_CLICK)
    with served(ws, lambda: ws.as_of + timedelta(hours=1)) as client:
        page = submit(client, "/join", email=ADDRESS, agreed="yes")
        assert "Look into your mailbox" in page.text
        path = confirm_path(ws)
        submit(client, path)
        client.post(f"{path}/no", data=ONE_CLICK)  # too late to have been somebody else
    words = rows(ws, "select customer_id, granted from consent order by recorded_at, customer_id")
    assert [tuple(word.values()) for word in words] == [("c1", 0), ("c1", 1), ("c2", 1)]
    assert len(rows(ws, "select * from signup")) == 1
    assert rows(ws, "select * from suppression") == []


def test_a_wrong_webhook_key_is_one_sentence_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TESSERA_SENDGRID_WEBHOOK_KEY is not a public key"):
        make_app(workspace(tmp_path, sendgrid_webhook_key="abc"))


@SQLITE
def test_an_odd_form_is_refused_with_a_page_and_no_error(client: httpx.Client) -> None:
    many = client.post("/join", data={f"f{n}": "x" for n in range(300)})
    assert many.status_code == 413
    odd = client.post("/join", data={"email": "a@b.example"}, headers={"Origin": "http://["})
    assert odd.status_code == 403


@SQLITE
def test_the_form_gives_nothing_away_and_mails_nobody_to_death(
    ws: Workspace, client: httpx.Client
) -> None:
    for _ in range(5):
        page = submit(client, "/join", email="New@mail.example", agreed="yes")
        assert "Look into your mailbox" in page.text
    assert len(mails(ws)) == 3
    with ws.store.write() as connection:
        connection.run(
            "insert into suppression values (:h, 'email', 'all', 'bounce', '2026')",
            h=address_hash("dead@mail.example"),
        )
    page = submit(client, "/join", email="dead@mail.example", agreed="yes")
    assert "Look into your mailbox" in page.text
    page = submit(client, "/join", email="bot@mail.example", agreed="yes", website="x")
    assert "Look into your mailbox" in page.text
    assert len(mails(ws)) == 3
    assert submit(client, "/join", email="no address", agreed="yes").status_code == 400
    assert submit(client, "/join", email="b@mail.example").status_code == 400
    assert submit(client, "/join", email="c@mail.example", agreed="yes").status_code == 200
    page = submit(client, "/join", email="d@mail.example", agreed="yes")
    assert page.status_code == 429
    with served(ws, lambda: ws.as_of + timedelta(hours=24)) as tomorrow:
        submit(tomorrow, "/join", email="new@mail.example", agreed="yes")
    assert len(mails(ws)) == 5


@SQLITE
def test_a_stranger_s_address_is_forgotten_and_an_old_link_is_no_use(ws: Workspace) -> None:
    with served(ws) as client:
        submit(client, "/join", email="new@mail.example", agreed="yes")
        path = confirm_path(ws)
    with served(ws, lambda: ws.as_of + timedelta(days=8)) as client:
        assert client.get(path).status_code == 410
        assert "It was not me" in client.get(f"{path}/no").text
        assert len(rows(ws, "select * from signup")) == 1
        assert client.post(f"{path}/no", data=ONE_CLICK).status_code == 200
        assert client.get(link(ws, CONFIRM, "made-up")).status_code == 404
    assert rows(ws, "select * from signup") == []
    assert rows(ws, "select * from consent") == []


@SQLITE
def test_a_friend_s_sign_up_remembers_whose_friend_it_is(ws: Workspace) -> None:
    path = link(ws, REFERRAL, sent_to(ws))
    with served(ws) as client:
        (join,) = re.findall(r'class="button" href="(/join[^"]+)"', client.get(path).text)
        for address in ("friend@mail.example", ADDRESS):
            submit(client, join, email=address, agreed="yes", given_name=" Ann\n Li" + "x" * 99)
        submit(client, "/join?via=made-up", email="other@mail.example", agreed="yes")
    found = {row["email"]: row["referred_by"] for row in rows(ws, "select * from signup")}
    assert found == {"friend@mail.example": "c1", ADDRESS: None, "other@mail.example": None}
    names = {row["given_name"] for row in rows(ws, "select given_name from signup")}
    assert names == {"Ann Li" + "x" * 54, None}


# Protection


@SQLITE
def test_another_site_s_page_cannot_send_our_forms(ws: Workspace, client: httpx.Client) -> None:
    path = link(ws, PREFERENCES, sent_to(ws))
    elsewhere = {"Origin": "https://evil.example"}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, elsewhere):
        client.headers.update(headers)
        assert submit(client, path, pause="14").status_code == 403
        for name in headers:
            del client.headers[name]
    client.headers["Origin"] = str(client.base_url).rstrip("/")
    assert submit(client, path, pause="14").status_code == 200


@SQLITE
def test_a_form_is_good_for_its_own_page_and_half_a_day(ws: Workspace) -> None:
    one, other = (link(ws, PREFERENCES, sent_to(ws, who)) for who in ("c1", "c2"))
    with served(ws) as client:
        token = re.findall(r'name="form" value="([^"]+)"', client.get(one).text)[0]
        assert client.post(other, data={"form": token}).status_code == 403
        assert client.post("/join", data={"form": token}).status_code == 403
    with served(ws, lambda: ws.as_of + timedelta(hours=13)) as client:
        assert client.post(one, data={"form": token}).status_code == 403
    assert rows(ws, "select * from preference") == []


@SQLITE
def test_every_answer_carries_the_headers(ws: Workspace, client: httpx.Client) -> None:
    key = sent_to(ws)
    for path in (link(ws, UNSUBSCRIBE, key), "/", "/nowhere", "/health", "/join"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers
        assert "uvicorn" not in headers.get("server", "")
    assert client.post("/join", content=b"a=" + b"x" * 70_000).status_code == 413


@SQLITE
def test_a_bug_is_no_page_full_of_details(
    ws: Workspace, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "customers_with", None)
    submit(client, "/join", email="new@mail.example", agreed="yes")
    answer = submit(client, confirm_path(ws))
    assert (answer.status_code, answer.text) == (500, "Something went wrong on our side.\n")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@SQLITE
def test_guessing_links_is_slowed_down(ws: Workspace, client: httpx.Client) -> None:
    found = [client.get(f"/u/guess{n}").status_code for n in range(35)]
    assert found == [404] * 30 + [429] * 5
    path = link(ws, UNSUBSCRIBE, sent_to(ws))
    assert client.get(path).status_code == 200
    found = [client.post(path, data=ONE_CLICK).status_code for _ in range(62)]
    assert found == [200] * 60 + [429] * 2


@SQLITE
def test_neither_address_nor_token_reaches_the_log(
    ws: Workspace, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    key = sent_to(ws)
    client.post(link(ws, UNSUBSCRIBE, key), data=ONE_CLICK)
    submit(client, "/join", email="new@mail.example", agreed="yes")
    post_events(client, [{"event": "bounce", "timestamp": 1, "email": ADDRESS, "x": 1}], ws.as_of)
    ours = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith("http"))
    assert "Events heard" in ours
    assert key not in ours
    assert "@" not in ours


# The webhook


def event(name: str, key: str, **fields: Any) -> dict[str, Any]:
    return {"event": name, "send_key": key, "email": ADDRESS, "timestamp": 1774958400, **fields}


@BOTH_STORES
def test_a_signed_batch_is_heard_and_its_consequences_are_there_at_once(ws: Workspace) -> None:
    (key,) = enqueue(ws, outbox_row("c1", state="ambiguous"))
    batch = [event("delivered", key), event("unsubscribe", key), event("bounce", "other")]
    with served(ws) as client:
        assert post_events(client, batch, ws.as_of).status_code == 204
        before = everything(ws)
        # The provider repeats itself; whoever listened in may, too.
        assert post_events(client, batch * 46, ws.as_of + timedelta(hours=25)).status_code == 204
        assert everything(ws) == before
    assert states(ws) == {"reconciled": 1}
    causes = {(row["scope"], row["cause"]) for row in rows(ws, "select * from suppression")}
    assert causes == {("marketing", "unsubscribe"), ("all", "bounce")}
    assert [row["granted"] for row in rows(ws, "select * from consent")] == [0]
    assert len(rows(ws, "select * from provider_event")) == 3


@BOTH_STORES
def test_a_forged_tampered_or_replayed_batch_changes_nothing(ws: Workspace) -> None:
    key = sent_to(ws)
    body = json.dumps([event("spamreport", key)]).encode()
    good = signed(body, ws.as_of)
    other = ec.generate_private_key(ec.SECP256R1())
    attempts: list[tuple[bytes, dict[str, str]]] = [
        (body, {}),
        (body, signed(body, ws.as_of, other)),
        (body + b" ", good),
        (body.replace(b"spamreport", b"bounce"), good),
        (body, good | {TIMESTAMP: str(int(good[TIMESTAMP]) + 1)}),
        (body, good | {TIMESTAMP: "soon"}),
        (body, good | {TIMESTAMP: ""}),
        (body, good | {SIGNATURE: "bm9uc2Vuc2U="}),
        (body, good | {SIGNATURE: "%%%"}),
        (body, signed(body, ws.as_of - timedelta(hours=27))),
        (body, signed(body, ws.as_of + timedelta(hours=27))),
        (body, signed(body, "9" * 400)),
        (b"\xff\xfe", good),
        (b"", good),
    ]
    before = everything(ws)
    with served(ws) as client:
        for content, headers in attempts:
            answer = client.post("/events/sendgrid", content=content, headers=headers)
            assert answer.status_code == 403, headers
            assert everything(ws) == before
        assert client.get("/events/sendgrid").status_code == 405
        odd = b'{"event": "open"}'
        answer = client.post("/events/sendgrid", content=odd, headers=signed(odd, ws.as_of))
        assert answer.status_code == 400
        assert everything(ws) == before


@SQLITE
def test_without_a_key_no_batch_is_believed(store_url: str, tmp_path: Path) -> None:
    ws = workspace(tmp_path / "keyless", AS_OF, store_url=store_url)
    with served(ws) as client:
        assert post_events(client, [event("bounce", "k")], ws.as_of).status_code == 503
    assert rows(ws, "select * from provider_event") == []


@BOTH_STORES
def test_a_store_that_fails_is_told_aloud_and_the_batch_comes_again(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """T37: memory ran out and 170 events were gone without a word."""
    batch = [event("unsubscribe", sent_to(ws))]
    before = everything(ws)
    with served(ws) as client:
        with monkeypatch.context() as broken:
            broken.setitem(hearing.SQL, "settle_taken", "update no_such_table set a = 1")
            assert post_events(client, batch, ws.as_of).status_code == 503
        assert "The store cannot be used" in caplog.text
        assert everything(ws) == before
        assert post_events(client, batch, ws.as_of).status_code == 204
    assert len(rows(ws, "select * from provider_event")) == 1


def test_an_answer_does_not_wait_for_the_callers_acknowledgement() -> None:
    """Without it every answer over a kept connection comes 40 ms late."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@SQLITE
def test_what_was_answered_with_2xx_survives_a_kill(ws: Workspace, store_url: str) -> None:
    """Store first: the answer is given when the batch is on disk."""
    environment = os.environ | {
        "TESSERA_STORE_URL": store_url,
        "TESSERA_SENDGRID_WEBHOOK_KEY": PUBLIC_KEY,
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-c", "from tessera.cli import main; main()", "web", "--port", "0"]
    command += ["--home", str(ws.home.root), "--as-of", AS_OF]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            line = process.stderr.readline()
            url = re.findall(r"on (\S+);", line)[0]
            with httpx.Client(base_url=url, timeout=60) as client:
                for n in range(20):
                    batch = [event("open", f"{n}-{i}") for i in range(50)]
                    assert post_events(client, batch, ws.as_of).status_code == 204
        finally:
            process.send_signal(signal.SIGKILL)  # or a failure would be waited for for ever
    assert len(rows(ws, "select * from provider_event")) == 1000


@SQLITE
def test_what_was_loaded_is_not_looked_through_for_garbage_while_tills_wait(ws: Workspace) -> None:
    class Ready(Exception):
        """The service would begin to answer now."""

    def say(_line: str) -> None:
        assert len(gc.get_objects()) < gc.get_freeze_count() / 100
        raise Ready

    try:
        with pytest.raises(Ready):
            serve(ws, "127.0.0.1", 0, frozen=True, say=say)
    finally:
        gc.unfreeze()
