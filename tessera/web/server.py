"""Serves the pages until told to stop."""

from __future__ import annotations

import gc
import logging
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from tessera import clock
from tessera.errors import BadInput
from tessera.store import checkpoints
from tessera.web.app import make_app
from tessera.workspace import Workspace

GRACE_SECONDS = 20  # for what is under way when we are told to stop


def serve(
    ws: Workspace, host: str, port: int, *, frozen: bool, say: Callable[[str], object]
) -> None:
    """Serve `ws` on `host` and `port`; `frozen`: the clock stands still at `ws.as_of`.

    Addresses hold tokens, so that no access log is written.
    """
    app = make_app(ws, (lambda: ws.as_of) if frozen else clock.now)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with listen(host, port) as listener, checkpoints.beside(ws.store):
        at, number = listener.getsockname()[:2]
        gc.freeze()  # to look through all that was loaded for garbage keeps every till waiting, 50 ms and more
        say(f"Serving {ws.settings.public_url} on http://{at}:{number}; Ctrl-C stops it.")
        make_server(app, proxies=ws.settings.web_proxies).run(sockets=[listener])


def make_server(app: Starlette, *, proxies: str) -> uvicorn.Server:
    """Without an access log, which `access_log=False` alone does not keep off other loggers."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=proxies,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    logging.getLogger("uvicorn.access").disabled = True
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A listener whose connections send at once. asyncio sees to that for sockets of its own only;
    without it an answer's second packet waits 40 ms for the caller's acknowledgement."""
    try:
        listener = socket.create_server((host, port), backlog=512)
    except (OSError, OverflowError) as error:
        raise BadInput(f"Port {port} of {host} cannot be listened on: {error}.") from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
