"""The mail linter: would this message look right, be read and be lawful in the mail programs there are?

Each template is rendered in each language for a customer of whom all is known, one of whom nothing
is, and one whose name is an attack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tessera.errors import BadInput
from tessera.say.fields import sample
from tessera.say.languages import Language
from tessera.say.templates import CONTROLS, Rendered, Templates, Unrenderable

CLIPPED_AT = 102_000  # bytes of HTML after which Gmail shows a link instead of the rest
SUBJECT_AT_MOST = 78  # characters, the longest header line that mail programs should be given
WIDEST = 640  # pixels
ATTACK = "<script>x</script>\r\nBcc: all@mail.example"
URL = re.compile(r"https?://[^\s<>\"')]+")
BESIDE = re.compile(
    r"float\s*:\s*(?:left|right)|display\s*:\s*(?:inline-)?(?:flex|grid)|column-count"
)
WIDE = re.compile(r"(?<![-\w])(?:min-)?width\s*:\s*(\d+)px")
# What cannot be written inline: what depends on the reader's screen, scheme or pointer.
NOT_INLINE = re.compile(r"^(?:@(?!import)|:root\b|.*:(?:hover|focus|active|visited)\b)")


def names(project: Path) -> list[str]:
    """Every template of the project."""
    folder = project / "templates"
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("subject.txt"))


def lint(project: Path, template: str) -> list[str]:
    """What is wrong with `template`, a sentence each with the languages it is wrong in; empty when
    all is well."""
    templates = Templates(project / "templates")
    found: dict[str, list[str]] = {}
    for code in templates.languages.codes:
        for problem in dict.fromkeys(_problems(templates, template, code)):
            found.setdefault(problem, []).append(code)
    where = templates.folder / template
    return [f"{where}: {said.rstrip('.')} ({', '.join(codes)})." for said, codes in found.items()]


def _problems(templates: Templates, template: str, code: str) -> Iterator[str]:
    language = templates.languages.speak(code)
    for data in (sample(), sample(full=False)):
        try:
            rendered = templates.render(template, code, data)
        except (Unrenderable, BadInput) as error:
            yield f"it cannot be written: {error}"
            return
        yield from judge(rendered, data, language)
    yield from _attacked(templates.render(template, code, _attacking()))


def _attacking() -> dict[str, Any]:
    """A customer whose every text tries to be markup, or a header of its own."""
    data = sample()
    return {name: ATTACK if isinstance(value, str) else value for name, value in data.items()}


def _attacked(rendered: Rendered) -> Iterator[str]:
    if CONTROLS.sub(" ", rendered.subject) != rendered.subject:
        yield "a value can put a line break into the subject, and so a header into the mail."
    if "<script>" in rendered.html:
        yield "a value is shown unescaped in body.html; remove 'safe' or the like."


def judge(rendered: Rendered, data: dict[str, Any], language: Language) -> Iterator[str]:
    """What is wrong with one message."""
    page = Page.read(rendered.html)
    yield from _subject(rendered.subject)
    yield from _size(rendered.html)
    yield from _language(page, language)
    yield from _layout(page)
    yield from _lawful(rendered, page, data)
    yield from _links(rendered, page)


def _subject(subject: str) -> Iterator[str]:
    if not subject:
        yield "the subject is empty."
    if len(subject) > SUBJECT_AT_MOST:
        yield f"the subject has {len(subject)} characters; more than {SUBJECT_AT_MOST} are cut off."


def _size(html: str) -> Iterator[str]:
    size = len(html.encode())
    if size > CLIPPED_AT:
        yield f"body.html has {size:,} bytes; beyond {CLIPPED_AT:,} the unsubscribe link is cut off."


def _language(page: Page, language: Language) -> Iterator[str]:
    html = page.html
    if not html.get("lang"):
        yield "body.html has no <html lang=…>; screen readers need it."
    if html.get("dir") != language.direction:
        yield f'body.html needs <html dir="{language.direction}">.'
    if any(table.get("dir") != language.direction for table in page.tables):
        yield "a table has no dir=…; some mail programs do not take it from <html>."


def _layout(page: Page) -> Iterator[str]:
    if page.forbidden:
        yield f"body.html has {', '.join(sorted(page.forbidden))}, which mail programs remove."
    widths = [int(text) for text in WIDE.findall(" ".join(page.styles))] + page.widths
    if max(widths, default=0) > WIDEST:
        yield f"something is {max(widths)} pixels wide; one column has at most {WIDEST}."
    if BESIDE.search(" ".join((*page.styles, page.sheet))):
        yield "body.html puts things side by side (float, flex or grid); keep to one column."
    for rule in page.rules():
        if not NOT_INLINE.match(rule):
            yield f"the style of '{rule}' must be inline; many mail programs drop <style>."
    if "color-scheme" not in page.metas or "prefers-color-scheme: dark" not in page.sheet:
        yield 'body.html has no dark mode: <meta name="color-scheme"> and its media query.'
    for picture in page.silent:
        yield f"the picture '{picture}' has no alt text."


def _lawful(rendered: Rendered, page: Page, data: dict[str, Any]) -> Iterator[str]:
    address, link = data["shop"]["postal_address"], data["links"]["unsubscribe"]
    if address not in page.text or address not in rendered.text:
        yield "a part has no postal address; show shop.postal_address."
    if link not in page.links or link not in rendered.text:
        yield "a part has no unsubscribe link; show links.unsubscribe."


def _links(rendered: Rendered, page: Page) -> Iterator[str]:
    html = {link for link in page.links if URL.match(link)}
    text = set(URL.findall(rendered.text))
    for link in sorted(html - text):
        yield f"{link} is linked in body.html, but not in body.txt."
    for link in sorted(text - html):
        yield f"{link} is in body.txt, but not linked in body.html."


FORBIDDEN = ("script", "link", "iframe", "form", "object", "embed", "video", "base")


@dataclass
class Page(HTMLParser):
    """What a mail program makes of the HTML part."""

    html: dict[str, str | None] = field(default_factory=dict)
    tables: list[dict[str, str | None]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)  # pictures without an alt text
    styles: list[str] = field(default_factory=list)  # inline
    widths: list[int] = field(default_factory=list)
    metas: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    sheet: str = ""
    text: str = ""
    inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def read(cls, html: str) -> Page:
        page = cls()
        page.feed(html)
        return page

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.inside = tag
        self.styles.append(found.get("style") or "")
        if (found.get("width") or "").isdigit():
            self.widths.append(int(found["width"] or 0))
        if tag in FORBIDDEN:
            self.forbidden.add(f"<{tag}>")
        if tag == "img" and "alt" not in found:
            self.silent.append(found.get("src") or "")
        self._keep(tag, found)

    def _keep(self, tag: str, found: dict[str, str | None]) -> None:
        if tag == "html":
            self.html = found
        elif tag == "table":
            self.tables.append(found)
        elif tag == "a":
            self.links.append(found.get("href") or "")
        elif tag == "meta":
            self.metas.add(found.get("name") or "")

    def handle_data(self, data: str) -> None:
        if self.inside == "style":
            self.sheet += data
        else:
            self.text += data

    def handle_endtag(self, _tag: str) -> None:
        self.inside = ""

    def rules(self) -> Iterator[str]:
        """The selectors of the style sheet, those inside of @media apart."""
        depth, start = 0, 0
        sheet = re.sub(r"/\*.*?\*/", "", self.sheet, flags=re.DOTALL)
        for at, sign in enumerate(sheet):
            if sign == "{":
                if depth == 0:
                    yield " ".join(sheet[start:at].split())
                depth += 1
            elif sign == "}":
                depth, start = depth - 1, at + 1
            elif sign == ";" and depth == 0:
                yield " ".join(sheet[start:at].split())
                start = at + 1
