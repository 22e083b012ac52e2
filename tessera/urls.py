"""Web and other addresses with a scheme, and how one is shown: they may hold a password."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

# To the last @, for a password may hold the others' signs; in a chain (zip://x::sftp://…) after its own scheme.
_PASSWORD = re.compile(r"(://[^:@/]*:)(?!:).+@")
_ASKED = re.compile(r"(?i)([?&][^=&]*(?:pass|secret|token|sig|key|credential)[^=&]*=)[^&]+")


def split(url: str) -> SplitResult | None:
    """The parts of a URL; None when it is none, its port included."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def without_password(url: str) -> str:
    """The URL fit to be shown."""
    if "@" in url and split(url.rpartition("::")[2]) is None:
        return "********"  # nobody can tell where its password ends
    return _ASKED.sub(r"\1********", _PASSWORD.sub(r"\1********@", url))
