"""Which encoding a file is in, and what becomes of bytes that are not text."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from tessera.errors import BadInput
from tessera.land.encoding import Evidence, Text, as_utf8

NAMES = {
    "cp1252": "François Müller;Señora Núñez;Jürgen Größe;Anaïs Lefèvre;Søren Kjær;Inés Peña",
    "latin-1": "Renée Dûpont;Müller;José García;Åsa Öberg",
    "cp1253": "Γιώργος Παπαδόπουλος;Ελένη Ιωάννου;Κώστας Γεωργίου",
    "iso-8859-7": "Μαρία Νικολάου;Δημήτρης Κωνσταντίνου",
    "cp1251": "Иван Петров;Мария Сидорова;Ольга Кузнецова",
    "koi8-r": "Иван Петров;Мария Сидорова;Ольга Кузнецова",
    "cp1250": "Łukasz Wiśniewski;Małgorzata Zając;Żaneta Dąbrowska",
    "cp1254": "Gülşen Işık;Çağrı Öztürk;Şule Yıldırım",
    "cp1257": "Jānis Bērziņš;Līga Ozoliņa;Žanis Kalniņš",
    "cp1256": "محمد رضا;فاطمة الزهراء;عبد الرحمن",
}


def read(folder: Path, data: bytes, stated: str | None = None) -> tuple[Text, str]:
    path = folder / "content"
    path.write_bytes(data)
    evidence = Evidence()
    for start in range(0, len(data), 1000):  # characters fall across the edges of chunks
        evidence.add(data[start : start + 1000])
    text = as_utf8(path, evidence, "names.csv", stated)
    return text, text.path.read_text(encoding="utf-8-sig")


@pytest.mark.parametrize("encoding", NAMES)
def test_an_old_code_page_is_guessed_from_the_names_in_it(tmp_path: Path, encoding: str) -> None:
    content = "".join(
        f"{i};{name};12,50\r\n" for i, name in enumerate(NAMES[encoding].split(";") * 5)
    )
    text, found = read(tmp_path, content.encode(encoding))
    assert found == content.replace("\r\n", "\n")
    assert text.guessed
    assert not text.damaged


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_needs_no_guess(tmp_path: Path, encoding: str) -> None:
    content = "id;name\n" + "".join(f"{i};Ελένη Müller مریم 😀\n" for i in range(500))
    text, found = read(tmp_path, content.encode(encoding))
    assert found == content
    assert not text.guessed
    assert not text.damaged


def test_utf_16_with_its_bytes_the_other_way_round(tmp_path: Path) -> None:
    content = "id;name\n1;Müller\n"
    assert read(tmp_path, codecs.BOM_UTF16_BE + content.encode("utf-16-be"))[1] == content


def test_a_clean_file_is_not_copied(tmp_path: Path) -> None:
    text, _ = read(tmp_path, "1;Ελένη\n".encode())
    assert text.path == tmp_path / "content"


def test_what_the_mapping_states_is_not_doubted(tmp_path: Path) -> None:
    assert read(tmp_path, "Żółć\n".encode("cp1250"), "cp1250")[1] == "Żółć\n"


@pytest.mark.parametrize("at", [3, 2_003, 9_999])
def test_bytes_that_are_not_text_stay_visible_in_a_utf_8_file(tmp_path: Path, at: int) -> None:
    lines = [f"{i};Ελένη".encode() for i in range(10_000)]
    lines[at] += b"\xff\xfe"
    text, found = read(tmp_path, b"\n".join(lines))
    assert text.damaged
    assert found.split("\n")[at] == f"{at};Ελένη\ufffd<FF>\ufffd<FE>"
    assert found.count("\ufffd") == 2


@pytest.mark.parametrize("junk", [b"\xff", b"\xc3(", b"AB\xff\xfeCD", b"\x80\x81"])
def test_a_stray_byte_in_plain_ascii_makes_no_language(tmp_path: Path, junk: bytes) -> None:
    text, found = read(tmp_path, b"1;12.50\n2;" + junk + b";7\n3;9\n")
    assert text.damaged
    assert not text.guessed
    first, second, third = found.splitlines()
    assert (first, third) == ("1;12.50", "3;9")
    assert "\ufffd<" in second


def test_stated_utf_8_is_never_taken_for_something_else(tmp_path: Path) -> None:
    text, found = read(tmp_path, b"1;Caf\xe9\n", "utf-8")
    assert (text.damaged, found) == (True, "1;Caf\ufffd<E9>\n")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_byte_order_mark_and_the_zeros_of_utf_16_win_over_what_the_mapping_states(
    tmp_path: Path, encoding: str
) -> None:
    content = "id;name\n" + "1;Μαρία\n" * 9
    text, found = read(tmp_path, content.encode(encoding), "utf-8")
    assert (text.damaged, found) == (False, content)


@pytest.mark.parametrize("encoding", ["utf-16-be", "cp037"])
def test_control_characters_are_counted_in_the_encoding_stated(
    tmp_path: Path, encoding: str
) -> None:
    assert read(tmp_path, ("1;7\n" * 99).encode(encoding), encoding)[1] == "1;7\n" * 99


def test_a_nul_is_damage_too(tmp_path: Path) -> None:
    text, found = read(tmp_path, b"1;An\x00na\n" + b"2;Maria\n" * 100)
    assert (text.damaged, found.split("\n")[0]) == (True, "1;An\ufffd<00>na")


def test_a_character_cut_off_at_the_end_is_damage(tmp_path: Path) -> None:
    text, found = read(tmp_path, "1;Ελένη\n2;Ελένη".encode()[:-1])
    assert (text.damaged, found) == (True, "1;Ελένη\n2;Ελέν\ufffd<CE>")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (bytes(range(256)) * 20, "not text but binary"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200), "not text but binary"),
        (b"PK\x03\x04" + bytes(50), "a zip or Excel file"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"PAR1" + bytes(50), "a Parquet file"),
        (bytes(5000), "not text but binary"),
    ],
)
@pytest.mark.parametrize("stated", [None, "utf-8", "cp1252"])
def test_a_binary_file_is_not_text(
    tmp_path: Path, data: bytes, what: str, stated: str | None
) -> None:
    with pytest.raises(BadInput, match=f"names.csv is {what}; export it as CSV"):
        read(tmp_path, data, stated)
