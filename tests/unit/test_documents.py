"""YAML that people write is read as they meant it, and their mistakes are named."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from tessera import documents
from tessera.documents import Document


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
        (
            "name: a\nwindows:\n  - {start: a, end: b}\n  - start: a\n    ent: b",
            "page.yml:5: 'ent' is not a key here. Did you mean 'end'?",
        ),
        ("name: a\nwindow: {start: a}", "page.yml:2: 'end' is missing; write it."),
        (
            "name: a\nshare: -1",
            "page.yml:2: 'share' cannot be -1: Input should be greater than or equal to 0.",
        ),
        ("kind: card", "page.yml:1: 'name' is missing; write it."),
        ("- a", "page.yml:1: this must be keys with values."),
        ("name: [", "page.yml:1: this is not YAML: "),
        ("name: \x00", "page.yml:1: this is not YAML: "),
    ],
)
def test_a_mistake_says_where_and_what(tmp_path: Path, text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in read(tmp_path, text)[1])


def test_text_in_another_encoding_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "page.yml").write_bytes(b"name: \xff")
    _, problems, _ = documents.read(tmp_path / "page.yml", Page, project=tmp_path)
    assert [problem.message for problem in problems] == ["this is not UTF-8 text."]
