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
from tessera.say.environment import CHARACTERS_MAX, Turns, make_environment
from tessera.say.fields import fill, sample
from tessera.say.languages import SOURCE, Language, Languages
from tessera.say.slots import Marker, Skeleton, transparent

PARTS = ("subject.txt", "body.html", "body.txt")
# What a template consists of on each channel, as subject, HTML and text.
CHANNELS = {"email": PARTS, "sms": (None, None, "sms.txt"), "print": (None, "letter.html", None)}
# What Jinja2, and Python with what Jinja2 made of it, say of a file.
NOT_COMPILED = (TemplateSyntaxError, SyntaxError, RecursionError)
# What Jinja2 says, of the layout's line, where a template lacks a block.
LACKING = re.compile(r"Required block '(?P<block>\w+)' not found")
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
    """The templates of one folder, each compiled once per language; not for two threads at once.
    Without slots nothing is kept aside of a message, and compiling takes half the time."""

    def __init__(self, folder: Path, fallback: str = SOURCE, *, has_slots: bool = True) -> None:
        self.folder = folder
        self.has_slots = has_slots
        self.languages = Languages(folder, fallback)
        self.marker = Marker()
        self.turns = Turns()
        self._trees: dict[str, nodes.Template] = {}
        self._used: dict[str, list[str]] = {}
        self._environments: dict[tuple[str, bool], Environment] = {}
        self._compiled: dict[tuple[str, str, str], tuple[Language, list[Template | None]]] = {}

    def compile(
        self, template: str, language: str | None, channel: str = "email"
    ) -> tuple[Language, list[Template | None]]:
        """Subject, HTML and text in the nearest language; BadInput, with file and line, when one
        of them is missing or does not compile."""
        spoken = self.languages.speak(language)
        key = (template, spoken.tag, channel)
        if key not in self._compiled:
            environment = self._environment(spoken, self.marker)
            files = self.files(environment, template, channel)
            trees = [self.parse(environment, file) for file in files]
            if not self.has_slots or not transparent(trees):
                environment = self._environment(spoken, None)
            compiled = {file: self._compile(environment, file) for file in files}
            parts = [compiled.get(f"{template}/{part}") for part in CHANNELS[channel]]
            self._compiled[key] = spoken, parts
        return self._compiled[key]

    def files(self, environment: Environment, template: str, channel: str = "email") -> list[str]:
        """The parts, then everything they extend, include and import."""
        found = [f"{template}/{part}" for part in CHANNELS[channel] if part]
        for file in found:
            if file not in self._used:
                names = meta.find_referenced_templates(self.parse(environment, file))
                self._used[file] = [name for name in dict.fromkeys(names) if name]
            found += [name for name in self._used[file] if name not in found]
        return found

    def parse(self, environment: Environment, file: str) -> nodes.Template:
        """The syntax tree of one file; BadInput, with file and line, when it has none."""
        path = self.folder / file
        if file in self._trees:
            return self._trees[file]
        try:
            text = path.read_text(encoding="utf-8")
            return self._trees.setdefault(file, environment.parse(text, file, str(path)))
        except NOT_COMPILED as error:
            raise _does_not_compile(path, error) from error
        except (FileNotFoundError, NotADirectoryError):
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
        self.turns.begin()
        try:
            subject = marker.part(_made(parts[0], filled)).fill(marker.take())
            html, text = (_made(part, filled) for part in parts[1:])
            values = marker.take()
            _refuse_long(template, subject, html, text, *values)
            skeleton = marker.skeleton(html, text)
        except Exception as error:
            marker.take()
            raise Unrenderable(f"{self.where(error)}{_said(error)}") from error
        # A line of its own per person: what may stand in a header is known only of the whole.
        line = CONTROLS.sub(" ", subject).strip()
        return Rendered(line, skeleton, values, spoken.tag)

    def problem(self, template: str, language: str | None, channel: str = "email") -> str | None:
        """Why nobody can be sent this, if so, with the file in the project and the line: it does not
        compile, or cannot be filled in even for a customer of whom all is known."""
        try:
            self.render(template, language, sample(), channel)
        except BadInput as error:
            return self.said(error)
        except Unrenderable as error:
            return f"{self.folder.name}/{error}"
        return None

    def said(self, error: BadInput) -> str:
        """The error by the file's name in the project, wherever that lies."""
        return str(error).removeprefix(f"{self.folder.parent}/").rstrip(".")

    def where(self, error: Exception) -> str:
        """'winback/reminder/body.html:12: ', the innermost template line that was at work; of a block that is
        lacking, the outermost."""
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if frame.filename.startswith(str(self.folder))]
        if not ours:
            return ""
        at = ours[0 if LACKING.match(str(error)) else -1]
        return f"{Path(at.filename).relative_to(self.folder)}:{at.lineno}: "

    def _environment(self, spoken: Language, marker: Marker | None) -> Environment:
        """One for all templates of a language, so that what they share is compiled once."""
        key = (spoken.tag, marker is not None)
        if key not in self._environments:
            self._environments[key] = make_environment(self.folder, spoken, marker, self.turns)
        return self._environments[key]

    def _compile(self, environment: Environment, file: str) -> Template:
        try:
            return environment.get_template(file)
        except NOT_COMPILED as error:
            raise _does_not_compile(self.folder / file, error) from error


def _refuse_long(template: str, *texts: str) -> None:
    size = sum(map(len, texts))
    if size > CHARACTERS_MAX:
        most = f"{CHARACTERS_MAX:,} are the most; show less of it"
        raise ValueError(f"{template} makes a message of {size:,} characters, and {most}")


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "this goes on for ever: a file includes or extends itself, or a macro calls itself"
    if lacking := LACKING.match(str(error)):
        block = lacking["block"]
        return (
            f"the block '{block}', which its layout asks for, is missing; "
            f"write {{% block {block} %}}…{{% endblock %}}"
        )
    return str(error).rstrip(".")


def _made(part: Template | None, filled: Mapping[str, Any]) -> str:
    return "" if part is None else part.render(filled)


def _does_not_compile(path: Path, error: Exception) -> BadInput:
    """Python's own lines, of what Jinja2 makes of the file, are nobody's."""
    if isinstance(error, TemplateSyntaxError):
        said = (error.message or "").rstrip(".")
        return BadInput(f"{path}:{error.lineno} does not compile: {said}.")
    deep = isinstance(error, RecursionError | IndentationError)
    said = "its parts are nested too deeply" if deep else getattr(error, "msg", str(error))
    return BadInput(f"{path} does not compile: {said}.")
