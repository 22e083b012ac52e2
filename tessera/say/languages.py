"""Which language a customer is spoken to in: gettext catalogues, with a fallback for every locale."""

from __future__ import annotations

import gettext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po

from tessera.errors import BadInput

SOURCE = "en"  # the language the templates themselves are written in; it needs no catalogue


@dataclass(frozen=True)
class Language:
    """A language we can speak: its locale for dates and numbers, and its translations."""

    locale: Locale
    translations: gettext.NullTranslations

    @property
    def tag(self) -> str:
        """As HTML's `lang` wants it: `fa`, `de-AT`."""
        return str(self.locale).replace("_", "-")

    @property
    def direction(self) -> str:
        """'ltr' or 'rtl'."""
        return self.locale.text_direction


class Languages:
    """The catalogues of `<folder>/locale/*.po`, read once."""

    def __init__(self, folder: Path, fallback: str) -> None:
        self._catalogues = {_named(path): path for path in sorted(folder.glob("locale/*.po"))}
        self._fallback = fallback
        self._known: dict[str, Language] = {}
        self._read: dict[str, gettext.NullTranslations] = {}

    @property
    def codes(self) -> list[str]:
        """The languages there are, the source language included."""
        return sorted({SOURCE, *self._catalogues})

    def speak(self, asked: str | None) -> Language:
        """The nearest language to `asked`: itself, then without its region, then the shop's
        default, then the source language. Never fails for want of a language."""
        key = asked or self._fallback
        if key not in self._known:
            self._known[key] = self._nearest(key)
        return self._known[key]

    def speaks(self, asked: str) -> bool:
        """Whether there is a catalogue for `asked`, if only without its region."""
        return not set(candidates(parse_locale(asked))).isdisjoint(self.codes)

    def _nearest(self, asked: str) -> Language:
        for wish in (asked, self._fallback, SOURCE):
            locale = parse_locale(wish)
            for code in candidates(locale):
                if code in self._catalogues or code == SOURCE:
                    return Language(locale or Locale(SOURCE), self._translations(code))
        raise AssertionError("the source language is always there")

    def _translations(self, code: str) -> gettext.NullTranslations:
        if code not in self._read:
            path = self._catalogues.get(code)
            read = gettext.NullTranslations() if path is None else compiled(read_catalogue(path))
            self._read[code] = read
        return self._read[code]


def parse_locale(text: str | None) -> Locale | None:
    """`de-AT`, `de_AT` or `DE` as a locale; None when it names none that is known."""
    try:
        return Locale.parse((text or "").strip().replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        return None


def candidates(locale: Locale | None) -> list[str]:
    """Catalogue names that would do for `locale`, the nearest first."""
    if locale is None:
        return []
    names = [str(locale), f"{locale.language}_{locale.script}", locale.language]
    return list(dict.fromkeys(names))


def _named(path: Path) -> str:
    """The locale of a `.po` file as candidates write it: `zh_Hant_TW` of `zh_TW.po` or `zh-TW.po`."""
    return str(parse_locale(path.stem) or path.stem)


def read_catalogue(path: Path) -> Catalog:
    """A `.po` file; BadInput, naming file and line, when it is not one."""
    try:
        with path.open("rb") as file:
            return read_po(file, locale=_named(path), abort_invalid=True)
    except PoFileError as error:
        where = f"{path}:{error.lineno + 1}" if error.lineno is not None else str(path)
        raise BadInput(f"{where} is not a gettext catalogue: {error}.") from error
    except (UnknownLocaleError, UnicodeDecodeError, ValueError) as error:
        raise BadInput(f"{path} is not a gettext catalogue: {error}.") from error


def compiled(catalogue: Catalog) -> gettext.GNUTranslations:
    """The catalogue as the standard library's gettext wants it; fuzzy messages are left out."""
    buffer = BytesIO()
    write_mo(buffer, catalogue)
    buffer.seek(0)
    return gettext.GNUTranslations(buffer)
