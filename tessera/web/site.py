"""The site: what every page needs, and the visit of one reader to one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from sendgrid.helpers.eventwebhook import EventWebhook
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tessera.consent import Wordings
from tessera.consent.preferences import LANGUAGE, current
from tessera.consent.wordings import Choices, choices
from tessera.errors import BadInput
from tessera.say.languages import Language
from tessera.say.links import secret_of, secrets_of
from tessera.say.preview import shop
from tessera.store import Store, queries
from tessera.tokens import FORM, expired, sign, sign_until, verify, verify_until
from tessera.web.pages import Pages
from tessera.web.protection import Limits, from_elsewhere
from tessera.workspace import Workspace

SQL = queries("tessera.web", "web.sql")
FORM_LIFETIME = timedelta(hours=12)
Row = Mapping[str, Any]


class Refusal(Exception):
    """An answer that is no: which page of `templates/web/refused.html`, under which status."""

    def __init__(self, why: str, status: int) -> None:
        super().__init__(why)
        self.why, self.status = why, status


@dataclass(frozen=True)
class Site:
    """One shop's pages at work."""

    ws: Workspace
    now: Callable[[], datetime]
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def store(self) -> Store:
        return self.ws.store

    @cached_property
    def pages(self) -> Pages:
        return Pages(self.ws.project, self.ws.settings.language)

    @cached_property
    def wordings(self) -> Wordings:
        return Wordings.load(self.ws.project)

    @cached_property
    def choices(self) -> Choices:
        return choices(self.ws.project)

    @cached_property
    def secrets(self) -> list[bytes]:
        return secrets_of(self.ws)

    @cached_property
    def verifier(self) -> EventWebhook | None:
        """Knows the provider's signature; None when no key is set."""
        key = self.ws.settings.sendgrid_webhook_key
        try:
            return EventWebhook(key) if key else None
        except Exception:  # whatever the library that reads it says
            raise BadInput(
                "TESSERA_SENDGRID_WEBHOOK_KEY is not a public key; copy it from SendGrid's page on "
                "signed event webhooks."
            ) from None

    @cached_property
    def shop(self) -> dict[str, str]:
        return shop(self.ws)

    def message(self, kind: str, token: str) -> Row:
        """The message whose link of `kind` this is; Refusal for any that is forged or too old."""
        send_key = verify(self.secrets, kind, token)
        row = self._message(send_key) if send_key else None
        if row is None:
            raise Refusal("unknown", 404)
        if expired(kind, datetime.fromisoformat(row["send_at"]), self.now()):
            raise Refusal("expired", 410)
        return row

    def path(self, kind: str, send_key: str) -> str:
        """The path of another link of the same message."""
        return f"/{kind}/{sign(secret_of(self.ws), kind, send_key)}"

    def _message(self, send_key: str) -> Row | None:
        with self.store.read() as connection:
            return connection.one(SQL["message"], send_key=send_key)


@dataclass(frozen=True)
class Visit:
    """One reader at one page; `message` is the one whose link was followed, if it was one."""

    site: Site
    request: Request
    form: Mapping[str, str]
    message: Row = field(default_factory=dict)
    wish: str | None = None  # the language of whoever this page is for, where we know

    @property
    def is_post(self) -> bool:
        return self.request.method == "POST"

    @property
    def token(self) -> str:
        return str(self.request.path_params.get("token", ""))

    @property
    def reader(self) -> str:
        """Who asks, to count by."""
        return self.request.client.host if self.request.client else ""

    @cached_property
    def preferences(self) -> Mapping[str, str]:
        if not self.message:
            return {}
        with self.site.store.read() as connection:
            return current(connection, self.message["customer_id"])

    @cached_property
    def language(self) -> Language:
        """As the reader says, prefers, was written to, or as the browser asks."""
        pages, asked = self.site.pages, self.request.query_params.get("lang")
        return pages.speak(
            asked if asked in pages.languages.codes else None,
            self.preferences.get(LANGUAGE),
            self.message.get("language") or self.wish,
            pages.accepted(self.request.headers.get("accept-language")),
        )

    def show(self, name: str, status: int = 200, **data: object) -> Response:
        """The page called `name` of `templates/web/`."""
        ours = {
            "shop": self.site.shop,
            "path": self.request.url.path,
            "here": self.here(),
            "form_token": self._form_token(),
        }
        text = self.site.pages.render(name, self.language, {**ours, **data})
        return HTMLResponse(text, status)

    def here(self, path: str | None = None, **query: str) -> str:
        """`path`, or this page's, in the language that was asked for."""
        asked = self.request.query_params.get("lang")
        given = {"lang": asked} if asked in self.site.pages.languages.codes else {}
        where = path or self.request.url.path
        whole = urlencode({**given, **query})
        return f"{where}?{whole}" if whole else where

    def go(self, path: str | None = None, **query: str) -> Response:
        """After a form: look at the outcome, so that going back does not send it again."""
        return RedirectResponse(self.here(path, **query), 303)

    def check_form(self) -> None:
        """Refusal unless the form is one that we made, lately, for this page."""
        if from_elsewhere(self.request, self.site.ws.settings.public_url):
            raise Refusal("elsewhere", 403)
        given = self.form.get("form", "")
        if verify_until(self.site.secrets, FORM, given, self.site.now()) != self._form_subject():
            raise Refusal("stale", 403)

    def _form_subject(self) -> str:
        return self.token or self.request.url.path.strip("/")

    def _form_token(self) -> str:
        until = self.site.now() + FORM_LIFETIME
        return sign_until(secret_of(self.site.ws), FORM, self._form_subject(), until)
