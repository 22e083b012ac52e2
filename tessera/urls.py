"""Web and other addresses with a scheme, and how one is shown: they may hold a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from tessera.errors import BadInput

_NAMED = re.compile(r"\$\{(\w+)\}")
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


def holds_password(url: str) -> bool:
    """Whether the URL has one in it, rather than the name of a variable for it."""
    bare = _NAMED.sub("", url)
    return without_password(bare) != bare


def filled(url: str, variables: Mapping[str, str]) -> str:
    """The URL with each `${NAME}` replaced by that variable; BadInput where there is none."""

    def value(found: re.Match[str]) -> str:
        if (known := variables.get(found[1])) is None:
            raise BadInput(
                f"{without_password(url)}: the environment has no variable {found[1]}; set it."
            )
        return known

    return _NAMED.sub(value, url) if "://" in url else url


def without_password(url: str) -> str:
    """The URL fit to be shown."""
    if "@" in url and split(url.rpartition("::")[2]) is None:
        return "********"  # nobody can tell where its password ends
    return _ASKED.sub(r"\1********", _PASSWORD.sub(r"\1********@", url))
