"""Whether templates can be sent at all, at a fraction of what `check` costs: before every pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from gettext import NullTranslations
from pathlib import Path

from jinja2 import Environment, nodes

from tessera.errors import BadInput
from tessera.say.environment import constant_text, make_environment, translated
from tessera.say.languages import SOURCE
from tessera.say.templates import Templates

Content = tuple[str, str]  # a template and its channel


def unsound(
    folder: Path, fallback: str, contents: Iterable[Content], languages: Iterable[str | None]
) -> dict[Content, str]:
    """Why each of `contents` that cannot be sent in one of the `languages` cannot: a part of it is
    missing or does not compile, or cannot be filled in for a customer of whom all is known.

    Files are compiled once, for they are the same in all languages but for their texts.
    """
    sound = _Soundness(Templates(folder, fallback, has_slots=False), {*languages, fallback})
    problems = {one: sound.problem(*one) for one in dict.fromkeys(contents)}
    return {one: why for one, why in problems.items() if why}


class _Soundness:
    def __init__(self, templates: Templates, languages: Iterable[str | None]) -> None:
        self.templates, self.languages = templates, sorted(languages, key=str)
        self._known: dict[tuple[str, int], str | None] = {}

    def problem(self, template: str, channel: str) -> str | None:
        why = self.templates.problem(template, SOURCE, channel)
        try:
            return why or next(filter(None, self._mistranslated(template, channel)), None)
        except BadInput as error:  # of a catalogue
            return self.templates.said(error)

    @cached_property
    def environment(self) -> Environment:
        return make_environment(self.templates.folder, self.templates.languages.speak(SOURCE))

    def _mistranslated(self, template: str, channel: str) -> Iterator[str | None]:
        for asked in self.languages:
            translations = self.templates.languages.speak(asked).translations
            for file in self.templates.files(self.environment, template, channel):
                key = file, id(translations)
                if key not in self._known:
                    self._known[key] = self._mistranslation(file, translations)
                yield self._known[key]

    def _mistranslation(self, file: str, translations: NullTranslations) -> str | None:
        tree = self.templates.parse(self.environment, file)
        for call in tree.find_all(nodes.Call):
            if (text := constant_text(call)) is None:
                continue
            try:
                translated(translations, text)
            except ValueError as problem:
                where = f"{self.templates.folder.name}/{file}:{call.lineno}"
                return f"{where} does not compile: {problem}"
        return None
