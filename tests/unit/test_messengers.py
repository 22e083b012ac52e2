"""Messengers: a mail's bytes, a provider's limits, and what each answer means."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera import clock
from tessera.addresses import address_hash, mailbox
from tessera.errors import BadInput
from tessera.send.messengers import open_messenger
from tessera.send.messengers.base import Busy, Fate, Unusable
from tessera.send.messengers.file import FileMessenger
from tessera.send.messengers.mime import as_mail
from tessera.send.messengers.sendgrid import SendGridMessenger, body, judge
from tessera.send.messengers.sms import SmsMessenger
from tessera.send.messengers.smtp import SmtpMessenger, parse
from tessera.send.sender import check_settings
from tessera.testing import workspace
from tests.sending import addresses_in, as_described, letter, provider

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300)
BODIES = st.lists(TEXTS, max_size=8).map("\n".join)
DUE = datetime(2026, 3, 31, 9, tzinfo=UTC)


def read(raw: bytes) -> email.message.EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    return message


@settings(max_examples=150, deadline=None)
@given(subject=TEXTS, text=BODIES, html=BODIES)
def test_any_content_comes_out_of_a_mail_as_it_went_in(subject: str, text: str, html: str) -> None:
    subject = " ".join(subject.split())
    raw = as_mail(letter(subject=subject, text=text, html=html), DUE)
    assert max(len(line) for line in raw.split(b"\r\n")) < 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    found = read(raw)
    assert found["Subject"] == subject
    plain, rich = found.iter_parts()
    assert plain.get_content_type() == "text/plain"
    assert plain.get_payload(decode=True).decode() == text.replace("\n", "\r\n")
    assert rich.get_content_type() == "text/html"
    assert rich.get_payload(decode=True).decode() == html.replace("\n", "\r\n")


def test_a_mail_can_be_unsubscribed_from_with_one_click() -> None:
    found = read(as_mail(letter(), DUE))
    assert found["List-Unsubscribe"] == "<https://shop.example/u/token>"
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert found["Message-ID"] == "<0123456789abcdef0123456789abcdef@shop.example>"


def test_a_mail_is_dated_when_it_is_due_where_the_customer_lives() -> None:
    assert read(as_mail(letter(), DUE))["Date"] == "Tue, 31 Mar 2026 12:00:00 +0300"
    nowhere = letter(timezone="Mars/Olympus")
    assert read(as_mail(nowhere, DUE))["Date"] == "Tue, 31 Mar 2026 09:00:00 +0000"


def test_a_sender_name_in_any_script_is_a_good_header() -> None:
    found = read(as_mail(letter(sender_name='Λέσχη "Α", ΕΠΕ'), DUE))
    (sender,) = found["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ('Λέσχη "Α", ΕΠΕ', "club@shop.example")


def test_the_same_message_is_the_same_file_twice(tmp_path: Path) -> None:
    messenger = FileMessenger(tmp_path)
    path = tmp_path / "2026-03-31" / "0123456789abcdef0123456789abcdef.eml"
    messenger.deliver([letter()])
    first = path.read_bytes()
    messenger.deliver([letter()])
    assert path.read_bytes() == first
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (" Anna@Mail.example ", "Anna@mail.example"),
        ("o'hara+x@mail.example", "o'hara+x@mail.example"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("", None),
        ("anna", None),
        ("anna@mail", None),
        ("a b@mail.example", None),
        ("anna@mail.example\nBcc: all@mail.example", None),
        ("Anna <anna@mail.example>", None),
        ("a@b@mail.example", None),
        ("άννα@mail.example", None),
        ("anna@-.example..", None),
        ("anna@x\uff0cbo\uff20mail.example", None),  # in ASCII: anna@x,bo@mail.example
        ("anna@x\ufe65.example", None),  # anna@x>.example
        (f"{'a' * 65}@mail.example", None),
        ("anna\x1b@mail.example", None),
        ("anna@ma\x07il.example", None),
        ("anna@mail.\x7fexample", None),
        ("anna@straße.example", "anna@xn--strae-oqa.example"),  # strasse.example is somebody else's
        ("anna@☃.example", "anna@xn--n3h.example"),
        ("anna@ma\u200bil.example", "anna@mail.example"),  # as it is copied from a page
    ],
)
def test_only_an_address_is_taken_for_one(address: str, expected: str | None) -> None:
    found = mailbox(address)
    assert (found and found.lower()) == (expected and expected.lower())


def test_an_address_is_known_again_by_its_hash_however_it_is_typed() -> None:
    assert address_hash(" Anna@Mail.Example\n") == address_hash("anna@mail.example")
    assert len(address_hash("a@b.example")) == 64


def test_a_request_keeps_to_the_documented_limits_and_names_nobody() -> None:
    made = body([letter(subject="Тема", campaign="c" * 300)])
    as_described(made)
    (person,) = made["personalizations"]
    assert person["custom_args"] == {"send_key": letter().send_key}
    assert person["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert [part["type"] for part in made["content"]] == ["text/plain", "text/html"]
    assert addresses_in([person["custom_args"], made["categories"], person["headers"]]) == []


def test_a_request_is_scheduled_only_as_far_as_the_provider_does() -> None:
    def send_at(hours: float) -> int | None:
        due = clock.now() + timedelta(hours=hours)
        made = body([letter(send_at=due)])
        as_described(made)
        return made["personalizations"][0].get("send_at")

    assert send_at(-5) is None
    assert send_at(0) is None
    assert send_at(5) == pytest.approx(clock.now().timestamp() + 5 * 3600, abs=5)
    with pytest.raises(Unusable, match="72 hours"):
        send_at(73)


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (202, Fate.ACCEPTED),
        (200, Fate.ACCEPTED),
        (400, Fate.REJECTED),
        (413, Fate.REJECTED),
        (422, Fate.REJECTED),
        (500, Fate.AMBIGUOUS),
        (502, Fate.AMBIGUOUS),
        (503, Fate.AMBIGUOUS),
        (204, Fate.AMBIGUOUS),  # a yes of somebody in between
    ],
)
def test_what_a_status_means_for_the_message(status: int, fate: Fate) -> None:
    answer = judge([letter()], httpx.Response(status), "https://mail.example")
    assert [outcome.fate for outcome in answer.outcomes] == [fate]
    assert answer.status_code == status


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_wrong_key_or_host_stops_the_run_and_says_so(status: int) -> None:
    with pytest.raises(Unusable, match=f"answered {status}.*messages wait"):
        judge([letter()], httpx.Response(status), "https://mail.example")


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("from.email", "TESSERA_SENDER_EMAIL"),
        ("asm.group_id", "TESSERA_SENDGRID_ASM_GROUP"),
        ("mail_settings.sandbox_mode", "TESSERA_SENDGRID_SANDBOX"),
    ],
)
def test_a_wrong_setting_rejects_nobody(field: str, setting: str) -> None:
    told = {"errors": [{"message": "is invalid", "field": field}]}
    with pytest.raises(Unusable, match=f"about {field}: check {setting}.*messages wait"):
        judge([letter(), letter()], httpx.Response(400, json=told), "https://mail.example")


@pytest.mark.parametrize("status", [301, 308, 401, 402, 403, 404, 405])
def test_a_gateway_that_is_none_or_wants_credit_rejects_nobody(status: int) -> None:
    with provider() as api:
        api.will(str(status))
        with pytest.raises(Unusable, match=f"answered {status}"):
            SmsMessenger(f"{api.url}/v1/sms", "key").deliver([letter(to="+37120000000")])


def test_too_many_requests_say_how_long_to_wait() -> None:
    reset = str(int(clock.now().timestamp()) + 30)
    response = httpx.Response(429, headers={"X-RateLimit-Reset": reset})
    with pytest.raises(Busy) as busy:
        judge([letter()], response, "https://mail.example")
    assert busy.value.seconds == pytest.approx(30, abs=2)
    with pytest.raises(Busy) as busy:
        judge([letter()], httpx.Response(429), "https://mail.example")
    assert busy.value.seconds is None


def test_a_refusal_is_kept_without_the_providers_words() -> None:
    told = {"errors": [{"message": "person@mail.example is bad", "field": "personalizations.0.to"}]}
    answer = judge([letter()], httpx.Response(400, json=told), "https://mail.example")
    assert answer.error == "SendGrid answered 400 about personalizations.0.to"
    for odd in ([], {"errors": [None]}, {"errors": 3}):
        response = httpx.Response(400, json=odd)
        assert judge([letter()], response, "h").error == "SendGrid answered 400"


def test_a_compressed_request_says_the_same() -> None:
    with provider() as api:
        for compress in (False, True):
            messenger = SendGridMessenger("key", api.url, compress=compress)
            assert messenger.deliver([letter()]).provider_id
            messenger.close()
        assert api.bodies[0] == api.bodies[1]
        sizes = api.provider.journal.query("select wire_bytes, json_bytes from request")
    assert sizes[0][0] == sizes[0][1] == sizes[1][1]
    assert sizes[1][0] < sizes[1][1]


def test_a_key_is_never_printed() -> None:
    assert "secret" not in repr(SendGridMessenger("secret"))
    assert "secret" not in repr(SmtpMessenger("smtp://user:secret@mail.example"))


def test_a_provider_that_is_not_there_has_sent_nothing() -> None:
    with pytest.raises(Unusable, match="cannot be reached"):
        SendGridMessenger("key", "http://127.0.0.1:1").deliver([letter()])
    with pytest.raises(Unusable, match="cannot be reached"):
        SmtpMessenger("smtp://127.0.0.1:1").deliver([letter()])


def test_a_proxy_that_refuses_to_connect_has_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(listener: socket.socket) -> None:
        for _ in range(2):
            caller, _ = listener.accept()
            with caller:
                caller.recv(4096)
                caller.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=[listener])
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(Unusable, match="cannot be reached"):
            SendGridMessenger("key", "https://mail.example").deliver([letter()])
        with pytest.raises(Unusable, match="cannot be reached"):
            SmsMessenger("https://sms.example", "key").deliver([letter()])
        thread.join()


@contextmanager
def mail_server(**answers: str) -> Iterator[str]:
    """The URL of one that answers each command with these words, or cuts the line at an empty one."""

    def serve(listener: socket.socket) -> None:
        caller, _ = listener.accept()
        with caller, caller.makefile("rwb", buffering=0) as lines:
            lines.write(b"220 ready\r\n")
            in_mail = False
            for line in lines:
                if in_mail and line != b".\r\n":
                    continue
                command = "end" if in_mail else line[:4].decode()
                said = answers.get(command, "250 ok")
                if not said:
                    return
                in_mail = command == "data" and said.startswith("354")
                lines.write(f"{said}\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@contextmanager
def strict_server(tls: ssl.SSLContext | None = None, **others: Any) -> Iterator[str]:
    """The address of a mail server that hears nobody who did not greet it, again under TLS."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(Sink(), hostname="127.0.0.1", port=port, tls_context=tls, **others)
    controller.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        controller.stop()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's, whose certificate we trust."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now, here = datetime.now(UTC), x509.IPAddress(ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([here]), critical=True)
        .sign(key, hashes.SHA256())
    )
    both = tmp_path / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(both))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


