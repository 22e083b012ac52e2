"""A day's messages leave through each messenger: once, or not, and it is known which."""

from __future__ import annotations

import email
import email.policy
import json
import re
import shutil
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aiosmtpd.controller import Controller

from tessera import clock
from tessera.addresses import address_hash
from tessera.clock import stamp
from tessera.errors import BadInput
from tessera.say.links import secret_of
from tessera.send import departures, send, sender
from tessera.send.holds import unsent
from tessera.send.messengers.base import Unusable
from tessera.send.messengers.file import FileMessenger
from tessera.send.messengers.sendgrid import SendGridMessenger
from tessera.send.messengers.smtp import SmtpMessenger
from tessera.settings import CHECKOUT
from tessera.testing import publish, workspace
from tessera.tokens import verify
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.sending import (
    Api,
    addresses_in,
    customer,
    enqueue,
    letter,
    outbox_row,
    plan,
    provider,
    reasons,
    states,
)

NO_NAP: Callable[[float], None] = lambda _seconds: None  # noqa: E731


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "home")


def mails(ws: Workspace) -> dict[str, EmailMessage]:
    """The mails in the folder, by the customer's address."""
    found = {}
    for path in sorted((ws.home.mail / "2026-03-31").glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        found[message["To"]] = message
    return found


def put(ws: Workspace, table: str, **row: Any) -> None:
    with ws.store.write() as connection:
        connection.insert_new(table, pa.Table.from_pylist([row]))


# Files


@BOTH_STORES
def test_what_is_due_is_written_once_however_often_it_is_sent(
    store_url: str, tmp_path: Path
) -> None:
    ws = workspace(tmp_path, store_url=store_url)
    keys = plan(ws, 600)
    first = send(ws)
    assert (first.claimed, first.accepted, first.by_messenger) == (600, 600, {"file": 600})
    folder = ws.home.mail / "2026-03-31"
    assert {path.stem for path in folder.iterdir()} == set(keys)
    bytes_before = {path.name: path.read_bytes() for path in folder.iterdir()}
    second = send(ws)
    assert (second.claimed, second.accepted) == (0, 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == bytes_before
    assert states(ws) == {"accepted": 600}


@BOTH_STORES
def test_a_store_that_is_older_than_what_left_sends_nothing_again(
    store_url: str, tmp_path: Path
) -> None:
    """A database restored from an hour ago had the whole hour's messages sent once more."""
    ws = workspace(tmp_path, store_url=store_url)
    plan(ws, 3)
    send(ws)
    with ws.store.write() as connection:  # as in a copy from before
        connection.run("update outbox set state = 'ready', request_id = null")
        connection.run("delete from provider_request")
    shutil.rmtree(ws.home.mail)
    for _ in range(2):
        with pytest.raises(BadInput, match="has left from this home, and the store knows of 0 at"):
            send(ws)
    assert states(ws) == {"ready": 3}
    assert not ws.home.mail.exists()
    ws.home.last_request.unlink()  # as it says: somebody saw to it that none may leave twice
    assert send(ws).accepted == 3


def test_the_last_request_that_left_is_known_whoever_writes_it_down_at_once(tmp_path: Path) -> None:
    home = workspace(tmp_path, store_url=f"sqlite:///{tmp_path}/store.sqlite").home
    with ThreadPoolExecutor(8) as senders:
        list(senders.map(lambda request: departures.note(home, request), range(400, 0, -1)))
    assert home.last_request.read_text() == "400"
    for request in (7, 1000, 999):
        departures.note(home, request)
    assert home.last_request.read_text() == "1000"


@BOTH_STORES
def test_what_a_full_disk_or_a_bad_place_stopped_is_sent_as_soon_as_it_is_asked_for_again(
    store_url: str, tmp_path: Path
) -> None:
    """Not ten minutes later, when its lease ends and nobody may be asking."""
    ws = workspace(tmp_path, store_url=store_url)
    keys = plan(ws, 600)
    folder = ws.home.mail / "2026-03-31"
    in_the_way = folder / f".{keys[300]}.part"
    in_the_way.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        send(ws)
    assert "calling" in states(ws)
    in_the_way.rmdir()
    send(ws)
    assert states(ws) == {"accepted": 600}
    assert {path.name for path in folder.iterdir()} == {f"{key}.eml" for key in keys}
    assert list((ws.home.root / "senders").iterdir()) == []


def test_a_mail_speaks_the_customers_language_and_carries_the_ledgers_balance(
    ws: Workspace,
) -> None:
    publish(ws, customers=[customer(1, given_name="Мария", favourite_category="Кофе")])
    enqueue(ws, outbox_row("c1", language="ru-RU"))
    account = {"programme": "club", "owner_type": "member", "owner_id": "c1", "bucket": "available"}
    put(ws, "account", **account, balance=3)
    put(ws, "account", **{**account, "bucket": "pending"}, balance=900)
    send(ws)
    (mail,) = mails(ws).values()
    assert mail["Subject"] == "Мария, будем рады видеть вас снова"
    assert mail["Content-Language"] == "ru-RU"
    text = mail.get_body(("plain",)).get_content()
    assert "Вас ждут 3 балла." in text
    assert "Кофе" in text
    token = mail["List-Unsubscribe"].strip("<>").rpartition("/")[2]
    assert verify(secret_of(ws), "u", token) == outbox_row("c1")["send_key"]
    assert addresses_in([mail["List-Unsubscribe"], mail["Message-ID"].partition("@")[0]]) == []


def test_a_customer_of_whom_little_is_known_is_greeted_all_the_same(ws: Workspace) -> None:
    publish(ws, customers=[customer(1, given_name=None)])
    enqueue(ws, outbox_row("c1", template="welcome/hello"))
    assert send(ws).accepted == 1
    (mail,) = mails(ws).values()
    assert mail.get_body(("plain",)).get_content().startswith("Hello,")


def test_what_changed_since_the_decision_stops_a_message_at_the_last_moment(
    ws: Workspace,
) -> None:
    people = [customer(n) for n in (*range(9), 10, 11)] + [
        customer(20, email=None),
        customer(21, email="not an address"),
        customer(22, email="a@b.example\r\nBcc: x@y.example"),
    ]
    word = {"channel": "email", "purpose": "marketing", "recorded_at": "2026-03-01 00:00:00"}
    publish(
        ws,
        customers=people,
        consents=[
            {"customer_id": "c3", "granted": True, **word},
            {"customer_id": "c4", "granted": False, **word},
            {"customer_id": "c8", "granted": False, **word},
            {"customer_id": "c10", "granted": True, **word},
            {"customer_id": "c11", "granted": False, **word},
        ],
    )
    numbers = [*range(9), 10, 11, 20, 21, 22, 99]
    service = {"purpose": "service"}
    enqueue(ws, *(outbox_row(f"c{n}", **(service if n in (5, 6, 7) else {})) for n in numbers))
    for number, scope in ((1, "all"), (2, "marketing"), (5, "marketing"), (6, "all")):
        hashed = address_hash(f" PERSON{number}@mail.example")
        barred = {"channel": "email", "scope": scope, "cause": "bounce", "since": "2026-01-01"}
        put(ws, "suppression", address_hash=hashed, **barred)
    told = {"channel": "email", "purpose": "marketing", "origin": "link", "wording_version": "1"}
    later, earlier = "2026-03-30T10:00:00+00:00", "2026-02-01T10:00:00+00:00"
    put(ws, "consent", customer_id="c3", granted=0, recorded_at=later, **told)
    put(ws, "consent", customer_id="c7", granted=0, recorded_at=later, **told)
    put(ws, "consent", customer_id="c4", granted=1, recorded_at=earlier, **told)
    put(ws, "consent", customer_id="c8", granted=1, recorded_at=later, **told)
    for who, granted in (("c10", 0), ("c11", 1)):  # in the second of the other word
        same = "2026-03-01T00:00:00+00:00"
        put(ws, "consent", customer_id=who, granted=granted, recorded_at=same, **told)
    # What c0, or who was found to be c0, said of text messages says nothing of mail.
    for who in ("c0", "was"):
        by_text = {**told, "channel": "sms"}
        put(ws, "consent", customer_id=who, granted=0, recorded_at=later, **by_text)
    hashed, its = address_hash("person0@mail.example"), {"scope": "all", "cause": "bounce"}
    put(ws, "suppression", address_hash=hashed, channel="sms", since="2026-01-01", **its)
    merged = {"customer_id": "was", "into_customer_id": "c0"}
    put(ws, "person_merge", **merged, is_in_force=1, recorded_at=earlier)
    report = send(ws)
    assert reasons(ws) == {
        "c1": "suppressed",
        "c2": "suppressed",
        "c3": "no_consent",
        "c4": "no_consent",
        "c6": "suppressed",
        "c10": "no_consent",
        "c11": "no_consent",
        "c20": "no_address",
        "c21": "no_address",
        "c22": "no_address",
        "c99": "no_address",
    }
    assert (report.cancelled, report.accepted) == (11, 4)
    expected = {f"person{n}@mail.example" for n in (0, 5, 7, 8)}
    assert set(mails(ws)) == expected


def test_a_message_that_cannot_be_written_is_rejected_and_no_other(
    ws: Workspace, tmp_path: Path
) -> None:
    """T14: a field without a value, and the message was gone without a word."""
    project = tmp_path / "project"
    shutil.copytree(CHECKOUT / "templates", project / "templates")
    (project / "templates/winback/reminder/subject.txt").write_text("{{ given_name }}")
    ws = workspace(tmp_path / "home", project=project)
    publish(ws, customers=[customer(1), customer(2, given_name=None), customer(3)])
    enqueue(ws, *(outbox_row(f"c{n}") for n in (1, 2, 3)))
    report = send(ws)
    assert (report.accepted, report.rejected) == (2, 1)
    assert "subject.txt:1: 'given_name' is empty for this customer" in reasons(ws)["c2"]


def test_a_mail_whose_subject_comes_out_empty_is_rejected_and_no_other(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(CHECKOUT / "templates", project / "templates")
    (project / "templates/winback/reminder/subject.txt").write_text("{{ given_name or '' }}")
    ws = workspace(tmp_path / "home", project=project)
    publish(ws, customers=[customer(1), customer(2, given_name=None)])
    enqueue(ws, *(outbox_row(f"c{n}") for n in (1, 2)))
    report = send(ws)
    assert (report.accepted, report.rejected) == (1, 1)
    assert "winback/reminder/subject.txt is empty for this customer" in reasons(ws)["c2"]


@BOTH_STORES
def test_a_template_that_does_not_compile_holds_its_own_messages_until_it_is_mended(
    store_url: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(CHECKOUT / "templates", project / "templates")
    ws = workspace(tmp_path / "home", project=project, store_url=store_url)
    publish(ws, customers=[customer(1), customer(2), customer(3)])
    greeting = {"campaign": "birthday", "template": "birthday/greeting"}
    enqueue(
        ws,
        outbox_row("c1"),
        outbox_row("c2", **greeting, language="fa"),
        outbox_row("c3", **greeting),
    )
    broken = project / "templates/birthday/greeting/body.html"
    whole = broken.read_text()
    broken.write_text(whole.replace("{% endblock %}", "", 1))
    report = send(ws)
    assert (report.accepted, report.rejected, report.waiting) == (1, 0, 2)
    said = r"1 messages of birthday/greeting \(fa\) wait until it is mended: templates/birthday/greeting/body\.html:\d+ does not compile: .*[^.]\."
    assert any(re.fullmatch(said, one) for one in report.held)
    assert len(report.held) == 2
    assert {row["reason"][:9] for row in unsent(ws)} == {"templates"}
    broken.unlink()
    assert send(ws).claimed == 0
    broken.write_text(whole)
    report = send(ws)
    assert (report.accepted, report.held) == (2, ())
    assert send(ws).claimed == 0
    assert states(ws) == {"accepted": 3}
    assert reasons(ws) == {}


def test_what_nobody_can_be_written_to_with_waits_and_only_in_its_language(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(CHECKOUT / "templates", project / "templates")
    ws = workspace(tmp_path / "home", project=project)
    publish(ws, customers=[customer(1), customer(2), customer(3)])
    slip = {"campaign": "birthday", "template": "birthday/greeting"}
    enqueue(ws, outbox_row("c1"), outbox_row("c2", language="fa"), outbox_row("c3", **slip))
    (project / "templates/birthday/greeting/subject.txt").write_text("{{ pionts_balance }}")
    (project / "templates/locale/fa.po").write_text('msgid "a"\nmsgstrr ""')
    report = send(ws)
    assert (report.accepted, report.rejected, report.waiting) == (1, 0, 2)
    assert [one.split(": ", 1)[1][:27] for one in report.held] == [
        "templates/birthday/greeting", "templates/locale/fa.po:2 is",
    ]  # fmt: skip


def test_nothing_due_needs_no_marts_and_no_secret(ws: Workspace) -> None:
    assert send(ws).claimed == 0
    assert not (ws.home.root / "link_secret").exists()


@pytest.mark.parametrize(
    "setting",
    [{"sender_email": "club"}, {"sender_email": "a@b.example\nBcc: c@d.example"},
     {"public_url": "shop.example"}, {"public_url": "https://shop.example/> x"}],
)  # fmt: skip
def test_a_setting_that_would_break_a_header_is_one_sentence(
    tmp_path: Path, setting: dict[str, str]
) -> None:
    with pytest.raises(BadInput, match="TESSERA_"):
        send(workspace(tmp_path, **setting))


def test_yesterdays_leftovers_are_sent_while_they_are_still_good(ws: Workspace) -> None:
    publish(ws, customers=[customer(1), customer(2)])
    day = {"send_at": "2026-03-30T09:00:00+00:00", "business_date": "2026-03-30"}
    enqueue(ws, outbox_row("c1", **day, not_after="2026-03-30T12:00:00+00:00"))
    enqueue(ws, outbox_row("c2", **day, not_after="2026-03-31T12:00:00+00:00"))
    report = send(ws)
    assert (report.accepted, report.cancelled, reasons(ws)) == (1, 1, {"c1": "too_late"})


def test_a_message_counts_from_when_it_left_not_from_when_its_run_began(tmp_path: Path) -> None:
    """A throttled run lasts hours; caps and gaps are counted at the instants of sending."""
    began = clock.now() - timedelta(hours=3)
    ws = workspace(tmp_path, began.isoformat())
    publish(ws, customers=[customer(1)])
    good = {"business_date": f"{ws.business_date}", "not_after": "2199-01-01T00:00:00+00:00"}
    enqueue(ws, outbox_row("c1", send_at=stamp(began), **good))
    assert send(ws).accepted == 1
    with ws.store.read() as store:
        left = datetime.fromisoformat(store.scalar("select state_at from outbox"))
    assert clock.now() - left < timedelta(minutes=5)


# SendGrid


@pytest.fixture
def api() -> Iterator[Api]:
    with provider() as found:
        yield found


def by_sendgrid(ws: Workspace, api: Api, **options: Any) -> Any:
    messenger = SendGridMessenger("key", api.url, **options)
    return send(ws, messenger=messenger, sleep=NO_NAP)


@BOTH_STORES
def test_every_request_keeps_to_the_limits_and_carries_its_send_key(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    ws = workspace(tmp_path, store_url=store_url)
    keys = plan(ws, 30, campaigns=3)
    assert by_sendgrid(ws, api, asm_group=7).accepted == 30
    assert sorted(api.journal) == sorted(keys)
    for body in api.bodies:
        assert body["asm"] == {"group_id": 7}
        assert len(body["personalizations"]) == 10
        for person in body["personalizations"]:
            secret = [person["custom_args"], person["headers"], body["categories"]]
            assert addresses_in(secret) == []
    assert by_sendgrid(ws, api).claimed == 0
    with ws.store.read() as connection:
        rows = connection.all("select state, status_code, messages from provider_request")
        hashes = connection.all("select send_key, content_hash from outbox")
    assert [tuple(row.values()) for row in rows] == [("accepted", 202, 10)] * 3
    assert {row["send_key"]: row["content_hash"] for row in hashes} == api.provider.journal.hashes()


@pytest.mark.parametrize(
    ("answer", "fate", "sent"),
    [
        ("400", "rejected", 0),
        ("413", "rejected", 0),
        ("500", "ambiguous", 0),
        ("503", "ambiguous", 0),
        ("cut-before", "ambiguous", 0),
        ("cut-after", "ambiguous", 1),
        ("hang", "ambiguous", 0),
        ("429", "accepted", 1),
    ],
)
def test_each_answer_leaves_each_message_where_it_belongs(
    ws: Workspace, api: Api, answer: str, fate: str, sent: int
) -> None:
    keys = plan(ws, 3)
    api.will("202", answer)
    report = by_sendgrid(ws, api, timeout_seconds=0.3, capacity=1)
    assert states(ws) == ({"accepted": 3} if fate == "accepted" else {"accepted": 2, fate: 1})
    assert getattr(report, fate) == (3 if fate == "accepted" else 1)
    assert len(api.journal) == len(set(api.journal)) == 2 + sent
    by_sendgrid(ws, api, capacity=1)
    assert len(api.journal) == len(set(api.journal)) == 2 + sent
    assert set(api.journal) <= set(keys)


def test_a_provider_that_stays_in_trouble_is_left_alone_and_the_rest_waits(
    ws: Workspace, api: Api
) -> None:
    plan(ws, 20)
    api.will(*["500"] * 4, "202", *["500"] * 50)  # what went well ends the row
    with pytest.raises(Unusable, match=r"500, 5 times in a row; the messages .* wait"):
        by_sendgrid(ws, api, capacity=1)
    assert states(ws) == {"ambiguous": 9, "accepted": 1, "ready": 10}
    api.will()
    assert by_sendgrid(ws, api).accepted == 10


def test_a_run_holds_a_lease_in_memory_however_many_messages_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T18: memory grew with every batch, to 9 GB. Of a million messages the bench measures it."""
    monkeypatch.setattr(sender, "CLAIM", 20)
    monkeypatch.setattr(sender, "CLAIM_REQUESTS", 1)
    monkeypatch.setattr(sender, "SELDOM", 2000)
    peaks = []
    for number in (1, 40, 240):  # the first brings what is loaded once
        ws = workspace(tmp_path / str(number))
        plan(ws, number)
        tracemalloc.start()
        try:
            messenger = FileMessenger(ws.home.mail, capacity=20)
            assert send(ws, messenger=messenger).accepted == number
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[2] < 1.5 * peaks[1]


def test_a_busy_provider_is_given_time_and_loses_nobody(ws: Workspace, api: Api) -> None:
    """T4: "not now" ended a campaign at 578 of 1,450, and it was called done."""
    plan(ws, 4)
    naps: list[float] = []
    api.will("429", "429", "202", "429", "202")
    messenger = SendGridMessenger("key", api.url, capacity=1)
    assert send(ws, messenger=messenger, sleep=naps.append).accepted == 4
    assert len(naps) == 3
    assert len(set(api.journal)) == len(api.journal) == 4


def test_a_wrong_key_loses_nobody(ws: Workspace, api: Api) -> None:
    plan(ws, 4)
    api.will("401")
    with pytest.raises(Unusable, match="TESSERA_SENDGRID_API_KEY"):
        by_sendgrid(ws, api)
    assert states(ws) == {"ready": 4}


def test_a_provider_that_cannot_be_reached_loses_nobody(ws: Workspace) -> None:
    plan(ws, 4)
    with pytest.raises(Unusable, match="cannot be reached"):
        send(ws, messenger=SendGridMessenger("key", "http://127.0.0.1:1"))
    assert states(ws) == {"ready": 4}


# SMTP


class Postbox:
    """An SMTP server's rules and what it took."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.recipients: dict[str, str] = {}
        self.at_data: list[str] = []

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, to: str, _options: Any
    ) -> str:
        answer = self.recipients.get(to, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(to)
        return answer

    async def handle_DATA(  # noqa: N802 -- aiosmtpd's name
        self, server: Any, _session: Any, envelope: Any
    ) -> str:
        answer = self.at_data.pop(0) if self.at_data else "250 OK"
        if answer.startswith(("250", "cut")):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.taken.append(message)
        if answer == "cut":
            server.transport.abort()
        return answer


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, str]]:
    box = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"smtp://127.0.0.1:{port}"
    controller.stop()


def test_mail_reaches_a_real_smtp_server_in_every_script(
    ws: Workspace, postbox: tuple[Postbox, str]
) -> None:
    box, url = postbox
    names = {"en": "Anna", "el": "Γιώργος", "fa": "مریم", "ru": "Анна"}
    publish(ws, customers=[customer(n, given_name=g) for n, g in enumerate(names.values())])
    enqueue(ws, *(outbox_row(f"c{n}", language=code) for n, code in enumerate(names)))
    assert send(ws, messenger=SmtpMessenger(url)).accepted == 4
    found = {mail["To"]: mail for mail in box.taken}
    for number, name in enumerate(names.values()):
        mail = found[f"person{number}@mail.example"]
        assert name in mail["Subject"]
        assert name in mail.get_body(("html",)).get_content()
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_mail_that_is_handed_over_before_its_hour_is_not_of_the_future(
    postbox: tuple[Postbox, str],
) -> None:
    """A named day's mail goes at once; what is dated ahead looks like spam."""
    box, url = postbox
    now = clock.now()
    for ahead in (timedelta(days=1), timedelta(days=-1)):
        SmtpMessenger(url).deliver([letter(send_at=now + ahead)])
    first, second = (mail["Date"].datetime - now for mail in box.taken)
    assert abs(first) < timedelta(minutes=1)
    assert timedelta(0) <= second + timedelta(days=1, seconds=1) < timedelta(seconds=2)


def test_refusals_concern_one_recipient_each(ws: Workspace, postbox: tuple[Postbox, str]) -> None:
    box, url = postbox
    plan(ws, 5)
    box.recipients = {
        "person1@mail.example": "550 5.1.1 person1@mail.example unknown",
        "person2@mail.example": "450 4.2.2 mailbox full",
    }
    box.at_data = ["250 OK", "552 5.3.4 too big", "cut"]
    report = send(ws, messenger=SmtpMessenger(url), sleep=NO_NAP)
    assert states(ws) == {"accepted": 1, "rejected": 2, "ready": 1, "ambiguous": 1}
    assert report.waiting == 1
    found = reasons(ws)
    assert found["c1"] == "the mail server said 550 5.1.1"
    assert found["c2"] == "the mail server said 450 4.2.2"
    assert not any("@" in reason for reason in found.values())
    sent = sorted(mail["To"] for mail in box.taken)
    assert len(sent) == len(set(sent)) == 2
    send(ws, messenger=SmtpMessenger(url), sleep=NO_NAP)
    assert sorted(mail["To"] for mail in box.taken) == sent


@pytest.mark.parametrize(
    "answer", ["554 5.7.1 Relay access denied", "503 no", "550 5.7.54 Unable to relay"]
)
def test_a_server_that_relays_nothing_for_us_rejects_nobody(
    ws: Workspace, postbox: tuple[Postbox, str], answer: str
) -> None:
    box, url = postbox
    plan(ws, 12)
    box.recipients = {f"person{n}@mail.example": answer for n in range(12)}
    with pytest.raises(Unusable, match="does not relay for us"):
        send(ws, messenger=SmtpMessenger(url), sleep=NO_NAP)
    assert states(ws) == {"ready": 12}
    with ws.store.read() as connection:  # who is asked for so often is rejected some day
        assert connection.scalar("select sum(attempts) from outbox") == 0
    box.recipients = {}
    assert send(ws, messenger=SmtpMessenger(url), sleep=NO_NAP).accepted == 12
    assert reasons(ws) == {}


def test_a_rule_against_a_few_recipients_stops_nobody_else(
    ws: Workspace, postbox: tuple[Postbox, str]
) -> None:
    box, url = postbox
    plan(ws, 9)
    box.recipients = {f"person{n}@mail.example": "554 5.7.1 go away" for n in (0, 1, 5, 6, 7, 8)}
    assert send(ws, messenger=SmtpMessenger(url), sleep=NO_NAP).accepted == 3
    assert states(ws) == {"accepted": 3, "rejected": 6}


def test_who_alone_is_refused_by_a_rule_is_asked_for_later(
    ws: Workspace, postbox: tuple[Postbox, str]
) -> None:
    box, url = postbox
    plan(ws, 2)
    box.recipients = {f"person{n}@mail.example": "554 5.7.1 go away" for n in range(2)}
    assert send(ws, messenger=SmtpMessenger(url), sleep=NO_NAP).waiting == 2
    assert reasons(ws) == dict.fromkeys(("c0", "c1"), "the mail server said 554 5.7.1")
    assert send(ws, messenger=SmtpMessenger(url), sleep=NO_NAP).claimed == 0


def test_a_server_that_is_closing_is_come_back_to(
    ws: Workspace, postbox: tuple[Postbox, str]
) -> None:
    box, url = postbox
    plan(ws, 3)
    box.at_data = ["250 OK", "421 closing", "250 OK"]
    assert send(ws, messenger=SmtpMessenger(url), sleep=NO_NAP).accepted == 3
    assert len({mail["To"] for mail in box.taken}) == len(box.taken) == 3


def test_a_password_is_not_sent_in_the_clear(ws: Workspace, postbox: tuple[Postbox, str]) -> None:
    _, url = postbox
    plan(ws, 1)
    with pytest.raises(Unusable, match="offers no TLS"):
        send(ws, messenger=SmtpMessenger(url.replace("//", "//user:secret@")))
    assert states(ws) == {"ready": 1}


def test_the_command_prints_its_counts_as_one_object(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    from tessera.cli.send import send as command

    plan(ws, 2)
    command(home=ws.home.root, as_of="2026-03-31", as_json=True)
    assert json.loads(capsys.readouterr().out)["accepted"] == 2
    command(home=ws.home.root, as_of="2026-03-31", as_json=False)
    assert "accepted" in capsys.readouterr().out
