"""Named SQL: blocks of a `.sql` file, each under a `-- name: some_query` line."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries(package: str, file: str) -> dict[str, str]:
    """The named blocks of `file` (such as 'manifest.sql') in `package`, by name."""
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {
        name: body.strip().rstrip(";") for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
