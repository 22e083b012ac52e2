"""A name is the same name in another script, by its sound and by what its bearer is called."""

from __future__ import annotations

import pytest

from tessera.know.names import latin, script, sound, written

# As people spell themselves, and not as a table of letters would.
SPELLINGS = """
    Γιώργος=Giorgos Παπαδόπουλος=Papadopoulos Αγγελόπουλος=Angelopoulos Οικονόμου=Economou
    Ειρήνη=Irini Ευαγγελία=Evangelia Μπάμπης=Babis Ζαχαρίας=Zacharias Γεννηματά=Gennimata
    Юлия=Julia Фёдор=Fedor Соловьёв=Soloviev Щербаков=Shcherbakov Цветаева=Tsvetaeva
    Хрущёв=Khrushchev Мюллер=Müller Янис=Jānis Берзиньш=Bērziņš
    مریم=Maryam فاطمه=Fatemeh رضا=Reza حسین=Hossein صادقی=Sadeghi گل‌محمدی=Golmohammadi
    قاسمی=Ghasemi سهراب=Sohrab خسروی=Khosravi ژاله=Zhaleh
    Müller=Mueller Groß=Gross Käthe=Kaethe Łukasz=Lukasz
"""


@pytest.mark.parametrize("pair", SPELLINGS.split())
def test_a_name_sounds_the_same_in_latin_letters(pair: str) -> None:
    own, spelt = pair.split("=")
    assert sound(latin(own)) == sound(latin(spelt)) != ""


@pytest.mark.parametrize(
    "pair",
    [
        "Maria=Marta",
        "Иван=Игорь",
        "Ahmadi=Rahimi",
        "Bērziņa=Kalniņa",
        "Stefan=Steven",
        "Νίκος=Γιάννης",
    ],
)
def test_other_names_sound_otherwise(pair: str) -> None:
    one, other = pair.split("=")
    assert sound(latin(one)) != sound(latin(other))


def test_case_accents_hyphens_and_blanks_make_no_other_name() -> None:
    assert latin("ΜΑΡΊΑ-ελένη") == latin("Μαρια Ελενη") == "mariaeleni"
    assert latin("O'Brien") == latin("o’brien") == "obrien"
    assert latin("١٢ !") == ""


def test_the_script_is_that_of_the_first_letter() -> None:
    names = ["Müller", "Γιώργος", "'Юлия", "مریم", "7"]
    assert list(map(script, names)) == ["LATIN", "GREEK", "CYRILLIC", "ARABIC", "NONE"]


def test_nicknames_share_what_the_bearer_is_called() -> None:
    rows = {row["name"]: set(row["calls"]) for row in written(NAMED).to_pylist()}
    assert rows["Kate"] & rows["Αικατερίνη"]
    assert rows["Саша"] & rows["Alexandros"]
    assert not rows["Alexandros"] & rows["Alexandra"]
    assert not rows["Bill"] & rows["Bob"]
    assert rows["Quillfeather"] == set()


NAMED = ["Kate", "Αικατερίνη", "Саша", "Alexandros", "Alexandra", "Bill", "Bob", "Quillfeather"]
