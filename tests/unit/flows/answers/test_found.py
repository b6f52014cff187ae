"""The one JSON value of an answer is found whatever stands around it, and never made up."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.flows.answers.found import json_of

WANTED = {"a": 1, "b": ["x, y", {"c": None}]}
TEXT = json.dumps(WANTED)


@pytest.mark.parametrize(
    "answer",
    [
        TEXT,
        f"  {TEXT}\n",
        f"\ufeff{TEXT}",
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```",
        f"```JSON {TEXT}```",
        f"Sure! ```JSON {TEXT}``` Hope it helps",
        f"Here you are:\n```Json5\n{TEXT}\n```\nAnything else?",
        f"```json\n{TEXT}",
        f"Sure: {TEXT}",
        f"{TEXT} is what it says [see the document].",
        f"As [1] says (it's there), {TEXT}.",
        f"<think>It's {{odd}}: or is it?</think>{TEXT}",
        f"<THINK>\n{{'a': 2}}\n</THINK>\n\n```json\n{TEXT}\n```",
        f"Let me see. {{'a': 7}} no.</think>{TEXT}",
        "{'a': 1, 'b': ['x, y', {'c': null,},],}",
        "{a: 1, b: ['x, y', {c: null}]} // as asked",
        '```json\n{"a": 1, // one\n"b": ["x, y", {"c": null}]}\n```',
        '{"a": 1, "b": ["x, y", {"c": null}],}',
        f"{TEXT}\n\n{TEXT}",
        f"{{ not JSON }} {TEXT}",
        f"I said: {{see}} the [list of, things]: {TEXT}",
    ],
)
def test_the_value_is_found(answer: str) -> None:
    assert json_of(answer, suits=lambda value: value == WANTED) == WANTED


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "about leaks",
        TEXT[:-1],
        f"```json\n{TEXT[:-3]}",
        "Sure: " + TEXT[:-2],
        '{"b": [{"a": 1}, {"a": 2}',
        '{"a": NaN}',
        '{"a": Infinity}',
        "{'a': -Infinity}",
        '{"a": 1e999}',
        "```json\n{'a': NaN}\n```",
        "[" * 100_000,
        "{'a': " * 5_000,
    ],
)
def test_what_is_no_value_or_not_whole_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        json_of(answer)


def test_what_stands_within_another_value_is_none_of_its_own() -> None:
    broken = '{"items": [{"a": 1}, {"a": 2} {"a": 3}]}'
    with pytest.raises(ValueError, match="not JSON"):
        json_of(broken, suits=lambda value: isinstance(value, dict) and "a" in value)


def test_several_values_are_refused_and_one_that_suits_is_taken() -> None:
    answer = '{"a": 1} or rather {"a": 2}'
    with pytest.raises(ValueError, match="2 JSON values"):
        json_of(answer)
    assert json_of(answer, suits=lambda value: value["a"] == 2) == {"a": 2}
    assert json_of(answer, suits=lambda value: False) == {"a": 1}


def test_true_and_one_are_two_values() -> None:
    with pytest.raises(ValueError, match="2 JSON values"):
        json_of("[1] [true]")


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(
    value=st.lists(_JSON, min_size=1) | st.dictionaries(st.text(), _JSON, min_size=1),
    before=st.text(st.characters(exclude_characters="{}[]<`\"'")),
    after=st.text(st.characters(exclude_characters="{}[]<`\"'")),
)
def test_any_value_among_words_is_found_as_it_is(value: Any, before: str, after: str) -> None:
    text = json.dumps(value)
    if "</" not in text and "```" not in text:
        assert json_of(f"{before}{text}{after}", suits=lambda found: found == value) == value


@given(st.text(st.sampled_from("{}[]\"'`,:\\a1 \n</think>")))
def test_nothing_but_a_value_or_what_is_wrong_comes_of_any_text(text: str) -> None:
    with suppress(ValueError):
        json_of(text)
