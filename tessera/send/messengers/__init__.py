"""How mail leaves: files, SMTP or SendGrid, all behind one small protocol."""

from __future__ import annotations

from tessera.errors import BadInput
from tessera.send.messengers.base import Messenger
from tessera.workspace import Workspace

REPEATABLE = frozenset({"file"})  # after a crash in the middle, done again rather than doubted


def open_messenger(ws: Workspace) -> Messenger:
    """The messenger of the settings; BadInput when what it needs is not set."""
    settings = ws.settings
    if settings.messenger == "smtp":
        from tessera.send.messengers.smtp import SmtpMessenger

        if settings.smtp_url is None:
            raise BadInput("TESSERA_SMTP_URL is not set; write smtp://user:password@host:587.")
        return SmtpMessenger(settings.smtp_url.get_secret_value())
    if settings.messenger == "sendgrid":
        from tessera.send.messengers.sendgrid import SendGridMessenger

        if settings.sendgrid_api_key is None:
            raise BadInput("TESSERA_SENDGRID_API_KEY is not set; make a key that may send mail.")
        return SendGridMessenger(
            settings.sendgrid_api_key.get_secret_value(), settings.sendgrid_host
        )
    from tessera.send.messengers.file import FileMessenger

    return FileMessenger(ws.home.mail)
