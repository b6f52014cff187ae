"""A line is what ends at a line end: nothing within it makes two items of it."""

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.encodings.lines import lines_in, piped_text


def test_a_line_holds_what_other_rules_take_for_a_line_end() -> None:
    whole = "a\x0cb\x1cc\x1dd\x1ee\x85f\u2028g\u2029h\x0bi"
    assert list(lines_in(f"{whole}\nnext\r\nlast\rmac\n\n  \n")) == [
        (1, whole),
        (2, "next"),
        (3, "last"),
        (4, "mac"),
    ]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(codec: str) -> None:
    assert piped_text("café\nb\n".encode(codec), name="stdin") == "café\nb\n"


def test_what_is_not_utf8_is_refused_by_its_line_or_read_as_told() -> None:
    raw = "eins\nzwei\ndrei: für\n".encode("cp1252")
    with pytest.raises(ConfigurationError) as caught:
        piped_text(raw, name="stdin ('-')")
    assert "stdin ('-') is not UTF-8 text at line 3: say what it is with --encoding" in str(
        caught.value
    )
    assert piped_text(raw, name="stdin", encoding="cp1252").endswith("für\n")
