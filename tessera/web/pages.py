"""Pages: the templates of `templates/web/` in the reader's language."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from babel import Locale
from jinja2 import Environment
from markupsafe import Markup

from tessera.say.environment import make_environment
from tessera.say.languages import Language, Languages, candidates, parse_locale

STYLE = resources.files("tessera.web").joinpath("page.css").read_text(encoding="utf-8")
# A page brings its style along and fetches nothing; the policy knows the style by its hash.
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


class Pages:
    """Every page in every language, each compiled once."""

    def __init__(self, project: Path, fallback: str) -> None:
        self.folder = project / "templates"
        self.languages = Languages(self.folder, fallback)
        self.environment = cache(self._environment)

    def speak(self, *wishes: str | None) -> Language:
        """The language of the first wish there is."""
        return self.languages.speak(next((wish for wish in wishes if wish), None))

    def accepted(self, header: str | None) -> str | None:
        """The language a browser asks for, of those there are."""
        wishes = [parse_locale(part.partition(";")[0]) for part in (header or "").split(",")]
        known = set(self.languages.codes)
        return next((name for one in wishes for name in candidates(one) if name in known), None)

    def names(self) -> list[tuple[str, str]]:
        """Each language with what its speakers call it."""
        found = [(code, Locale.parse(code).display_name or code) for code in self.languages.codes]
        return [(code, name[:1].upper() + name[1:]) for code, name in found]

    def render(self, name: str, language: Language, data: Mapping[str, Any]) -> str:
        """The page `templates/web/<name>.html`."""
        template = self.environment(language.tag).get_template(f"web/{name}.html")
        return template.render(data, style=Markup(STYLE), languages=self.names())  # noqa: S704 -- our own file

    def _environment(self, tag: str) -> Environment:
        return make_environment(self.folder, self.languages.speak(tag))
