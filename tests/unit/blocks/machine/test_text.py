"""Text of models is made what everything outside takes, and nothing else is changed."""

import traceback

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.machine.text import (
    encodable,
    storable,
    storable_error,
    storable_value,
)

HOSTILE = "half \ud800 a character, \x00, \u202e turned around and \udcff"
CLEAN = "half \ufffd a character, \ufffd, \u202e turned around and \ufffd"


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_what_is_left_has_utf_8_and_all_else_stays(text: str) -> None:
    for made, bad in ((encodable(text), "\ud800-\udfff"), (storable(text), "\x00\ud800-\udfff")):
        made.encode()
        assert len(made) == len(text)
        assert all(one == other or other == "\ufffd" for one, other in zip(text, made, strict=True))
        if not any("\ud800" <= one <= "\udfff" or one == "\x00" for one in text):
            assert made == text, bad
    assert "\x00" not in storable(text)


def test_values_are_gone_through() -> None:
    assert storable_value({HOSTILE: [HOSTILE, (1, HOSTILE)], "n": None}) == {
        CLEAN: [CLEAN, [1, CLEAN]], "n": None,
    }  # fmt: skip


class Told(Exception):
    """An error as client libraries have them: with its text in a field."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 400)
        self.message = message

    def __str__(self) -> str:
        return self.message


def test_an_error_keeps_its_kind_and_its_causes_are_clean_too() -> None:
    error = RuntimeError(HOSTILE, 1)
    error.__cause__ = Told(HOSTILE)
    error.__cause__.__context__ = error
    assert storable_error(error) is error
    shown = "".join(traceback.format_exception(error))
    shown.encode()
    assert "\x00" not in shown
    cause = error.__cause__
    assert error.args == (CLEAN, 1) and cause.args == (CLEAN, 400) and str(cause) == CLEAN


def test_far_causes_and_each_error_of_a_large_group_are_reached() -> None:
    error = outermost = ValueError("outermost")
    causes = [ValueError(HOSTILE) for _ in range(40)]
    for cause in causes:
        error.__cause__ = cause
        error = cause
    members = [ValueError(HOSTILE) for _ in range(40)]
    vars(error)["exceptions"] = tuple(members)
    storable_error(outermost)
    assert {each.args for each in [*causes, *members]} == {(CLEAN,)}


def test_an_error_of_coding_shows_what_it_could_not() -> None:
    try:
        HOSTILE.encode()
    except UnicodeEncodeError as error:
        assert "\\ud800" in str(storable_error(error))
