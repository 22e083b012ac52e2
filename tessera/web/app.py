"""The application: which address leads to which page, and what happens when one cannot be shown."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from anyio import to_thread
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from tessera import clock
from tessera.store import why
from tessera.tokens import PREFERENCES, REFERRAL, SCORE, UNSUBSCRIBE
from tessera.web import signup
from tessera.web.contract import PREFIX
from tessera.web.preferences import preferences
from tessera.web.protection import HEADERS, Headers, TooLarge, read_form
from tessera.web.scores import score
from tessera.web.site import Refusal, Site, Visit
from tessera.web.till import make_till
from tessera.web.unsubscribe import unsubscribe
from tessera.web.webhook import events
from tessera.workspace import Workspace

LOG = logging.getLogger("tessera.web")
Handler = Callable[[Visit], Response]
Endpoint = Callable[[Request], Awaitable[Response]]
MISSES_A_MINUTE = 30  # links that lead nowhere, from one place
POSTS_A_MINUTE = 60  # by one link


def make_app(ws: Workspace, now: Callable[[], datetime] = clock.now) -> Starlette:
    """The pages of `ws`; BadInput, before anything is served, when a file they need is wrong."""
    site = Site(ws, now)
    _ = site.wordings, site.choices, site.secrets, site.verifier, site.store
    both = ["GET", "POST"]
    app = Starlette(
        routes=[
            Route("/events/sendgrid", events, methods=["POST"]),
            Mount(PREFIX, make_till(site)),
            Route("/u/{token}", page(unsubscribe, UNSUBSCRIBE), methods=both),
            Route("/p/{token}", page(preferences, PREFERENCES), methods=both),
            Route("/s/{token}", page(score, SCORE), methods=both),
            Route("/s/{token}/{score}", page(score, SCORE), methods=["GET"]),
            Route("/r/{token}", page(signup.referral, REFERRAL), methods=["GET"]),
            Route("/join", page(signup.join), methods=both),
            Route("/join/sent", page(signup.sent), methods=["GET"]),
            Route("/c/{token}", page(signup.confirm), methods=both),
            Route("/c/{token}/no", page(signup.decline), methods=both),
            Route("/", page(_home), methods=["GET"]),
            Route("/health", health, methods=["GET"]),
        ],
        middleware=[Middleware(Headers, https=ws.settings.public_url.startswith("https://"))],
        exception_handlers={
            404: _nowhere,
            DBAPIError: _wait,
            PoolTimeout: _wait,
            Exception: _broken,
        },
    )
    app.state.site = site
    return app


def page(handler: Handler, kind: str | None = None) -> Endpoint:
    """An endpoint: the message that a link of `kind` belongs to is found before the page is made."""

    async def endpoint(request: Request) -> Response:
        try:
            form = await read_form(request) if request.method == "POST" else {}
        except TooLarge:
            return PlainTextResponse("This form is too large.\n", 413)
        visit = Visit(request.app.state.site, request, form)
        return await to_thread.run_sync(_visit, visit, handler, kind)

    return endpoint


def _visit(visit: Visit, handler: Handler, kind: str | None) -> Response:
    try:
        return handler(_with_message(visit, kind) if kind else visit)
    except Refusal as refusal:
        if refusal.status == 404 and not _may_miss(visit):  # noqa: PLR2004 -- HTTP's own
            refusal = Refusal("too_often", 429)
        return visit.show("refused", refusal.status, why=refusal.why)


def _with_message(visit: Visit, kind: str) -> Visit:
    site = visit.site
    found = Visit(site, visit.request, visit.form, site.message(kind, visit.token))
    if visit.is_post and not site.limits.allow(
        "post", visit.token, most=POSTS_A_MINUTE, seconds=60
    ):
        raise Refusal("too_often", 429)
    return found


def _may_miss(visit: Visit) -> bool:
    return visit.site.limits.allow("miss", visit.reader, most=MISSES_A_MINUTE, seconds=60)


def _home(visit: Visit) -> Response:
    return visit.show("home")


async def _nowhere(request: Request, _error: Exception) -> Response:
    def refuse(_visit: Visit) -> Response:
        raise Refusal("unknown", 404)

    return await page(refuse)(request)


async def _wait(_request: Request, error: Exception) -> Response:
    """The store is busy, full or away: said aloud, and nobody is told that it worked."""
    # The statement, never its values.
    LOG.error("The store cannot be used: %s: %s", why(error), getattr(error, "statement", ""))
    return PlainTextResponse("Please try again in a minute.\n", 503, {"Retry-After": "60"})


async def _broken(_request: Request, _error: Exception) -> Response:
    """A bug; its traceback is logged by the server. The headers do not come by themselves here."""
    return PlainTextResponse("Something went wrong on our side.\n", 500, HEADERS)


async def health(request: Request) -> Response:
    """200 while the store answers."""

    def look() -> None:
        with request.app.state.site.store.read() as connection:
            connection.scalar("select 1")

    await to_thread.run_sync(look)
    return PlainTextResponse("ok\n")
