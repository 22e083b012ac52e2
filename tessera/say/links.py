"""Links in mail: signed, so that nobody can unsubscribe a neighbour, and without personal data."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from tessera.workspace import Workspace

UNSUBSCRIBE, PREFERENCES, SCORE = "u", "p", "s"


def links(public_url: str, secret: bytes, send_key: str) -> dict[str, str]:
    """The links of one message; the same message always has the same links."""
    base = public_url.rstrip("/")
    return {
        "unsubscribe": f"{base}/{UNSUBSCRIBE}/{sign(secret, UNSUBSCRIBE, send_key)}",
        "preferences": f"{base}/{PREFERENCES}/{sign(secret, PREFERENCES, send_key)}",
        "score": f"{base}/{SCORE}/{sign(secret, SCORE, send_key)}",  # a template adds /0 to /10
        "shop": base,
    }


def sign(secret: bytes, kind: str, send_key: str) -> str:
    """The token `send_key.signature`, good for this kind of link only."""
    return f"{send_key}.{_signature(secret, kind, send_key)}"


def verify(secret: bytes, kind: str, token: str) -> str | None:
    """The send key a token was signed for; None when it was not signed by us for this kind."""
    send_key, _, signature = token.partition(".")
    good = hmac.compare_digest(signature.encode(), _signature(secret, kind, send_key).encode())
    return send_key if good else None


def _signature(secret: bytes, kind: str, send_key: str) -> str:
    digest = hmac.digest(secret, f"{kind}:{send_key}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:18]).decode()


def secret_of(ws: Workspace) -> bytes:
    """What signs this home's links: the setting, or a random secret made once and kept."""
    if ws.settings.link_secret is not None:
        return ws.settings.link_secret.get_secret_value().encode()
    path = ws.home.root / "link_secret"
    if not path.exists():
        _keep(path, secrets.token_hex(32))
    return path.read_bytes()


def _keep(path: Path, secret: str) -> None:
    """Write it whole, readable by nobody else; of two processes at once the first wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    beside.touch(mode=0o600)
    beside.write_text(secret, encoding="ascii")
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