def test_a_mail_server_is_greeted_before_it_is_asked_for_anything(tls: ssl.SSLContext) -> None:
    """A relay of one's own network wants TLS, and no user."""
    with strict_server(tls, require_starttls=True) as there:
        assert (
            SmtpMessenger(f"smtp://{there}").deliver([letter()]).outcomes[0].fate is Fate.ACCEPTED
        )
    with strict_server(ssl_context=tls) as there:
        answer = SmtpMessenger(f"smtps://{there}").deliver([letter()])
    assert answer.outcomes[0].fate is Fate.ACCEPTED


def test_a_mail_server_that_greets_nobody_is_not_said_to_refuse_the_sender() -> None:
    with (
        mail_server(ehlo="421 closing", helo="421 closing", mail="503 greet me") as url,
        pytest.raises(Unusable, match="answers 421"),
    ):
        SmtpMessenger(url.replace("//", "//user:secret@")).deliver([letter()])


def test_a_password_that_the_login_cannot_carry_is_not_said_to_be_a_server_away(
    tls: ssl.SSLContext,
) -> None:
    with (
        strict_server(tls) as there,
        pytest.raises(Unusable, match="user or password in TESSERA_SMTP_URL is not ASCII"),
    ):
        SmtpMessenger(f"smtp://user:p%C3%A9@{there}").deliver([letter()])


