"""What stands between the world and the pages: headers, limits, and whether a form is ours."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tessera.web.pages import STYLE_HASH

FORM_BYTES_MAX = 64 * 1024
MULTIPART = "multipart/form-data"
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Our own pages may know where a form came from; nobody else sees an address with a token.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}


class TooLarge(Exception):
    """A body beyond its limit."""


@dataclass
class Headers:
    """Puts the headers on every answer, whatever made it."""

    app: ASGIApp
    https: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extra = HEADERS | (HTTPS_ONLY if self.https else {})
        raw = [(name.lower().encode(), value.encode()) for name, value in extra.items()]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *raw]
            await send(message)

        await self.app(scope, receive, with_headers)


async def read_body(request: Request, most: int) -> bytes:
    """The raw body; TooLarge as soon as it is longer than `most` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge
    return bytes(body)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of a field given twice the last."""
    body = await read_body(request, FORM_BYTES_MAX)
    kind = request.headers.get("content-type", "")
    try:
        fields = _parts(kind, body) if kind.lower().startswith(MULTIPART) else _pairs(body)
    except ValueError:  # more fields than any form of ours has
        raise TooLarge from None
    return {name: value.replace("\0", "") for name, value in fields}


def _pairs(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode("utf-8", errors="replace"), max_num_fields=200)


def _parts(kind: str, body: bytes) -> list[tuple[str, str]]:
    """As mail clients are to unsubscribe (RFC 8058); no page of ours sends it."""
    head = f"Content-Type: {kind}\r\n\r\n".encode(errors="replace")
    form = message_from_bytes(head + body)
    return [
        (
            str(part.get_param("name", "", "content-disposition")),
            (part.get_payload(decode=True) or b"").decode("utf-8", errors="replace"),  # type: ignore[union-attr]
        )
        for part in form.walk()
        if not part.is_multipart()
    ]


def from_elsewhere(request: Request, public_url: str) -> bool:
    """Whether a browser says that another site's page made it send this form."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:  # no browser, or one that does not tell; the form's token decides
        return False
    try:
        ours = request.headers.get("host"), urlsplit(public_url).netloc
        return urlsplit(origin).netloc not in ours
    except ValueError:  # no browser of ours says so
        return True


@dataclass
class Limits:
    """How often who did what within the running window; kept in memory, by process."""

    clock: Callable[[], float] = time.monotonic
    counts: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    entries_max: int = 50_000

    def count(self, what: str, who: str, *, seconds: int) -> int:
        """How often so far within the running window."""
        return self.counts[what, who, int(self.clock() // seconds)]

    def allow(self, what: str, who: str, *, most: int, seconds: int) -> bool:
        """Count once more; whether that is still within `most`."""
        window = int(self.clock() // seconds)
        if len(self.counts) >= self.entries_max:
            self.counts.clear()  # under such a flood, letting some through beats growing for ever
        self.counts[what, who, window] += 1
        return self.counts[what, who, window] <= most
