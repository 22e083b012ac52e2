"""YAML that people write is read as they meant it, and their mistakes are named."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from tessera import documents, plain
from tessera.consent.wordings import Choices, Wording
from tessera.decide.campaign import Campaign
from tessera.decide.policy import ContactPolicy
from tessera.documents import Document
from tessera.know.offering import Offering
from tessera.reward.programme import Programme


class Window(Document):
    start: str
    end: str


class Page(Document):
    name: str
    kind: Literal["letter", "card"] = "letter"
    window: Window | None = None
    windows: tuple[Window, ...] = ()
    is_on: bool = False
    share: float = Field(0, ge=0)
    exact: float = Field(0, strict=True)
    pages: int = Field(0, le=9, strict=True)
    day: date | None = None
    word: str = Field("a", pattern=r"^[a-z][a-z0-9_-]*$")
    list: tuple[str, ...] = Field(("a",), min_length=1)


def read(tmp_path: Path, text: str) -> tuple[Page | None, list[str]]:
    path = tmp_path / "page.yml"
    path.write_text(text, encoding="utf-8")
    page, problems, _ = documents.read(path, Page, project=tmp_path)
    return page, [str(problem) for problem in problems]


def test_a_time_without_quotes_is_text(tmp_path: Path) -> None:
    page, problems = read(tmp_path, "name: a\nwindow: {start: 9:00, end: 19:30}\nshare: 0.5\n")
    assert problems == []
    assert page is not None
    assert page.window == Window(start="9:00", end="19:30")
    assert page.share == 0.5


def test_what_is_merged_in_may_be_said_otherwise(tmp_path: Path) -> None:
    text = "name: a\nwindow: &day {start: '9:00', end: '19:30'}\nwindows:\n  - <<: *day\n    end: '12:00'\n"
    page, problems = read(tmp_path, text)
    assert problems == []
    assert page is not None
    assert page.windows == (Window(start="9:00", end="12:00"),)
    assert read(tmp_path, f"{text}    end: '13:00'\n")[1][0].startswith("page.yml:6: this key is")


def test_on_is_a_word_and_true_is_true(tmp_path: Path) -> None:
    page, _ = read(tmp_path, "name: on\nis_on: true\n")
    assert page is not None
    assert (page.name, page.is_on) == ("on", True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\nkindd: card", "page.yml:2: 'kindd' is not a key here. Did you mean 'kind'?"),
        ("name: a\nkind: cart", "page.yml:2: 'kind' cannot be 'cart'. Did you mean 'card'?"),
        ("name: a\nkind: x", "page.yml:2: 'kind' cannot be 'x'. Valid: card, letter."),
        ("name: a\nname: b", "page.yml:2: this key is written twice."),
        ("name: &a [*a]", "page.yml:1: this is nested too deeply, or leads back to itself"),
        ("name: " + "[" * 5000, "page.yml:1: this is n"),
        (
            "name: a\nwindows:\n  - {start: a, end: b}\n  - start: a\n    ent: b",
            "page.yml:5: 'ent' is not a key here. Did you mean 'end'?",
        ),
        ("name: a\nwindow: {start: a}", "page.yml:2: 'end' is missing; write it."),
        (
            "name: a\nshare: -1",
            "page.yml:2: 'share' cannot be -1: 0 is the least.",
        ),
        ("kind: card", "page.yml:1: 'name' is missing; write it."),
        ("name:", "page.yml:1: 'name' is empty: write a text, in quotes if it looks like"),
        ("name: 2026", "page.yml:1: 'name' cannot be 2026: write a text, in quotes if it looks"),
        ("name: a\nis_on: maybe", "page.yml:2: 'is_on' cannot be 'maybe': write true or false."),
        ("name: a\npages: 1.5", "page.yml:2: 'pages' cannot be 1.5: write a whole number."),
        ("name: a\npages: 50", "page.yml:2: 'pages' cannot be 50: 9 is the most."),
        ("name: a\npages: '2'", "page.yml:2: 'pages' cannot be '2': write a whole number."),
        ("name: a\nexact: 12.5%", "page.yml:2: 'exact' cannot be '12.5%': write it as 0.125."),
        ("name: a\nexact: 0,10", "page.yml:2: 'exact' cannot be '0,10': write it as 0.1."),
        ("name: a\nexact: 101%", "page.yml:2: 'exact' cannot be '101%': 100 % is the most, which"),
        ("name: a\nexact: some", "page.yml:2: 'exact' cannot be 'some': write a number."),
        ("name: a\nday: 24.12.2026", "page.yml:2: 'day' cannot be '24.12.2026': write a date as"),
        ("name: a\nday: 2026-02-31", "page.yml:2: 'day' cannot be '2026-02-31': write a date as"),
        ("name: a\nword: Ab", "page.yml:2: 'word' cannot be 'Ab': write small letters, digits"),
        ("name: a\nwindows: []\nlist: []", "page.yml:3: 'list': write 1 at least."),
        (
            "name: a\n3: b",
            "page.yml:2: '3' is not a key here; write a number with a point, as a comma begins the next key.",
        ),
        ("2026-01-01: b", "page.yml:1: "),
        ("name: a\n\tday: 2026-01-01", "page.yml:2: this is not YAML: "),
        ("name: a\n day: b", "page.yml:2: this is not YAML: mapping values are not allowed"),
        ("name: a\nday 3\nis_on: true", "page.yml:2: this is not YAML: could not find expected"),
        ("name: a\nlist: [b\nis_on: true", "page.yml:2: this is not YAML: "),
        ("name: a\nday: *b", "page.yml:2: this is not YAML: found undefined alias"),
        ("- a", "page.yml:1: this must be keys with values."),
        ("name: [", "page.yml:1: this is not YAML: "),
        ("name: \x00", "page.yml:1: this is not YAML: "),
    ],
)
def test_a_mistake_says_where_and_what(tmp_path: Path, text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in read(tmp_path, text)[1])


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("name: a\n\tday: b", "; indent with spaces, not with tabs."),
        ("name: a\n day: b", "; check the indentation, and put a text with ': ' in it in quotes."),
        ("name: a\nday 3\nis_on: true", "; write a key as 'key: value', with a space."),
        ("name: * * *", "; put a text that begins with * or & in quotes."),
        ("name: @a", "; put a text that begins with @, ` or % in quotes."),
        ("name: a\n---\nname: b", "; write one document in a file, without '---' in the middle."),
    ],
)
def test_what_is_no_yaml_says_what_people_usually_mean(
    tmp_path: Path, text: str, hint: str
) -> None:
    (problem,) = read(tmp_path, text)[1]
    assert problem.endswith(hint)


def test_a_number_with_a_nought_before_it_is_that_number(tmp_path: Path) -> None:
    page, problems = read(tmp_path, "name: a\npages: 08\nexact: 0.5\n")
    assert problems == []
    assert page is not None
    assert page.pages == 8


def test_text_in_another_encoding_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "page.yml").write_bytes(b"name: \xff")
    _, problems, _ = documents.read(tmp_path / "page.yml", Page, project=tmp_path)
    assert [problem.message for problem in problems] == ["this is not UTF-8 text."]


@pytest.mark.parametrize(
    "model",
    [Campaign, ContactPolicy, Programme, Choices, Wording, Offering],
    ids=lambda m: m.__name__,
)
def test_what_a_text_must_be_is_said_in_words(model: type[Document]) -> None:
    """Nobody who writes a programme reads regular expressions."""
    schema = json.dumps(model.model_json_schema())
    asked = {json.loads(found) for found in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', schema)}
    assert asked
    said_by_itself = {pattern for pattern in asked if pattern.endswith("24:00)$")}  # a time of day
    assert asked - said_by_itself - plain.PATTERNS.keys() == set()
