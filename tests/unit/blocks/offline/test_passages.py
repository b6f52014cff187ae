"""Passages: each stands at its lines, and what stands together is one paragraph."""

import re

from hypothesis import given, settings

from prefect_governor.blocks.offline.passages import lines_of, paragraphs_of, passages_of, shape_of
from tests.unit.blocks.offline.texts import EXCERPTED, MARKUP, NAMES, flat


@settings(max_examples=200, deadline=None)
@given(MARKUP, NAMES)
def test_every_passage_stands_at_its_lines(text: str, name: str) -> None:
    lines = lines_of(text)
    for passage in passages_of(text, name):
        for quote in passage.quotes:
            assert 1 <= quote.first <= quote.last <= len(lines)
            there = flat(" ".join(lines[quote.first - 1 : quote.last]))
            unmarked = flat(
                " ".join(line.lstrip("> \t") for line in lines[quote.first - 1 : quote.last])
            )
            uncommented = flat(
                " ".join(
                    re.sub(r"^\s*#[#\s]*", "", line) for line in lines[quote.first - 1 : quote.last]
                )
            )
            assert quote.text in there or quote.text in unmarked or quote.text in uncommented


def test_broken_source_is_still_read() -> None:
    assert passages_of("def f(:\n    say something long\n", "a.py")


def test_shapes_are_told_by_name_and_by_looks() -> None:
    assert shape_of("x = 1", "a.py") == "python"
    assert shape_of("# Title", "b") == "markdown"
    assert shape_of("import os\n\ndef f(): ...", "c") == "python"
    assert shape_of("# comment", "d.sh") == "lines"
    assert shape_of("Words only.", "e.txt") == "prose"


def test_what_stands_together_is_one_paragraph_and_rows_and_headings_are_their_own() -> None:
    found = paragraphs_of(EXCERPTED, "fees.md")
    assert [(each.kind, each.first, each.last) for each in found] == [
        ("title", 1, 1), ("sentence", 3, 4), ("code", 6, 9), ("row", 14, 14), ("row", 15, 15),
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(MARKUP, NAMES)
def test_paragraphs_hold_every_passage_once_in_order(text: str, name: str) -> None:
    quotes = [quote for each in passages_of(text, name) for quote in each.quotes]
    assert [quote for each in paragraphs_of(text, name) for quote in each.quotes] == quotes