def test_a_mail_server_that_wants_a_password_rejects_nobody() -> None:
    with (
        mail_server(rcpt="530 5.7.0 Authentication required") as url,
        pytest.raises(Unusable, match="wants a user and password"),
    ):
        SmtpMessenger(url).deliver([letter()])


@pytest.mark.parametrize("command", ["rcpt", "data"])
@pytest.mark.parametrize("answer", ["", "hello?", "299 whatever", "334 go on", "250 queued"])
def test_before_a_mail_has_left_no_odd_answer_is_taken_for_a_yes(command: str, answer: str) -> None:
    if (command, answer) == ("rcpt", "250 queued"):
        return
    with mail_server(**{"data": "354 go on", command: answer}) as url, pytest.raises(Busy):
        SmtpMessenger(url).deliver([letter()])


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        ("250 queued", Fate.ACCEPTED),
        ("", Fate.AMBIGUOUS),
        ("hello?", Fate.AMBIGUOUS),
        ("354 go on", Fate.AMBIGUOUS),
        ("451 later", Fate.LATER),
        ("554 never", Fate.REJECTED),
    ],
)
def test_after_a_mail_has_left_an_odd_answer_is_doubt(answer: str, fate: Fate) -> None:
    with mail_server(data="354 go on", end=answer) as url:
        messenger = SmtpMessenger(url)
        (outcome,) = messenger.deliver([letter(text=".\n..\nHello\n")]).outcomes
        messenger.close()
    assert outcome.fate is fate


