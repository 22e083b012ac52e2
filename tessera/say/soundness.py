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
TEXTS = {"gettext": 1, "ngettext": 2, "pgettext": 2, "npgettext": 3}  # how many each is given
COUNTS = (0, 1, 2, 3, 5, 11, 100)  # every language's forms are among those of these numbers


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
            if problem := _unspeakable(call, translations):
                return f"{self.templates.folder.name}/{file}:{call.lineno} {problem}"
        return None


def _unspeakable(call: nodes.Call, translations: NullTranslations) -> str | None:
    """Why a text cannot be said in another language, whatever the customer: it is not only in branches
    taken for one of whom all is known."""
    if (text := constant_text(call)) is not None:
        try:
            translated(translations, text)
        except ValueError as problem:
            return f"does not compile: {problem}"
        return None
    function, texts = _texts(call)
    given = {one.key: 1 for one in call.kwargs} | ({"num": 1} if function.startswith("n") else {})
    for spoken in _spoken(function, texts, translations):
        try:
            _ = spoken % given
        except (KeyError, TypeError, ValueError):
            return f'is translated with a value nobody gives: "{texts[-1]}" as "{spoken}"'
    return None


def _texts(call: nodes.Call) -> tuple[str, list[str]]:
    """Which function of gettext's is called, and with which texts; none where they are not plain."""
    name = call.node.name if isinstance(call.node, nodes.Name) else ""
    texts = [arg.value for arg in call.args if isinstance(arg, nodes.Const)]
    function = "gettext" if name == "_" else name
    if call.dyn_args or call.dyn_kwargs or len(texts) < TEXTS.get(function, 9):
        return "", []
    return function, texts[: TEXTS[function]]


def _spoken(function: str, texts: list[str], translations: NullTranslations) -> Iterator[str]:
    """What the texts are in the other language, in all its forms."""
    if function:
        say = getattr(translations, function)
        numbers = [[count] for count in COUNTS] if function.startswith("n") else [[]]
        yield from dict.fromkeys(say(*texts, *number) for number in numbers)
