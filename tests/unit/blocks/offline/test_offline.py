"""The offline model: what it quotes is there, it fits, it fills schemas, it is worth reading."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from prefect_governor.blocks.offline.answering import answer, count_messages, read_messages
from prefect_governor.blocks.offline.passages import lines_of, paragraphs_of, passages_of, shape_of
from prefect_governor.blocks.offline.ranking import Ranking
from prefect_governor.blocks.offline.vocabulary import words
from prefect_governor.blocks.prices.tokens import count_tokens

FILES = Path(__file__).parent / "files"
PYTHON = (FILES / "retry.py.txt").read_text(encoding="utf-8")
MARKDOWN = (FILES / "guide.md").read_text(encoding="utf-8")
OVERVIEW = "What does this do, and what should a reader know first?"
QUOTED = re.compile(r'L(\d+)(?:-(\d+))?(?: \([^\n]*?\))?: "(.*?)…?"(?= L\d|$)', re.MULTILINE)


def ask(question: str, text: str, name: str = "a.md") -> list[dict[str, str]]:
    document = f'<document key="{name}">\n{text}\n</document>'
    return [
        {"role": "system", "content": "Use only what the document says."},
        {"role": "user", "content": f"{question}\n\n{document}"},
    ]


def said(question: str, text: str, name: str = "a.md", max_tokens: int = 600) -> str:
    return answer(ask(question, text, name), max_tokens=max_tokens).text


def flat(text: str) -> str:
    return " ".join(text.split())


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


MARKUP = st.lists(
    st.sampled_from(
        [
            *("# Title", "## Part two", "- an item. It goes on", "1. first thing!", "Plain text."),
            *("> quoted words here. More words", "| a | b |", "|---|---|", "| one | two |", ""),
            *("def f(x):", '    """Doc of f. Raises ValueError."""', "    return x", "class A:"),
            *(
                "    x: int = 1",
                "```",
                "key = value",
                "日本語の文。次の文。",
                "\tTabbed e.g. this",
                "===",
            ),
            *(
                "try:",
                "    pass",
                "except ValueError as e:",
                "    raise",
                "# a comment",
                "'''",
                "\x0c",
            ),
            *("import os", 'say "quoted" words', "@overload", "\\d raw", "---", "Ends here\r"),
        ]
    )
    | st.text(max_size=60),
    max_size=40,
).map("\n".join)
NAMES = st.sampled_from(["a.md", "a.py", "a.txt", "a.toml", "a", "notes (part 2 of 3)"])
QUESTIONS = st.sampled_from([OVERVIEW, "How are failures handled?", "Which settings?", "", "二"])


@settings(max_examples=150, deadline=None)
@given(MARKUP, NAMES, QUESTIONS, st.integers(1, 400))
def test_no_answer_is_longer_than_it_may_be(
    text: str, name: str, question: str, max_tokens: int
) -> None:
    reply = answer(ask(question, text, name), max_tokens=max_tokens)
    assert reply.output_tokens == count_tokens(reply.text, "cl100k_base") <= max_tokens
    assert reply == answer(ask(question, text, name), max_tokens=max_tokens)


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


def test_broken_source_is_still_read() -> None:
    assert passages_of("def f(:\n    say something long\n", "a.py")


def test_shapes_are_told_by_name_and_by_looks() -> None:
    assert shape_of("x = 1", "a.py") == "python"
    assert shape_of("# Title", "b") == "markdown"
    assert shape_of("import os\n\ndef f(): ...", "c") == "python"
    assert shape_of("# comment", "d.sh") == "lines"
    assert shape_of("Words only.", "e.txt") == "prose"


def test_words_are_stems_and_names_are_words() -> None:
    assert words("The retries of getHTTPResponse, in snake_case") == words(
        "retry get http response snake case"
    )
    assert words("settings") != words("set")
    assert words("日本") == ["日", "本"]


def test_ranking_nothing_is_no_error() -> None:
    assert Ranking([]).scores("x") == []
    assert Ranking([]).central("x") == []


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


SCHEMA = {
    "type": "object",
    "$defs": {
        "Finding": {
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "evidence": {"type": "string", "description": "the sentence that shows it"},
                "line": {"type": "integer", "minimum": 1},
                "severity": {"enum": ["critical", "jams", "low"]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Finding"}},
            },
            "required": ["title", "evidence", "line", "severity"],
            "additionalProperties": False,
        }
    },
    "properties": {
        "summary": {"type": "string", "minLength": 10, "maxLength": 200},
        "findings": {"type": "array", "items": {"$ref": "#/$defs/Finding"}, "minItems": 1},
        "safe": {"type": "boolean"},
        "pages_an_hour": {"type": "integer"},
        "owner": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
        "version": {"type": "string", "pattern": r"^v\d+\.\d+$"},
        "kind": {"const": "guide"},
        "ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "tags": {"type": "array", "items": {"enum": ["paper", "zebra", "ink"]}},
    },
    "required": ["summary", "findings", "safe", "pages_an_hour", "version", "kind", "ratio"],
    "additionalProperties": False,
}


def filled(schema: dict[str, Any], text: str = MARKDOWN, max_tokens: int = 4000) -> Any:
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    question = "What goes wrong?"
    reply = answer(ask(question, text), max_tokens=max_tokens, response_format=shape)
    assert reply.output_tokens <= max_tokens
    value = json.loads(reply.text)
    Draft202012Validator(schema).validate(value)
    return value


def test_a_schema_is_filled_with_what_the_text_says() -> None:
    value = filled(SCHEMA)
    lines = lines_of(MARKDOWN)
    assert value["pages_an_hour"] == 1200
    assert value["version"] == "v2.4"
    assert value["owner"] == "press@example.org"
    assert value["tags"] == ["paper", "ink"]
    assert value["safe"] is False
    for finding in value["findings"]:
        below = flat(" ".join(line.lstrip("> ") for line in lines[finding["line"] - 1 :]))
        assert flat(finding["evidence"]).rstrip("…")[:40] in below
    assert len({finding["line"] for finding in value["findings"]}) == len(value["findings"])


def test_a_schema_is_still_met_where_room_is_short() -> None:
    full = len(json.dumps(filled(SCHEMA)))
    assert len(json.dumps(filled(SCHEMA, max_tokens=160))) < full


def test_json_without_a_schema_holds_quotes_and_lines() -> None:
    shape = {"type": "json_object"}
    reply = answer(ask(OVERVIEW, MARKDOWN), max_tokens=900, response_format=shape)
    value = json.loads(reply.text)
    assert value["quotes"][0] == {"document": "a.md", "line": 1, "text": "Running the press"}


def _schemas() -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["title", "summary", "line", "file", "count", "notes", "when"])
    bounds = st.integers(0, 30)
    leaf = st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": ["null", "string"]}),
        st.builds(lambda low: {"type": "integer", "minimum": low, "maximum": low + 3}, bounds),
        st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low}, bounds),
        st.builds(lambda low: {"type": "number", "exclusiveMaximum": low}, bounds),
        st.builds(lambda n: {"type": "string", "minLength": n, "maxLength": n + 5}, bounds),
        st.sampled_from(["date", "date-time", "uuid", "uri", "email"]).map(
            lambda name: {"type": "string", "format": name}
        ),
        st.just({"enum": ["red", "green", 3]}),
        st.just({"anyOf": [{"type": "null"}, {"type": "integer"}]}),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(
                lambda items, low: {
                    "type": "array",
                    "items": items,
                    "minItems": low,
                    "maxItems": low + 2,
                },
                inner,
                st.integers(0, 3),
            ),
            st.dictionaries(names, inner, min_size=1, max_size=4).map(
                lambda each: {"type": "object", "properties": each, "required": sorted(each)}
            ),
        ),
        max_leaves=8,
    )


@settings(max_examples=150, deadline=None)
@given(_schemas(), st.sampled_from([MARKDOWN, PYTHON, "One line.", "--"]))
def test_a_filled_schema_validates(schema: dict[str, Any], text: str) -> None:
    filled(schema, text)


EXCERPTED = """# Fees

