"""The offline model's answer: what it quotes is there, it fits, it is worth reading."""

import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_governor.blocks.offline.answering import answer, count_messages, read_messages
from prefect_governor.blocks.offline.passages import lines_of
from prefect_governor.blocks.prices.tokens import count_tokens
from tests.unit.blocks.offline.texts import (
    MARKDOWN,
    MARKUP,
    NAMES,
    OVERVIEW,
    PYTHON,
    ask,
    flat,
    said,
)

QUOTED = re.compile(r'L(\d+)(?:-(\d+))?(?: \([^\n]*?\))?: "(.*?)…?"(?= L\d|$)', re.MULTILINE)
QUESTIONS = st.sampled_from([OVERVIEW, "How are failures handled?", "Which settings?", "", "二"])


def wrong_quotes(reply: str, text: str) -> list[str]:
    """The quotes of a reply that do not stand at the lines that it names."""
    lines = lines_of(text)
    wrong = []
    for first, last, quote in QUOTED.findall(reply):
        there = flat(" ".join(lines[int(first) - 1 : int(last or first)]))
        # A block quotation's marks at the heads of its later lines are no part of a sentence.
        if quote not in there and quote not in flat(re.sub(r"(^|\s)>\s*", " ", there)):
            wrong.append(f"L{first}-{last}: {quote}")
    return wrong


@settings(max_examples=150, deadline=None)
@given(MARKUP, NAMES, QUESTIONS, st.integers(1, 400))
def test_no_answer_is_longer_than_it_may_be(
    text: str, name: str, question: str, max_tokens: int
) -> None:
    reply = answer(ask(question, text, name), max_tokens=max_tokens)
    assert reply.output_tokens == count_tokens(reply.text, "cl100k_base") <= max_tokens
    assert reply == answer(ask(question, text, name), max_tokens=max_tokens)


@pytest.mark.parametrize("question", [OVERVIEW, "How are failures handled?", "Which settings?"])
@pytest.mark.parametrize(("text", "name"), [(PYTHON, "retry.py"), (MARKDOWN, "guide.md")])
def test_quotes_of_real_files_are_at_the_lines_named(text: str, name: str, question: str) -> None:
    reply = said(question, text, name)
    assert 2 <= len(reply.splitlines()) - 1 <= 6
    assert QUOTED.findall(reply)
    assert wrong_quotes(reply, text) == []
    assert reply.startswith(f"From {name}, offline extract (no model was called)")


def test_a_quote_at_a_wrong_line_is_noticed_by_these_tests() -> None:
    reply = said(OVERVIEW, MARKDOWN)
    assert wrong_quotes(reply, "moved\n" + MARKDOWN) != []


def test_an_overview_of_source_tells_its_docstring_and_public_names() -> None:
    reply = said(OVERVIEW, PYTHON, "retry.py")
    assert 'L1: "Calls again what may succeed the second time."' in reply
    assert '"class Backoff:" L' in reply
    assert "def call_again" in reply
    assert "_sleep" not in reply


def test_an_overview_of_markdown_tells_its_title_and_its_first_sentence() -> None:
    reply = said(OVERVIEW, MARKDOWN, "guide.md").splitlines()
    assert reply[1] == '- L1: "Running the press"'
    assert "prints small books" in reply[2]


def test_a_text_without_words_is_said_to_hold_none() -> None:
    assert said(OVERVIEW, "\n \n--\n").endswith("it holds no text to quote.")


def test_fewer_whole_passages_are_quoted_where_room_is_short() -> None:
    full = answer(ask(OVERVIEW, MARKDOWN), max_tokens=600)
    short = answer(ask(OVERVIEW, MARKDOWN), max_tokens=90)
    assert set(short.text.splitlines()) < set(full.text.splitlines())
    assert short.finish_reason == "stop"
    assert answer(ask(OVERVIEW, MARKDOWN), max_tokens=16).finish_reason == "length"


def test_each_document_of_a_request_gets_its_own_section() -> None:
    second = '\n<document key="b.md">\n# Other\n\nOther words stand here.\n</document>\nBe short.'
    messages = ask(OVERVIEW, MARKDOWN)
    messages[1]["content"] += second
    question, documents = read_messages(messages)
    assert [document.key for document in documents] == ["a.md", "b.md"]
    assert question == f"{OVERVIEW}\nBe short."
    reply = answer(messages, max_tokens=900).text
    assert "From a.md" in reply
    assert "From b.md" in reply


def test_a_document_that_holds_the_closing_line_is_read_whole() -> None:
    text = "before\n</document>\nafter"
    assert read_messages(ask("Why?", text))[1][0].text == text


def test_the_form_asked_for_is_no_part_of_the_question() -> None:
    messages = ask('What jams?\n\nAnswer with one JSON object:\n{"type": "object"}', "Paper jams.")
    assert read_messages(messages)[0] == "What jams?"


def test_without_a_marked_document_the_message_is_the_text() -> None:
    question, documents = read_messages([{"role": "user", "content": "Fire burns.\nWhat burns?"}])
    assert (question, documents[0].text) == ("What burns?", "Fire burns.")
    parts = [{"type": "text", "text": "One line."}]
    assert read_messages([{"role": "user", "content": parts}])[1][0].text == "One line."


def test_input_tokens_count_what_was_sent() -> None:
    messages = ask("Why?", "Fire burns.")
    contents = sum(count_tokens(each["content"], "cl100k_base") for each in messages)
    assert count_messages(messages) == contents + 4 * 2 + 3
    assert answer(messages, max_tokens=50).input_tokens == count_messages(messages)


@pytest.mark.parametrize("max_tokens", [0, -1])
def test_no_room_at_all_is_refused(max_tokens: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        answer(ask("Why?", "Fire burns."), max_tokens=max_tokens)


def test_source_with_odd_escapes_warns_nobody() -> None:
    # pytest turns warnings into errors here: `"\d"` would raise.
    assert "def f" in said(OVERVIEW, 'def f():\n    """Finds."""\n    return "\\d"\n', "a.py")


def test_a_longer_file_takes_longer_by_its_length_and_not_by_its_square() -> None:
    def seconds(length: int) -> float:
        messages = ask(OVERVIEW, (PYTHON * 40)[:length], "retry.py")
        answer(messages, max_tokens=500)
        return min(_seconds(messages) for _ in range(5))

    # Ten times the text: about ten times the work, where a square would be a hundred times.
    assert seconds(30_000) < 40 * seconds(3_000)


def _seconds(messages: list[dict[str, str]]) -> float:
    """Of this thread's own work, whatever else the machine does."""
    start = time.thread_time()
    answer(messages, max_tokens=500)
    return time.thread_time() - start


def test_json_without_a_schema_holds_quotes_and_lines() -> None:
    shape = {"type": "json_object"}
    reply = answer(ask(OVERVIEW, MARKDOWN), max_tokens=900, response_format=shape)
    value = json.loads(reply.text)
    assert value["quotes"][0] == {"document": "a.md", "line": 1, "text": "Running the press"}
