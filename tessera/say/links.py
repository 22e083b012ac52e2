"""Links in mail: signed, so that nobody can unsubscribe a neighbour, and without personal data."""

from __future__ import annotations

from tessera.keyfile import key_in
from tessera.tokens import PREFERENCES, REFERRAL, SCORE, UNSUBSCRIBE, sign
from tessera.workspace import Workspace


def links(public_url: str, secret: bytes, send_key: str) -> dict[str, str]:
    """The links of one message; the same message always has the same links."""
    base = public_url.rstrip("/")
    return {
        "unsubscribe": f"{base}/{UNSUBSCRIBE}/{sign(secret, UNSUBSCRIBE, send_key)}",
        "preferences": f"{base}/{PREFERENCES}/{sign(secret, PREFERENCES, send_key)}",
        "score": f"{base}/{SCORE}/{sign(secret, SCORE, send_key)}",  # a template adds /0 to /10
        "referral": f"{base}/{REFERRAL}/{sign(secret, REFERRAL, send_key)}",  # for a friend
        "shop": base,
    }


def secret_of(ws: Workspace) -> bytes:
    """What signs this home's links: the setting, or a random secret made once and kept."""
    if ws.settings.link_secret is not None:
        return ws.settings.link_secret.get_secret_value().encode()
    return key_in(ws.home.root / "link_secret").encode()


def secrets_of(ws: Workspace) -> list[bytes]:
    """What may have signed a link that is out there: the secret in force, then earlier ones."""
    old = ws.settings.link_secrets_old
    earlier = old.get_secret_value().split(",") if old else []
    return [secret_of(ws), *(text.strip().encode() for text in earlier if text.strip())]