A call is charged. One that was cut off is charged
at its bound.

Say until when:

```
reconcile --complete-until NOW
```

| a | b |
|---|---|
| one | two |
| three | four |"""


def excerpts(text: str, *ranges: tuple[int, int]) -> list[dict[str, str]]:
    lines = text.split("\n")
    documents = [
        f'<document key="docs/fees.md:{first}-{last}">\n'
        + "\n".join(lines[first - 1 : last])
        + "\n</document>"
        for first, last in ranges
    ]
    return [{"role": "user", "content": "\n\n".join(["Who pays?", *documents])}]


def test_excerpts_are_quoted_whole_in_their_order_by_the_lines_of_their_source() -> None:
    reply = answer(excerpts(EXCERPTED, (6, 9), (3, 4)), max_tokens=600)
    assert reply.text.split("\n") == [
        "From 2 excerpts, offline extract (no model was called):",
        '- [docs/fees.md:6-9] "Say until when: reconcile --complete-until NOW"',
        '- [docs/fees.md:3-4] "A call is charged. One that was cut off is charged at its bound."',
    ]


def test_of_too_many_excerpts_the_first_are_quoted() -> None:
    all_of_them = excerpts(EXCERPTED, (3, 4), (6, 9))
    reply = answer(all_of_them, max_tokens=50)
    assert (reply.finish_reason, reply.text.count("\n- ")) == ("stop", 1)
    assert "A call is charged" in reply.text
    assert answer(all_of_them, max_tokens=20).finish_reason == "length"


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
