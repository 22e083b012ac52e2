"""Hands mail to an SMTP server over one connection that is kept open."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from tessera import clock
from tessera.errors import BadInput
from tessera.send.messengers.base import Answer, Busy, Fate, Message, Unusable, alike
from tessera.send.messengers.mime import as_mail

TIMEOUT_SECONDS = 30
YES, NO, NEVER = range(200, 300), range(400, 600), 500  # RFC 5321
CLOSING, NO_LOGIN, GO_ON = 421, 530, 354
LEADING_DOT, END = re.compile(rb"(?m)^\."), b".\r\n"
ENHANCED = re.compile(rb"\b[245]\.\d{1,3}\.\d{1,3}\b")
BY_RULE = re.compile(r"503\b|554\b|5\d\d 5\.7\.")  # of this recipient, or of all that we send
STRANGERS = 5


@dataclass
class SmtpMessenger:
    """`smtp://user:password@host:port`, with STARTTLS where it is offered, or `smtps://`."""

    url: str = field(repr=False)
    name: str = "smtp"
    channel: str = "email"
    capacity: int = 1
    repeatable: bool = False
    schedules: bool = False
    _kept: smtplib.SMTP | None = field(default=None, repr=False)
    _took_one: bool = False  # a recipient: it is there for us
    _refused: set[str] = field(default_factory=set, repr=False)  # by rule, before it took one

    def __post_init__(self) -> None:
        self._target = parse(self.url)

    def together(self, _message: Message) -> Hashable:
        return None

    def deliver(self, messages: Sequence[Message]) -> Answer:
        (message,) = messages
        mail = as_mail(message, min(message.send_at, clock.now()))
        server = self._envelope(message)
        refused = self._recipient(server, message)
        if refused is not None:
            return refused
        code, text = self._asked(lambda: server.docmd("data"))
        if code != GO_ON:  # said before a byte of the mail left
            return self._refusal(messages, code, text)
        try:
            server.send(LEADING_DOT.sub(b"..", mail) + END)
            code, text = server.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            return alike(messages, Fate.AMBIGUOUS, error=f"cut off: {type(error).__name__}")
        if code in YES:
            return alike(messages, Fate.ACCEPTED, status_code=code)
        if code not in NO:
            self.close()
            return alike(messages, Fate.AMBIGUOUS, error=f"the mail server said {code}")
        return self._refusal(messages, code, text)

    def close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                kept.quit()
            except (OSError, smtplib.SMTPException):
                kept.close()

    def _recipient(self, server: smtplib.SMTP, message: Message) -> Answer | None:
        code, text = self._asked(lambda: server.rcpt(message.to))
        if code == NO_LOGIN:  # of us, not of this recipient
            self.close()
            raise Unusable(
                f"The mail server {self._target.hostname} wants a user and password ({code}); the "
                "messages wait. Write them into TESSERA_SMTP_URL."
            )
        if code in (250, 251, 252):
            self._took_one = True
            return None
        if BY_RULE.match(_codes(code, text)) and not self._took_one:
            return self._doubted(message, _codes(code, text))
        return self._refusal([message], code, text)

    def _asked(self, ask: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        """A reply before anything of the message has left; Busy when there is none."""
        try:
            return ask()
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise Busy(f"The mail server cut the connection ({type(error).__name__})") from error

    def _doubted(self, message: Message, detail: str) -> Answer:
        """Whether a rule is against this recipient, or against us, shows with the next ones: a server
        that relays nothing for us refuses them all, and rejects nobody."""
        is_known = message.to in self._refused
        self._refused.add(message.to)
        if len(self._refused) >= STRANGERS:
            self.close()
            raise Unusable(
                f"The mail server {self._target.hostname} refuses every recipient ({detail}), so it "
                "does not relay for us; the messages wait. Check TESSERA_SMTP_URL, its user and "
                "password."
            )
        self._reset()
        fate = Fate.LATER if is_known else Fate.AGAIN
        return alike([message], fate, error=f"the mail server said {detail}")

    def _refusal(self, messages: Sequence[Message], code: int, text: bytes) -> Answer:
        """What a no means; only its codes are kept, for its text may repeat the address."""
        if code == CLOSING or code not in NO:  # or what is no answer to what was asked
            self.close()
            raise Busy(f"The mail server is closing, or answers at random ({code})")
        self._reset()
        fate = Fate.LATER if code < NEVER else Fate.REJECTED
        error = f"the mail server said {_codes(code, text)}"
        return alike(messages, fate, status_code=code, error=error)

    def _reset(self) -> None:
        if self._kept is not None:
            try:
                self._kept.rset()
            except (OSError, smtplib.SMTPException):
                self.close()

    def _envelope(self, message: Message) -> smtplib.SMTP:
        """The connection, with the sender announced; a kept one that has gone stale is renewed,
        which is safe, for nothing of the message has left."""
        for fresh in (self._kept is None, True):
            try:
                server = self._connection()
                code, _ = server.mail(message.sender_email)
            # UnicodeError: a host that is no name.
            except (OSError, smtplib.SMTPException, UnicodeError) as error:
                self.close()
                if fresh:
                    raise self._unusable(error) from error
                continue
            if code == 250:  # noqa: PLR2004
                return server
            self.close()
            if code < 500:  # noqa: PLR2004
                raise Busy(f"The mail server said {code} to the sender")
            raise Unusable(
                f"The mail server refuses the sender {message.sender_email} ({code}); "
                "check TESSERA_SENDER_EMAIL."
            )
        raise AssertionError("the second connection is always fresh")

    def _connection(self) -> smtplib.SMTP:
        if self._kept is None:
            self._kept = self._connect()
        return self._kept

    def _connect(self) -> smtplib.SMTP:
        target = self._target
        host, secure = str(target.hostname), target.scheme == "smtps"
        context = ssl.create_default_context()
        if secure:
            return self._log_in(
                smtplib.SMTP_SSL(host, target.port or 465, timeout=TIMEOUT_SECONDS, context=context)
            )
        server = smtplib.SMTP(host, target.port or 25, timeout=TIMEOUT_SECONDS)
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            server.starttls(context=context)
        elif target.username:
            server.close()
            raise Unusable(
                f"The mail server {host} offers no TLS, so the password is not sent to it; "
                "use smtps:// or leave the user out of TESSERA_SMTP_URL."
            )
        return self._log_in(server)

    def _log_in(self, server: smtplib.SMTP) -> smtplib.SMTP:
        server.ehlo_or_helo_if_needed()  # after STARTTLS a server has forgotten the first one
        user, password = (
            unquote(one or "") for one in (self._target.username, self._target.password)
        )
        if not f"{user}{password}".isascii():
            server.close()
            raise Unusable(
                "The user or password in TESSERA_SMTP_URL is not ASCII, and logging in carries nothing "
                "else; the messages wait. Choose another password."
            )
        if user:
            server.login(user, password)
        return server

    def _unusable(self, error: Exception) -> Unusable:
        where = f"{self._target.hostname}:{self._target.port or ''}".rstrip(":")
        if isinstance(error, smtplib.SMTPAuthenticationError):
            why = f"refuses the user or password ({error.smtp_code})"
        elif isinstance(error, smtplib.SMTPResponseException):
            why = f"answers {error.smtp_code}"
        else:
            why = f"cannot be reached ({error})"
        return Unusable(
            f"The mail server {where} {why}; the messages wait. Check TESSERA_SMTP_URL."
        )


def _codes(code: int, text: bytes | str) -> str:
    """The code of a reply, and the enhanced one if there is one."""
    raw = text if isinstance(text, bytes) else text.encode()
    return " ".join([str(code), *(found.decode() for found in ENHANCED.findall(raw)[:1])])


def parse(url: str) -> SplitResult:
    """The parts of an SMTP URL; BadInput when it is not one."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadInput(
            "TESSERA_SMTP_URL is not a mail server; write smtp://user:password@host:587."
        )
    return parts
