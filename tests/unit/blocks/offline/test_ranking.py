"""The passages that say most about the ask are quoted first, whatever words they use."""

from prefect_governor.blocks.offline.ranking import Ranking
from tests.unit.blocks.offline.texts import MARKDOWN, PYTHON, said


def test_a_question_is_answered_by_what_the_text_says_about_it() -> None:
    failures = said("How are failures handled?", MARKDOWN).splitlines()
    assert "A failure of the motor is fatal" in failures[1]
    assert any("When paper jams" in line for line in failures)
    assert "PRESS_SPEED" in said("Which settings are documented here?", MARKDOWN)
    assert "GaveUp" in said("What happens on errors?", PYTHON, "retry.py")


def test_settings_in_source_are_found_though_nothing_calls_them_settings() -> None:
    assert "attempts: int = 5" in said("Which settings are documented here?", PYTHON, "retry.py")


def test_an_answer_without_a_word_in_common_says_so() -> None:
    reply = said("Zebra quagga okapi?", MARKDOWN)
    assert "nothing in it shares a word with the ask" in reply.splitlines()[0]


def test_a_word_that_every_line_holds_is_still_found() -> None:
    reply = said("How are failures handled?", "12:00 ERROR failed to start\n" * 20_000, "a.log")
    assert reply.splitlines()[0].endswith("(no model was called):")


def test_ranking_nothing_is_no_error() -> None:
    assert Ranking([]).scores("x") == []
    assert Ranking([]).central("x") == []
