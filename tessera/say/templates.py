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
from tessera.say.slots import Marker, Skeleton, transparent

PARTS = ("subject.txt", "body.html", "body.txt")
# What a template consists of on each channel, as subject, HTML and text.
CHANNELS = {"email": PARTS, "sms": (None, None, "sms.txt"), "print": (None, "letter.html", None)}
# Whatever could end a header line or hide in one.
CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class Unrenderable(Exception):
    """This template cannot be filled in for this one customer; the text says where and why."""


@dataclass(frozen=True)
class Rendered:
    """One message, ready to be sent: what it shares with others, and its own values."""

    subject: str
    skeleton: Skeleton
    values: tuple[str, ...]
    language: str

    @property
    def html(self) -> str:
        return self.skeleton.html.fill(self.values)

    @property
    def text(self) -> str:
        return self.skeleton.text.fill(self.values)

    @property
    def content_hash(self) -> str:
        """SHA-256 over the three parts, so that a repeat can be told from a change."""
        return content_hash(self.subject, self.html, self.text)


def content_hash(subject: str, html: str, text: str) -> str:
    """SHA-256 over the parts of a message."""
    return hashlib.sha256("\0".join((subject, html, text)).encode()).hexdigest()


class Templates:
    """The templates of one folder, each compiled once per language; not for two threads at once."""

    def __init__(self, folder: Path, fallback: str = SOURCE) -> None:
        self.folder = folder
        self.languages = Languages(folder, fallback)
        self.marker = Marker()
        self._trees: dict[str, nodes.Template] = {}
        self._compiled: dict[tuple[str, str, str], tuple[Language, list[Template | None]]] = {}

    def compile(
        self, template: str, language: str | None, channel: str = "email"
    ) -> tuple[Language, list[Template | None]]:
        """Subject, HTML and text in the nearest language; BadInput, with file and line, when one
        of them is missing or does not compile."""
        spoken = self.languages.speak(language)
        key = (template, spoken.tag, channel)
        if key not in self._compiled:
            environment = make_environment(self.folder, spoken, self.marker)
            files = self.files(environment, template, channel)
            if not transparent([self.parse(environment, file) for file in files]):
                environment.marker = None
            compiled = {file: self._compile(environment, file) for file in files}
            parts = [compiled.get(f"{template}/{part}") for part in CHANNELS[channel]]
            self._compiled[key] = spoken, parts
        return self._compiled[key]

    def files(self, environment: Environment, template: str, channel: str = "email") -> list[str]:
        """The parts, then everything they extend, include and import."""
        found = [f"{template}/{part}" for part in CHANNELS[channel] if part]
        for file in found:
            tree = self.parse(environment, file)
            used = [name for name in meta.find_referenced_templates(tree) if name]
            found += [name for name in dict.fromkeys(used) if name not in found]
        return found

    def parse(self, environment: Environment, file: str) -> nodes.Template:
        """The syntax tree of one file; BadInput, with file and line, when it has none."""
        path = self.folder / file
        if file in self._trees:
            return self._trees[file]
        try:
            text = path.read_text(encoding="utf-8")
            return self._trees.setdefault(file, environment.parse(text, file, str(path)))
        except TemplateSyntaxError as error:
            raise _does_not_compile(path, error) from error
        except FileNotFoundError:
            raise BadInput(
                f"{path} is missing; every template has {', '.join(PARTS)} (sms.txt for text "
                "messages, letter.html for letters), and what they extend."
            ) from None
        except UnicodeDecodeError:
            raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8.") from None

    def render(
        self, template: str, language: str | None, data: Mapping[str, Any], channel: str = "email"
    ) -> Rendered:
        """One customer's message; Unrenderable when their data does not fit the template."""
        spoken, parts = self.compile(template, language, channel)
        filled, marker = fill(data), self.marker
        try:
            subject = marker.part(_made(parts[0], filled)).fill(marker.take())
            skeleton = marker.skeleton(_made(parts[1], filled), _made(parts[2], filled))
        except Exception as error:
            marker.take()
            raise Unrenderable(f"{self.where(error)}{_said(error)}") from error
        # A line of its own per person: what may stand in a header is known only of the whole.
        line = CONTROLS.sub(" ", subject).strip()
        return Rendered(line, skeleton, marker.take(), spoken.tag)

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


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "this goes on for ever: a file includes or extends itself, or a macro calls itself"
    return str(error).rstrip(".")


def _made(part: Template | None, filled: Mapping[str, Any]) -> str:
    return "" if part is None else part.render(filled)


def _does_not_compile(path: Path, error: TemplateSyntaxError) -> BadInput:
    return BadInput(f"{path}:{error.lineno} does not compile: {(error.message or '').rstrip('.')}.")
