"""What the messengers that speak HTTP have in common."""

from __future__ import annotations

import httpx

# The request did not leave, or was refused for what it is not: nothing was sent.
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
    UnicodeError,
)