def test_a_sender_name_of_two_lines_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TESSERA_SENDER_NAME"):
        check_settings(workspace(tmp_path, sender_name="The\nShop"))


def test_an_odd_time_to_wait_is_none() -> None:
    answer = httpx.Response(429, headers=[(b"X-RateLimit-Reset", "\u00b2".encode("latin1"))])
    with pytest.raises(Busy):
        judge([letter()], answer, "host")


def test_a_mail_server_whose_name_cannot_be_looked_up_is_one_sentence() -> None:
    with pytest.raises(Unusable, match="cannot be reached"):
        SmtpMessenger("smtp://.example").deliver([letter()])


@pytest.mark.parametrize("key", ["SG.key\n", "SG.k\u00e9y", "SG. key"])
def test_a_key_that_no_header_can_carry_is_one_sentence_before_anything_is_sent(
    tmp_path: Path, key: str
) -> None:
    ws = workspace(
        tmp_path, messenger="sendgrid", sendgrid_api_key=key, sms_url="http://h", sms_api_key=key
    )
    with pytest.raises(BadInput, match="TESSERA_SENDGRID_API_KEY"):
        open_messenger(ws)
    with pytest.raises(BadInput, match="TESSERA_SMS_API_KEY"):
        open_messenger(ws, "sms")


@pytest.mark.parametrize(
    "url", ["mail.example:25", "http://mail.example", "smtp://", "smtp://h:x", "smtp://[::1"]
)
def test_an_smtp_url_that_is_none_is_one_sentence(url: str) -> None:
    with pytest.raises(BadInput, match="TESSERA_SMTP_URL"):
        parse(url)


@pytest.mark.parametrize("messenger", ["smtp", "sendgrid"])
def test_a_messenger_without_its_setting_is_one_sentence(tmp_path: Path, messenger: str) -> None:
    with pytest.raises(BadInput, match="is not set"):
        open_messenger(workspace(tmp_path, messenger=messenger))


def test_json_bodies_survive_any_content() -> None:
    made = body([letter(text='\u2028 \U0001f382 \\ " </script>', html="<p>&amp;</p>")])
    assert json.loads(gzip.decompress(gzip.compress(json.dumps(made).encode()))) == made
