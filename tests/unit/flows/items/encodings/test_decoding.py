"""Text of any encoding comes right, or its guess is said; what is no text is refused."""

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.flows.items.encodings import Decoded, decoded, is_binary
from prefect_governor.flows.items.encodings.names import check_encoding, known_encodings

GERMAN = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, für 5 Mark.\n" * 4
SPANISH = (
    "¿Qué ocurrió después? El señor Núñez llegó a la habitación, pidió café y miró la televisión.\n"
    "Según la opinión del público, la decisión también fue difícil: ¡nadie lo esperaba así!\n"
)
PORTUGUESE = (
    "A informação não está disponível: a solução será enviada amanhã às três horas da manhã.\n"
    "São opções válidas para você; não há exceções além das já mencionadas no início da seção.\n"
)
RUSSIAN = "Все люди рождаются свободными и равными в своём достоинстве и правах.\n" * 3  # noqa: RUF001
JAPANESE = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。\n"
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.\n"
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。\n"  # noqa: RUF001
GREEK = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.\n"  # noqa: RUF001
POLISH = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw, żółć.\n"


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (SPANISH, "cp1252"),
        (PORTUGUESE, "cp1252"),
        (GERMAN, "cp1252"),
        (GERMAN, "mac-roman"),
        (POLISH, "cp1250"),
        (POLISH, "iso8859-2"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (GREEK, "cp1253"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (KOREAN, "euc_kr"),
        (CHINESE, "gb18030"),
    ],
)
def test_text_in_a_legacy_encoding_is_right_and_the_guess_is_said(text: str, codec: str) -> None:
    found = decoded(text.encode(codec))
    assert found.text == text
    assert found.note is not None
    assert found.note.startswith("encoding guessed: ")


@pytest.mark.parametrize(
    "raw",
    ["caf\xe9 au lait\n".encode("cp1252"), "Größe: 3 m²".encode("cp1252")],
    ids=["coffee", "size"],
)
def test_a_few_bytes_are_taken_for_what_is_commonest(raw: bytes) -> None:
    assert decoded(raw) == Decoded(raw.decode("cp1252"), "cp1252", "encoding guessed: cp1252")


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_utf8_needs_no_note(mark: bytes) -> None:
    assert decoded(mark + RUSSIAN.encode()) == Decoded(RUSSIAN, "utf-8")


def test_one_bad_byte_does_not_garble_a_file_of_utf8() -> None:
    lines = [f"Zeile {at}: Grüße aus Köln\n".encode() for at in range(50)]
    raw = b"".join([*lines[:25], b"caf\xe9\n", *lines[25:]])
    found = decoded(raw)
    assert found.text.count("Grüße aus Köln") == 50
    assert "caf\ufffd\n" in found.text
    assert found.encoding == "utf-8"
    assert found.note == "not all UTF-8: what is broken is replaced by \ufffd in 1 place"


def test_a_bad_byte_in_ascii_is_a_letter_of_another_encoding() -> None:
    raw = b"plain line\n" * 50 + b"caf\xe9\n" + b"plain line\n" * 50
    found = decoded(raw)
    assert "café" in found.text
    assert found.note == f"encoding guessed: {found.encoding}"


@pytest.mark.parametrize("cut", [1, 2])
def test_a_file_that_was_cut_within_a_character_is_utf8(cut: int) -> None:
    found = decoded((JAPANESE * 3).encode().rstrip()[:-cut])
    assert found.text.startswith(JAPANESE)
    assert found.note is not None
    assert "in 1 place" in found.note


DECLARED = [
    (f'<?xml version="1.0" encoding="ISO-8859-2"?><a>{POLISH}</a>', "iso8859-2"),
    (f'<html><head><meta charset="windows-1251"></head>{RUSSIAN}</html>', "cp1251"),
    (f'<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">{JAPANESE}', "cp932"),
    (f"#!/usr/bin/python\n# -*- coding: koi8-r -*-\n# {RUSSIAN}", "koi8-r"),
    (f'@charset "iso-8859-15";\n/* 5 € {GERMAN} */', "iso8859-15"),
]


@pytest.mark.parametrize(("text", "codec"), DECLARED, ids=[codec for _, codec in DECLARED])
def test_what_a_text_says_of_itself_decides_without_a_note(text: str, codec: str) -> None:
    assert decoded(text.encode(codec)) == Decoded(text, codec)


def test_what_the_server_said_decides_before_what_the_page_says() -> None:
    page = f'<meta charset="utf-8">{RUSSIAN}'
    assert decoded(page.encode("koi8-r"), declared="KOI8-R") == Decoded(page, "koi8-r")


