"""Turns a template, a language and one customer's data into subject, HTML and text."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, Template, TemplateSyntaxError, meta, nodes

from tessera.errors import BadInput
from tessera.say.environment import make_environment
from tessera.say.fields import fill
from tessera.say.languages import SOURCE, Language, Languages

PARTS = ("subject.txt", "body.html", "body.txt")
# Whatever could end a header line or hide in one.
CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class Unrenderable(Exception):
    """This template cannot be filled in for this one customer; the text says where and why."""


@dataclass(frozen=True)
class Rendered:
    """One message, ready to be sent."""

    subject: str
    html: str
    text: str
    language: str
    content_hash: str  # SHA-256 over the three parts, so that a repeat can be told from a change


class Templates:
    """The templates of one folder, each compiled once per language."""

    def __init__(self, folder: Path, fallback: str = SOURCE) -> None:
        self.folder = folder
        self.languages = Languages(folder, fallback)
        self._compiled: dict[tuple[str, str], tuple[Language, list[Template]]] = {}

    def compile(self, template: str, language: str | None) -> tuple[Language, list[Template]]:
        """The three parts in the nearest language; BadInput, with file and line, when one of
        them is missing or does not compile."""
        spoken = self.languages.speak(language)
        key = (template, spoken.tag)
        if key not in self._compiled:
            environment = make_environment(self.folder, spoken)
            files = self.files(environment, template)
            self._compiled[key] = spoken, [self._compile(environment, file) for file in files][:3]
        return self._compiled[key]

    def files(self, environment: Environment, template: str) -> list[str]:
        """The three parts, then everything they extend, include and import."""
        found = [f"{template}/{part}" for part in PARTS]
        for file in found:
            tree = self.parse(environment, file)
            used = [name for name in meta.find_referenced_templates(tree) if name]
            found += [name for name in dict.fromkeys(used) if name not in found]
        return found

    def parse(self, environment: Environment, file: str) -> nodes.Template:
        """The syntax tree of one file; BadInput, with file and line, when it has none."""
        path = self.folder / file
        try:
            return environment.parse(path.read_text(encoding="utf-8"), file, str(path))
        except TemplateSyntaxError as error:
            raise _does_not_compile(path, error) from error
        except FileNotFoundError:
            raise BadInput(
                f"{path} is missing; every template has {', '.join(PARTS)}, and what they extend."
            ) from None
        except UnicodeDecodeError:
            raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8.") from None

    def render(self, template: str, language: str | None, data: Mapping[str, Any]) -> Rendered:
        """One customer's message; Unrenderable when their data does not fit the template."""
        spoken, parts = self.compile(template, language)
        filled = fill(data)
        try:
            subject, html, text = (part.render(filled) for part in parts)
        except Exception as error:
            raise Unrenderable(f"{self.where(error)}{error}") from error
        subject = CONTROLS.sub(" ", subject).strip()
        digest = hashlib.sha256("\0".join((subject, html, text)).encode()).hexdigest()
        return Rendered(subject, html, text, spoken.tag, digest)

    def where(self, error: Exception) -> str:
        """'winback/reminder/body.html:12: ', the innermost template line that was at work."""
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if frame.filename.startswith(str(self.folder))]
        if not ours:
            return ""
        return f"{Path(ours[-1].filename).relative_to(self.folder)}:{ours[-1].lineno}: "

    def _compile(self, environment: Environment, file: str) -> Template:
        try:
            return environment.get_template(file)
        except TemplateSyntaxError as error:
            raise _does_not_compile(self.folder / file, error) from error


def _does_not_compile(path: Path, error: TemplateSyntaxError) -> BadInput:
    return BadInput(f"{path}:{error.lineno} does not compile: {(error.message or '').rstrip('.')}.")
