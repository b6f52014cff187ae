"""The questions of `init`, asked at a terminal of its own."""

import os
import pty
import sys
from collections.abc import Iterator
from decimal import Decimal

import click
import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.cli.init.answers import Answers, answers_of
from prefect_governor.flows.cli.init.command import USUAL, Questions

OFFERED = {**USUAL, "model": "offline/extract", "sources": ("docs",), "folder": "/tmp"}


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What is written into it is typed by a person."""
    typed, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield typed
    os.close(typed)


def answered() -> Answers:
    return answers_of("team", {}, OFFERED, Questions(silent=False).ask)


def test_an_answer_that_makes_no_sense_is_asked_for_again_at_once(
    person: int, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(person, b"lots\n2.50\n\n,\nsrc, README.md\n\nat six\n0 6 * * *\n")
    answers = answered()
    assert (answers.max_usd, answers.schedule) == (Decimal("2.50"), "0 6 * * *")
    assert answers.sources == ("src", "README.md")
    said = capsys.readouterr().err
    assert said.index("not 'lots'") < said.index("Which model")


def test_ctrl_d_at_a_question_is_no_answer_that_makes_things(person: int) -> None:
    os.write(person, b"2.50\n\x04")
    with pytest.raises(click.Abort):
        answered()


def test_an_option_that_makes_no_sense_is_said_before_anything_is_asked() -> None:
    def nobody(*_: object) -> str:
        raise AssertionError("asked all the same")

    with pytest.raises(ConfigurationError, match="--schedule 'at six'"):
        answers_of("team", {"schedule": "at six"}, OFFERED, nobody)