@pytest.mark.parametrize(
    ("declared", "text", "words"),
    [
        ("iso-8859-1", GERMAN.encode(), "declared as cp1252, read as the UTF-8 that it is"),
        ("utf-8", GERMAN.encode("cp1252"), "declared as utf-8, which it is not; encoding guessed"),
        ("klingon", GERMAN.encode(), "declared as 'klingon', which is no encoding"),
        ("utf-16", GERMAN.encode(), None),
    ],
)
def test_a_false_declaration_garbles_nothing_and_is_said(
    declared: str, text: bytes, words: str | None
) -> None:
    found = decoded(text, declared=declared)
    assert found.text == GERMAN
    assert (found.note or "").startswith(words or "")
    assert (found.note is None) == (words is None)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text", [GERMAN, RUSSIAN, GREEK, JAPANESE * 3, KOREAN * 3, CHINESE * 3],
    ids=["de", "ru", "el", "ja", "ko", "zh"],
)  # fmt: skip
def test_wide_text_without_a_mark_is_told_from_binary(codec: str, text: str) -> None:
    raw = text.encode(codec)
    assert not is_binary(raw)
    found = decoded(raw)
    assert (found.text, found.encoding) == (text, codec)
    assert found.note == f"encoding guessed: {codec}"


def _blobs() -> dict[str, bytes]:
    chance = random.Random(20)
    return {
        "random": chance.randbytes(5000),
        "integers": b"".join(each.to_bytes(4, "little") for each in range(2000)),
        "small integers": bytes(chance.choice(b"\0\0\0\1\2\3 ") for _ in range(4000)),
        "floats": b"".join(os.urandom(2) + b"\xc0?" for _ in range(500)),
        "elf": b"\x7fELF\x02\x01\x01" + bytes(9) + chance.randbytes(500) + bytes(100),
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + chance.randbytes(300),
        "structures": b"".join(b"name%d\0\0\0" % each + chance.randbytes(8) for each in range(200)),
    }


@pytest.mark.parametrize("name", sorted(_blobs()))
def test_binary_is_not_taken_for_wide_text(name: str) -> None:
    raw = _blobs()[name]
    assert is_binary(raw)
    with pytest.raises(ItemFailed, match="binary"):
        decoded(raw)


def test_what_a_person_says_decides() -> None:
    raw = GERMAN.encode()
    assert decoded(raw, encoding="cp1252").text == raw.decode("cp1252")
    assert decoded(RUSSIAN.encode("utf-16-le"), encoding="utf-16-le").text == RUSSIAN
    broken = decoded(b"caf\xe9", encoding="ascii")
    assert broken == Decoded(
        "caf\ufffd", "ascii", "not all ascii: what is broken is replaced by \ufffd in 1 place"
    )
    with pytest.raises(ItemFailed, match="binary"):
        decoded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", encoding="cp1252")


@pytest.mark.parametrize("name", ["cp12522", "base64", "rot13", "idna", "", "utf-9"])
def test_an_unknown_encoding_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_encoding(name)
    assert "koi8-r" in str(caught.value)
    assert "base64" not in str(caught.value).partition("known are")[2]
    assert "\n" not in str(caught.value)


def test_every_known_encoding_is_one() -> None:
    assert len(known_encodings()) > 60
    assert all(check_encoding(each) for each in known_encodings())


# A few letters with a NUL between them are UTF-16.
@given(st.text(st.characters(exclude_characters="\0")))
def test_utf8_comes_back_as_it_was(text: str) -> None:
    raw = text.encode("utf-8", "replace")
    if is_binary(raw) or raw[:2] in (b"\xff\xfe", b"\xfe\xff") or raw[:1] in (b"<", b"#", b"@"):
        return
    assert decoded(raw).text == raw.decode().removeprefix("\ufeff")


@given(st.binary(max_size=400))
def test_no_bytes_crash_the_decoding(raw: bytes) -> None:
    try:
        decoded(raw).text.encode()
    except ItemFailed:
        return


@pytest.mark.parametrize(
    "text",
    [
        "id,nombre,nota\n1a,Núñez,El señor pagó por el café de mañana\n",
        "größer ähnlich straße müller the of and line error warn\n" * 40,
    ],
)
def test_a_few_names_in_a_table_are_not_taken_for_what_dos_wrote(text: str) -> None:
    assert decoded(text.encode("cp1252")) == Decoded(text, "cp1252", "encoding guessed: cp1252")


def test_a_heading_that_names_ebcdic_makes_no_garbage_of_a_text_in_ascii() -> None:
    text = "# Encoding: cp037 and others\n\nThis is plain.\n"
    assert decoded(text.encode()) == Decoded(text, "utf-8")


@pytest.mark.parametrize(
    ("written", "by"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16-le")]
)
def test_one_encoding_told_for_all_files_garbles_none_in_silence(written: str, by: str) -> None:
    raw = GERMAN.encode(written)
    note = decoded(raw, encoding="cp1252").note or ""
    assert note.startswith(f"read as cp1252, as told, though by its bytes it is {by}")
    assert decoded(raw, encoding=written) == Decoded(GERMAN, written)
    assert decoded(GERMAN.encode("cp1252"), encoding="cp1252").note is None
