"""How mail leaves: files, SMTP or SendGrid, all behind one small protocol."""

from __future__ import annotations

import re

from pydantic import SecretStr

from tessera.errors import BadInput
from tessera.send.messengers.base import Messenger
from tessera.workspace import Workspace

KEY = re.compile(r"[!-~]+")
REPEATABLE = frozenset(
    {"file", "print"}
)  # after a crash in the middle, done again rather than doubted


def open_messenger(ws: Workspace, channel: str = "email") -> Messenger:
    """The messenger of the settings for a channel; BadInput when what it needs is not set."""
    opened = {"sms": _sms, "print": _print}.get(channel)
    if opened is not None:
        return opened(ws)
    return {"smtp": _smtp, "sendgrid": _sendgrid, "file": _file}[ws.settings.messenger](ws)


def _smtp(ws: Workspace) -> Messenger:
    from tessera.send.messengers.smtp import SmtpMessenger

    if ws.settings.smtp_url is None:
        raise BadInput("TESSERA_SMTP_URL is not set; write smtp://user:password@host:587.")
    return SmtpMessenger(ws.settings.smtp_url.get_secret_value())


def _sendgrid(ws: Workspace) -> Messenger:
    from tessera.send.messengers.sendgrid import SendGridMessenger

    settings = ws.settings
    if settings.sendgrid_api_key is None:
        raise BadInput("TESSERA_SENDGRID_API_KEY is not set; make a key that may send mail.")
    return SendGridMessenger(
        _key("TESSERA_SENDGRID_API_KEY", settings.sendgrid_api_key),
        settings.sendgrid_host,
        compress=settings.sendgrid_gzip,
        asm_group=settings.sendgrid_asm_group,
        sandbox=settings.sendgrid_sandbox,
    )


def _key(setting: str, secret: SecretStr) -> str:
    """The key; BadInput when no header can carry it: each call would fail, and look like a cut line."""
    key = secret.get_secret_value()
    if not KEY.fullmatch(key):
        raise BadInput(f"{setting} has a space, a line end or a letter no key has; copy it again.")
    return key


def _file(ws: Workspace) -> Messenger:
    from tessera.send.messengers.file import FileMessenger

    return FileMessenger(ws.home.mail)


def _sms(ws: Workspace) -> Messenger:
    """Over HTTP when there is an address for it, else as files."""
    from tessera.send.messengers.file import FileMessenger
    from tessera.send.messengers.sms import SmsMessenger

    settings = ws.settings
    if settings.sms_url is None:
        return FileMessenger(ws.home.root / "sms", channel="sms")
    key = _key("TESSERA_SMS_API_KEY", settings.sms_api_key) if settings.sms_api_key else ""
    return SmsMessenger(settings.sms_url, key, settings.sms_sender)


def _print(ws: Workspace) -> Messenger:
    from tessera.send.messengers.letters import LetterMessenger

    return LetterMessenger(ws.home.root / "print")
