"""The provider's events: signed, and on disk with all that follows before we say that we have them."""

from __future__ import annotations

import binascii
import json
import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from anyio import CapacityLimiter, to_thread
from sendgrid.helpers.eventwebhook import EventWebhook, EventWebhookHeader
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tessera.hear.hearing import take_in
from tessera.web.protection import TooLarge, read_body
from tessera.web.site import Site

LOG = logging.getLogger("tessera.web")
BATCH_BYTES_MAX = 32 * 1024 * 1024
ONE = CapacityLimiter(1)  # one batch after the other: the store has one writer anyway


class Forged(Exception):
    """A batch that is not, or no longer, the provider's; the text says why, for the log."""


async def events(request: Request) -> Response:
    """204 once the batch is on disk. Any other answer makes the provider send it again."""
    site: Site = request.app.state.site
    try:
        body = await read_body(request, BATCH_BYTES_MAX)
        return await to_thread.run_sync(_take_in, site, body, request.headers, limiter=ONE)
    except TooLarge:
        return PlainTextResponse("This batch is too large.\n", 413)
    except Forged as reason:
        LOG.warning("A batch of events was refused: %s", reason)
        return PlainTextResponse(f"{reason}\n", 403)


def _take_in(site: Site, body: bytes, headers: Mapping[str, str]) -> Response:
    if site.verifier is None:
        LOG.error("Events came, but TESSERA_SENDGRID_WEBHOOK_KEY is not set; they wait there.")
        return PlainTextResponse("No key is set to verify events with.\n", 503)
    verify(site.verifier, body, headers, site.now(), site.ws.settings.webhook_tolerance_hours)
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        LOG.error("A signed batch of %s bytes is no JSON array.", len(body))
        return PlainTextResponse("This is no JSON array of events.\n", 400)
    counts = take_in(site.store, entries, site.now())
    _tell(counts)
    return Response(status_code=204)


def verify(
    verifier: EventWebhook, body: bytes, headers: Mapping[str, str], now: datetime, hours: float
) -> None:
    """Forged unless the signature is over exactly these bytes and this, recent, time."""
    signature = headers.get(EventWebhookHeader.SIGNATURE)
    timestamp = headers.get(EventWebhookHeader.TIMESTAMP, "")
    if not signature or not re.fullmatch(r"[0-9]{1,15}", timestamp):
        raise Forged("It is not signed.")
    try:
        genuine = verifier.verify_signature(body.decode("utf-8"), signature, timestamp)
    except (ValueError, binascii.Error):  # UnicodeDecodeError is a ValueError
        genuine = False
    if not genuine:
        raise Forged("Its signature is not the provider's.")
    # Ours may be behind the provider's clock as well as before it.
    if abs(now.timestamp() - int(timestamp)) > timedelta(hours=hours).total_seconds():
        raise Forged("It was signed too long ago.")


def _tell(counts: Mapping[str, Any]) -> None:
    level = logging.WARNING if counts["unreadable"] else logging.INFO
    LOG.log(level, "Events heard: %s", " ".join(f"{name}={n}" for name, n in counts.items()))
