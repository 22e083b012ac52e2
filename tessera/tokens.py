"""Tokens: signed, good for one kind of use, and without personal data.

A token is `<subject>.<signature>`. The subject names a row of ours that means nothing to anybody else (a
message's send key); how long the token is good for follows from that row's date. Where there is no
row, the subject itself ends with the instant it expires: `<subject>~<seconds>.<signature>`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

UNSUBSCRIBE, PREFERENCES, SCORE, REFERRAL, CONFIRM = "u", "p", "s", "r", "c"
FORM = "form"  # a page's own form

# How long a link is good for, counted from the day its message was due or its row was made.
LIFETIMES = {
    UNSUBSCRIBE: timedelta(days=730),  # whoever finds an old mail may still be rid of us
    PREFERENCES: timedelta(days=180),
    SCORE: timedelta(days=60),
    REFERRAL: timedelta(days=365),
    CONFIRM: timedelta(days=7),
}


def sign(secret: bytes, kind: str, subject: str) -> str:
    """The token `subject.signature`, good for this kind of use only."""
    return f"{subject}.{_signature(secret, kind, subject)}"


def verify(secrets: bytes | Iterable[bytes], kind: str, token: str) -> str | None:
    """The subject a token was signed for; None when none of `secrets` signed it for this kind."""
    subject, _, signature = token.rpartition(".")
    known = [secrets] if isinstance(secrets, bytes) else list(secrets)
    # Every secret is tried, so that the time taken does not tell which one it was.
    good = [
        hmac.compare_digest(signature.encode(), _signature(s, kind, subject).encode())
        for s in known
    ]
    return subject if any(good) else None


def sign_until(secret: bytes, kind: str, subject: str, until: datetime) -> str:
    """A token that says itself when it expires."""
    return sign(secret, kind, f"{subject}~{int(until.timestamp())}")


def verify_until(
    secrets: bytes | Iterable[bytes], kind: str, token: str, now: datetime
) -> str | None:
    """The subject of a token that has not expired yet; None for any other."""
    subject, mark, seconds = (verify(secrets, kind, token) or "").rpartition("~")
    if not mark or not seconds.isdigit():
        return None
    return subject if now < datetime.fromtimestamp(int(seconds), UTC) else None


def expired(kind: str, since: datetime, now: datetime) -> bool:
    """Whether a link of `kind` that belongs to a row of `since` is too old."""
    return now - since > LIFETIMES[kind]


def _signature(secret: bytes, kind: str, subject: str) -> str:
    digest = hmac.digest(secret, f"{kind}:{subject}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:18]).decode()
