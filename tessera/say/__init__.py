"""Say: Jinja2 templates in the customer's language become subject, HTML and text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.say.check import check, faults, gaps, gathered
from tessera.say.languages import SOURCE
from tessera.say.preview import preview
from tessera.say.templates import Rendered, Templates, Unrenderable

__all__ = [
    "Rendered",
    "Templates",
    "Unrenderable",
    "check",
    "faults",
    "gaps",
    "gathered",
    "preview",
    "render",
]


def render(
    project: Path,
    template: str,
    language: str | None,
    data: Mapping[str, Any],
    *,
    fallback: str = SOURCE,
) -> Rendered:
    """One customer's message in the nearest language to `language`.

    BadInput, with file and line, when the template does not compile; Unrenderable when it does
    but not for this customer's data. Compiles anew each time; for many, keep one `Templates`.
    """
    return Templates(project / "templates", fallback).render(template, language, data)
