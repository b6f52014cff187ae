"""Names that lead out are refused; folders of items never meet."""

import unicodedata

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from prefect_governor.blocks.workspaces.names import (
    NameRefused,
    folded,
    folder_name,
    parts_of,
    shown,
)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("//etc/passwd", "absolute"),
        ("..", "leads out"),
        ("a/../../b", "leads out"),
        ("a/b/..", "leads out"),
        ("./../a", "leads out"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\x9bb", "control"),
        ("a\u2028b", "control"),
        ("a\ud800b", "control"),
        ("a\udcffb", "control"),
        ("invoice\u202efdp.exe", "other systems"),
        ("..\\..\\a", "other systems"),
        ("a" * 256, "longer"),
        ("é" * 128, "longer"),
        ("/".join(["a" * 200] * 6), "longer"),
        ("/".join("a" * 33), "deeper than 32"),
        (".partial-1/a", "not yet written"),
    ],
)
def test_a_name_that_leads_out_or_lies_is_refused(name: str, why: str) -> None:
    with pytest.raises(NameRefused, match=why) as caught:
        parts_of(name, max_depth=32)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", ("a",)),
        ("./a//b/", ("a", "b")),
        ("", ()),
        (".", ()),
        ("...", ("...",)),
        ("a b/ü/文件.txt", ("a b", "ü", "文件.txt")),
        ("a" * 255, ("a" * 255,)),
        ("-rf", ("-rf",)),
    ],
)
def test_a_right_name_is_taken_as_it_is(name: str, parts: tuple[str, ...]) -> None:
    assert parts_of(name, max_depth=32) == parts


@given(st.text(max_size=60))
def test_no_name_that_is_taken_leads_out(name: str) -> None:
    try:
        parts = parts_of(name, max_depth=8)
    except NameRefused:
        return
    assert len(parts) <= 8
    assert not {"", ".", ".."} & {*parts}
    assert not any("/" in part or "\x00" in part for part in parts)


@given(st.text(max_size=300))
def test_what_is_shown_of_a_name_is_one_line(name: str) -> None:
    assert shown(name).isprintable()


KEYS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="aAbBzZß\u017fKéE\u0301-_.~/ ", max_size=12),
    st.text(alphabet="a/", min_size=50, max_size=400),
)


@settings(max_examples=300)
@given(KEYS, KEYS)
@example("README.md", "readme.md")
@example("ß", "ss")
@example("é", "e\u0301")
@example("a/b", "a-b")
@example("a" * 300, "a" * 301)
@example("K", "\u212a")
def test_no_two_items_have_one_folder_also_where_case_is_ignored(one: str, other: str) -> None:
    assume(one != other)
    assert folded(folder_name(one)) != folded(folder_name(other))


@given(st.lists(KEYS, min_size=1, max_size=3))
def test_a_folder_of_an_item_has_a_name_that_every_system_takes(keys: list[str]) -> None:
    name = folder_name(*keys)
    assert 1 <= len(name) <= 81
    assert name.isascii() and name == name.casefold() == unicodedata.normalize("NFD", name)
    assert not set(name) & set('/\\:*?"<>| \x00')
    assert not name.startswith(".") and not name.endswith(".")
    assert parts_of(name, max_depth=1) == (name,)


def test_a_plain_key_can_be_read_and_one_that_looks_encoded_is_no_other_items() -> None:
    assert folder_name("report-1.md") == "report-1.md"
    assert folder_name("repos/My App").startswith("repos-my-app~")
    encoded = folder_name("A")
    assert folder_name(encoded) != encoded
    assert folder_name("a", "b") != folder_name("a/b") != folder_name("a\x00b")


@given(st.text(max_size=30))
def test_names_that_differ_in_case_or_composition_fold_to_one(name: str) -> None:
    # Some letters have no way back from their capitals: a dotless i becomes "I".
    assume(name.upper().casefold() == name.casefold())
    assert folded(name.upper()) == folded(name)
    assert folded(unicodedata.normalize("NFC", name)) == folded(unicodedata.normalize("NFD", name))
