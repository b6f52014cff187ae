"""A text in parts: each fits, none is lost, cuts fall where they hurt least."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.flows.items.splitting import split_text as split


def split_text(text: str, **given: Any) -> list[str]:
    return list(split(text, **given))


def by_tokenizer(text: str) -> int:
    return count_tokens(text, "cl100k_base")


def by_bytes(text: str) -> int:
    return -(-len(text.encode()) // 3)


TEXTS = st.text() | st.lists(
    st.sampled_from(["word", " ", "\n", "\n\n", "\r\n", ". ", "日本", "😀", "x" * 40, "    "]),
    max_size=120,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(8, 60), st.sampled_from([by_tokenizer, by_bytes, len]))
def test_every_part_fits_and_no_character_is_lost(text: str, most: int, count: object) -> None:
    parts = split_text(text, max_tokens=most, count=count)
    assert "".join(parts) == text
    assert all(part and count(part) <= most for part in parts)  # type: ignore[operator]


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(12, 60), st.integers(1, 5))
def test_parts_that_overlap_still_cover_the_text_and_fit(
    text: str, most: int, overlap: int
) -> None:
    parts = split_text(text, max_tokens=most, count=len, overlap_tokens=overlap)
    at = 0
    for part in parts:
        begins = [b for b in range(max(0, at - overlap), at + 1) if text.startswith(part, b)]
        assert begins
        assert len(part) <= most
        at = max(begin + len(part) for begin in begins)
    assert at == len(text)


def test_a_text_that_fits_is_one_part() -> None:
    assert split_text("short", max_tokens=5, count=len) == ["short"]
    assert split_text("", max_tokens=5, count=len) == []


def test_cuts_fall_between_paragraphs_then_lines_then_words() -> None:
    assert split_text("one two\n\nthree four", max_tokens=12, count=len) == [
        "one two\n\n",
        "three four",
    ]
    assert split_text("one two\nthree four", max_tokens=12, count=len) == [
        "one two\n",
        "three four",
    ]
    assert split_text("one two three", max_tokens=9, count=len) == ["one two ", "three"]
    assert split_text("abcdefgh", max_tokens=5, count=len) == ["abcde", "fgh"]


def test_a_line_end_of_two_characters_is_not_cut_apart() -> None:
    assert split_text("abcd\r\nef", max_tokens=5, count=len) == ["abcd", "\r\nef"]


def test_an_overlap_repeats_whole_lines() -> None:
    text = "a a a\nb b\nc c c\nd d d\n"
    parts = split_text(text, max_tokens=12, count=len, overlap_tokens=5)
    assert parts[:2] == ["a a a\nb b\n", "b b\nc c c\n"]


@pytest.mark.parametrize(
    ("most", "overlap", "words"),
    [(0, 0, "max_tokens must be"), (4, 2, "overlap_tokens must be"), (4, -1, "overlap_tokens")],
)
def test_sizes_that_cannot_work_are_refused(most: int, overlap: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        split_text("text", max_tokens=most, count=len, overlap_tokens=overlap)


def test_a_character_that_fits_nowhere_is_refused_and_not_lost() -> None:
    with pytest.raises(ValueError, match="alone is more than 2 tokens"):
        split_text("ab😀", max_tokens=2, count=lambda text: len(text.encode()))


def test_a_long_text_is_counted_seldom() -> None:
    text = "Some words of a line.\n" * 20_000
    counted = 0

    def count(part: str) -> int:
        nonlocal counted
        counted += len(part)
        return len(part) // 4 + 1

    parts = split_text(text, max_tokens=10_000, count=count)
    assert "".join(parts) == text
    assert counted < 40 * len(text)


@pytest.mark.parametrize("words", [500, 3_000, 30_000])
def test_the_rest_of_a_long_text_is_one_part_and_not_ever_smaller_ones(words: int) -> None:
    text = "budget rate slot reply " * (words // 4)
    most = words // 3
    parts = split_text(text, max_tokens=most, count=by_tokenizer)
    assert len(parts) <= by_tokenizer(text) // most + 2
