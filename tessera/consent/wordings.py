"""The wordings people agree to, by version and language, and the topics they may choose from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tessera import documents
from tessera.documents import Document

WORDINGS = Path("deployments/consent_wordings.yml")
CHOICES = Path("deployments/preferences.yml")
NAME = r"^[a-z][a-z0-9_-]*$"
SOURCE = "en"


class Wording(Document):
    """One wording that people agree to: never changed once it was shown."""

    version: str = Field(pattern=NAME, max_length=60)
    channel: Literal["email", "sms", "print"]
    purpose: Literal["marketing"]
    text: dict[str, str]

    @model_validator(mode="after")
    def _speaks_english(self) -> Wording:
        if SOURCE not in self.text:
            raise ValueError(f"'text' needs at least '{SOURCE}', which others fall back to")
        return self

    def spoken(self, language: str) -> tuple[str, str]:
        """The text in `language`, or else in English, and the version with the language shown."""
        wishes = (language, language.partition("-")[0], SOURCE)
        code = next(wish for wish in wishes if wish in self.text)
        return self.text[code], f"{self.version}/{code}"


class _Wordings(Document):
    wordings: tuple[Wording, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _versions_are_unique(self) -> _Wordings:
        if len({wording.version for wording in self.wordings}) < len(self.wordings):
            raise ValueError("two wordings have the same version")
        return self


class Topic(Document):
    """A campaign's tag that people may decline."""

    tag: str = Field(pattern=NAME, max_length=60)
    title: str


class Choices(Document):
    """What the preference centre offers."""

    topics: tuple[Topic, ...] = ()
    pause_days: tuple[Annotated[int, Field(ge=1, le=366)], ...] = (14, 30, 90)


@dataclass(frozen=True)
class Wordings:
    """The wordings in force: the last of each channel."""

    by_channel: dict[str, Wording]

    @classmethod
    def load(cls, project: Path) -> Wordings:
        """BadInput, with file and line, when the file cannot be used."""
        found = documents.load(project / WORDINGS, _Wordings, project=project)
        return cls({wording.channel: wording for wording in found.wordings})


def choices(project: Path) -> Choices:
    """What people may choose between; BadInput, with file and line, when the file cannot be used."""
    return documents.load(project / CHOICES, Choices, project=project)
