"""Judges a template before anything is sent: compiles, complete, shows only what it may, in every
language, and reads well for a customer of whom nothing is known."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from babel.messages.catalog import Catalog
from jinja2 import meta, nodes

from tessera.documents import Problem
from tessera.errors import BadInput
from tessera.say import lint
from tessera.say.environment import make_environment
from tessera.say.fields import CUSTOMER, GROUPS, LANGUAGE, VOUCHER, sample
from tessera.say.languages import SOURCE, read_catalogue
from tessera.say.templates import Rendered, Templates, Unrenderable

POLICY = Path("deployments/contact_policy.yml")
HTML = {"email": "body.html", "sms": "", "print": "letter.html"}
PAGES = "web/*.html"
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
FEW = 3  # texts are named of the many that a catalogue lacks
MISSING = "is not translated; add it with its msgstr"
INCOMPLETE = "is not translated; complete its msgstr and remove 'fuzzy'"
OF_MANY = {
    MISSING: "are not translated; add each with its msgstr",
    INCOMPLETE: "are not translated; complete each msgstr and remove 'fuzzy'",
}


@dataclass(frozen=True)
class Gap(Problem):
    """A text, the key, that a catalogue does not translate as it should."""

    where: str  # it is written, by file and line
    what: str  # is wrong


def check(project: Path, template: str, channel: str = "email") -> list[str]:
    """What is wrong with `template` on this channel, a sentence each with file and line; empty when all is well.
    Its messages may show all of a voucher."""
    lacking = gaps(project, {(template, channel)}, pages=False)
    return [*map(str, lacking), *faults(project, template, channel, voucher=GROUPS["voucher"])]


def faults(project: Path, template: str, channel: str, *, voucher: Collection[str]) -> list[str]:
    """As `check`, but for what catalogues lack; `voucher`: which of a voucher's fields its messages have."""
    folder = project / "templates"
    try:
        templates = Templates(folder)
        templates.compile(template, SOURCE, channel)
        sources = Sources(templates)
        files = templates.files(sources.environment, template, channel)
        return [
            *(problem for file in files for problem in sources.unknown_names(file)),
            *(problem for file in files for problem in sources.too_much(file, _may_show(project))),
            *trial(templates, template, channel, voucher),
        ]
    except BadInput as problem:
        return [str(problem)]


def _may_show(project: Path) -> Collection[str]:
    """The person's fields that the contact policy lists; all when it does not say."""
    try:
        policy = yaml.safe_load((project / POLICY).read_text(encoding="utf-8"))
        listed = policy.get("may_show") if isinstance(policy, dict) else None
    except (OSError, ValueError, yaml.YAMLError):
        return CUSTOMER  # what is wrong with the file is said where it is read
    return listed if isinstance(listed, list) else CUSTOMER


