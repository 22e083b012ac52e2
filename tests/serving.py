"""The web service on a real port, in a thread; and batches of events signed as the provider does."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tessera.web import make_app
from tessera.web.server import listen, make_server
from tessera.workspace import Workspace

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_KEY = base64.b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"


@contextmanager
def served(
    ws: Workspace,
    now: Callable[[], datetime] | None = None,
    seconds: Callable[[], float] = time.monotonic,
) -> Iterator[httpx.Client]:
    """A client of the service of `ws`, whose clock stands still at its `as_of` unless `now` is given; how often
    somebody asks is counted by `seconds`."""
    app = make_app(ws, now or (lambda: ws.as_of))
    app.state.site.limits.clock = seconds
    with listen("127.0.0.1", 0) as listener:
        server = make_server(app, proxies="")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=base, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def signed(
    body: bytes, at: datetime | str, key: ec.EllipticCurvePrivateKey = KEY
) -> dict[str, str]:
    """The headers the provider sends with `body`."""
    timestamp = at if isinstance(at, str) else str(int(at.timestamp()))
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {SIGNATURE: base64.b64encode(signature).decode(), TIMESTAMP: timestamp}


def post_events(client: httpx.Client, events: Any, at: datetime) -> httpx.Response:
    """The batch, signed, to the webhook."""
    body = json.dumps(events).encode()
    return client.post("/events/sendgrid", content=body, headers=signed(body, at))
