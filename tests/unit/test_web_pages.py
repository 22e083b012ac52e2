"""The pages that ship speak every language, and a shop's own topics do too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tessera.consent.wordings import choices
from tessera.say import Templates
from tessera.say.check import Sources, untranslated
from tessera.settings import CHECKOUT
from tessera.web.pages import STYLE, Pages

FOLDER = CHECKOUT / "templates"
FILES = sorted(str(path.relative_to(FOLDER)) for path in (FOLDER / "web").glob("*.html"))


@pytest.mark.parametrize("file", FILES)
def test_every_text_of_a_page_is_translated(file: str) -> None:
    texts = dict(Sources(Templates(FOLDER)).texts(file))
    assert list(untranslated(FOLDER, texts)) == []


def test_every_topic_is_translated() -> None:
    texts = {(one.title,): one.tag for one in choices(CHECKOUT).topics}
    assert list(untranslated(FOLDER, texts)) == []


def test_a_browser_is_answered_in_the_first_of_its_languages_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "templates/locale").mkdir(parents=True)
    for name in ("de", "pt-BR", "zh_Hant"):
        (tmp_path / f"templates/locale/{name}.po").touch()
    pages = Pages(tmp_path, "de")
    asked = {"de-AT,en;q=0.9": "de", "xx, *;q=0.1,pt-br": "pt_BR", "pt": None, "zh-TW": "zh_Hant",
             "en-GB": "en", "fr": None, "": None, None: None}  # fmt: skip
    assert {header: pages.accepted(header) for header in asked} == asked
    assert ("pt_BR", "Português (Brasil)") in pages.names()


def colours(scheme: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", scheme))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", STYLE.split("@media (prefers-color-scheme: dark)")[:2])
def test_text_and_controls_stand_out_from_their_ground(scheme: str) -> None:
    """WCAG AA: 4.5 for text, 3 for the edges of controls."""
    found = colours(scheme)
    pairs = [
        ("ink", "sheet"), ("strong", "sheet"), ("soft", "sheet"), ("soft", "ground"),
        ("ink", "ground"), ("accent", "sheet"), ("on-accent", "accent"), ("accent", "tint"),
        ("strong", "tint"), ("bad", "bad-tint"),
    ]  # fmt: skip
    assert [p for p in pairs if contrast(found[p[0]], found[p[1]]) < 4.5] == []
    assert contrast(found["line"], found["sheet"]) >= 3