class Sources:
    """The template files as they are written."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates
        self.folder = templates.folder
        self.environment = make_environment(self.folder, templates.languages.speak(SOURCE))

    def unknown_names(self, file: str) -> Iterator[str]:
        """Names the template reads that no template may show."""
        tree = self.templates.parse(self.environment, file)
        own = {n.name for n in tree.find_all(nodes.Name) if n.ctx in ("store", "param")}
        own |= {node.name for node in tree.find_all(nodes.Macro)}
        own |= {node.target for node in tree.find_all(nodes.Import)} | {"caller"}
        known = {*CUSTOMER, *GROUPS, *LANGUAGE, *own, *self.environment.globals}
        for name in tree.find_all(nodes.Name):
            if name.ctx == "load" and name.name not in known:
                yield self._unknown(file, name.lineno, name.name, (*CUSTOMER, *GROUPS))
        for got in tree.find_all(nodes.Getattr):
            base = got.node.name if isinstance(got.node, nodes.Name) else ""
            if base in GROUPS and got.attr not in GROUPS[base]:
                yield self._unknown(file, got.lineno, f"{base}.{got.attr}", GROUPS[base])

    def too_much(self, file: str, may_show: Collection[str]) -> Iterator[str]:
        """Fields of the person that the template shows and the contact policy does not list."""
        tree = self.templates.parse(self.environment, file)
        hidden = meta.find_undeclared_variables(tree) & set(CUSTOMER) - set(may_show)
        for name in tree.find_all(nodes.Name):
            if name.ctx == "load" and name.name in hidden:
                yield (
                    f"{self.folder / file}:{name.lineno}: '{name.name}' is shown, but may_show in "
                    f"{POLICY} does not list it; leave it out, or list it if it must be."
                )

    def texts(self, file: str) -> Iterator[tuple[tuple[str, ...], str]]:
        """Every text to be translated (singular, and plural if it has one) and where it is."""
        source = (self.folder / file).read_text(encoding="utf-8")
        for line, function, message in self.environment.extract_translations(source):  # type: ignore[attr-defined]
            parts = message if isinstance(message, tuple) else (message,)
            text = tuple(parts[: 2 if function == "ngettext" else 1])
            yield text, f"{self.folder / file}:{line}"

    def texts_of(self, files: Iterable[str]) -> dict[tuple[str, ...], str]:
        """The texts of those that compile, each where it is first."""
        found: dict[tuple[str, ...], str] = {}
        for file in files:
            with suppress(BadInput):
                self.templates.parse(self.environment, file)
                for text, at in self.texts(file):
                    found.setdefault(text, at)
        return found

    def _unknown(self, file: str, line: int, name: str, known: Iterable[str]) -> str:
        return (
            f"{self.folder / file}:{line}: '{name}' is not something a template may show; "
            f"there are {', '.join(known)}."
        )


def gaps(project: Path, templates: Collection[tuple[str, str]], *, pages: bool = True) -> list[Gap]:
    """What catalogues lack of these templates (each with its channel) and of the pages, each text once.
    Of a template that does not compile, and of a catalogue that is none, nothing is said."""
    folder = project / "templates"
    found: list[Gap] = []
    with suppress(BadInput):
        sources = Sources(Templates(folder))
        files = dict.fromkeys(str(path.relative_to(folder)) for path in folder.glob(PAGES) if pages)
        for template, channel in sorted(templates):
            with suppress(BadInput):
                its = sources.templates.files(sources.environment, template, channel)
                files |= dict.fromkeys(its)
        found.extend(untranslated(folder, sources.texts_of(files)))
    return found


def untranslated(folder: Path, texts: Mapping[tuple[str, ...], str]) -> Iterator[Gap]:
    """Texts a catalogue lacks, has only as a guess, or fills with other placeholders."""
    for path in sorted(folder.glob("locale/*.po")):
        catalogue, file = read_catalogue(path), str(path.relative_to(folder.parent))
        for text, at in texts.items():
            if what := _translation_problem(catalogue, text):
                where = at.removeprefix(f"{folder.parent}/")
                known = catalogue.get(text[0])
                line = (known and known.lineno) or 1
                yield Gap(file, line, text[0], f'"{text[0]}" ({where}) {what}.', where, what)


def gathered(problems: Sequence[Problem]) -> list[str]:
    """A sentence for each problem, and one for all that a catalogue lacks when that is much."""
    alike: dict[tuple[str, str], list[Gap]] = {}
    for one in problems:
        if isinstance(one, Gap) and one.what in OF_MANY:
            alike.setdefault((one.file, one.what), []).append(one)
    many = {key: found for key, found in alike.items() if len(found) > FEW}
    told = {id(gap) for found in many.values() for gap in found}
    return [
        *(str(one) for one in problems if id(one) not in told),
        *(_sentence(found) for found in many.values()),
    ]


def _sentence(gaps: Sequence[Gap]) -> str:
    first = gaps[0]
    named = ", ".join(f'"{gap.key}" ({gap.where})' for gap in gaps[:FEW])
    return (
        f"{first.file}:{first.line}: {len(gaps)} texts {OF_MANY[first.what]}: {named} and "
        f"{len(gaps) - FEW} more, which --json lists."
    )


def _translation_problem(catalogue: Catalog, text: tuple[str, ...]) -> str | None:
    message = catalogue.get(text[0])
    if message is None:
        return MISSING
    translated = message.string if isinstance(message.string, list | tuple) else (message.string,)
    strings = [string for string in translated if string]
    if len(strings) < len(translated) or message.fuzzy:
        return INCOMPLETE
    wanted = {name for part in text for name in PLACEHOLDER.findall(part)}
    if any(set(PLACEHOLDER.findall(string)) != wanted for string in strings):
        return f"must keep the placeholders {', '.join(f'%({n})s' for n in sorted(wanted))}"
    return None


def trial(
    templates: Templates, template: str, channel: str, voucher: Collection[str]
) -> Iterator[str]:
    """Renders for a customer of whom all is known and one of whom nothing is, in each language."""
    seen = set()
    shown = {"voucher": {name: VOUCHER[name] for name in voucher}}
    for language in templates.languages.codes:
        for full in (True, False):
            data = sample(full=full) | shown
            for problem in _rendered_problems(templates, (template, channel), language, data):
                if problem not in seen:
                    yield problem
                seen.add(problem)


def _rendered_problems(
    templates: Templates, one: tuple[str, str], language: str, data: dict[str, Any]
) -> Iterator[str]:
    template, channel = one
    where = templates.folder / template
    try:
        rendered = templates.render(template, language, data, channel)
    except Unrenderable as error:
        yield f"{templates.folder}/{error}."
        return
    if not (rendered.html or rendered.text).strip():
        yield f"{where} says nothing."
    if channel == "email":
        yield from _mail_problems(where, rendered, data)
    for picture in lint.Page.read(rendered.html).silent:
        yield f"{where}/{HTML[channel]}: the picture '{picture}' has no alt text."


def _mail_problems(where: Path, rendered: Rendered, data: dict[str, Any]) -> Iterator[str]:
    if not rendered.subject:
        yield f"{where}/subject.txt is empty."
    for part, body in (("body.html", rendered.html), ("body.txt", rendered.text)):
        if data["links"]["unsubscribe"] not in body:
            yield f"{where}/{part} has no unsubscribe link; show links.unsubscribe."
        if data["shop"]["postal_address"] not in body:
            yield f"{where}/{part} has no postal address; show shop.postal_address."
