"""What a chat completion was billed for, whole and streamed: read as it is, or not at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from tests.unit.blocks.wire.dialects.openai.plans import chat_plan as plan
from tests.unit.fakes import chat_events, chat_reply
from tests.unit.prices import priced

DIALECT = OpenAIChat()


@pytest.mark.parametrize(
    ("usage", "parts"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, (10, 5, 0, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}, (10, 0, 0, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}, (10, 30, 0, 0)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 5, 8, 3),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 11},
            },
            (10, 5, 0, 0),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4},
            (10, 5, 4, 0),
        ),
    ],
)
def test_usage_is_read_as_it_was_billed(
    usage: dict[str, Any], parts: tuple[int, int, int, int]
) -> None:
    billed = DIALECT.read(json.dumps({"usage": usage}).encode())
    assert billed is not None
    found = billed.parts
    assert (
        found.input_tokens,
        found.output_tokens,
        found.cached_input_tokens,
        found.reasoning_tokens,
    ) == parts


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"usage": None},
        {"usage": []},
        {"usage": {}},
        {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 2}},
        {"usage": {"prompt_tokens": 5}},
        {"usage": {"prompt_tokens": "5", "completion_tokens": 2}},
        {"usage": {"prompt_tokens": True, "completion_tokens": 2}},
        [],
    ],
)
def test_usage_that_cannot_be_is_none_at_all(reply: Any) -> None:
    assert DIALECT.read(json.dumps(reply).encode()) is None


def test_tier_of_the_reply_is_what_is_settled() -> None:
    price = priced("gpt-5")
    asked = plan(model="gpt-5", service_tier="auto")
    billed = DIALECT.read(json.dumps(chat_reply(1000, 10, service_tier="flex")).encode())
    silent = DIALECT.read(json.dumps(chat_reply(1000, 10)).encode())
    assert billed is not None and silent is not None
    assert billed.usage(price, asked).nano * 4 == silent.usage(price, asked).nano


# Streams


def test_caller_who_asked_for_the_usage_is_shown_it() -> None:
    made = plan(stream=True, stream_options={"include_usage": True})
    assert not made.hide_usage
    reader = DIALECT.stream(made)
    events = chat_events()
    assert b"".join(reader.feed(event) for event in events) == b"".join(events)


def test_other_stream_options_are_kept() -> None:
    made = plan(stream=True, stream_options={"include_obfuscation": False})
    options = json.loads(made.body)["stream_options"]
    assert options == {"include_obfuscation": False, "include_usage": True}


@given(
    text=st.text(st.characters(blacklist_categories=["Cs"]), max_size=40),
    size=st.integers(1, 40),
    crlf=st.booleans(),
)
def test_usage_is_hidden_and_found_wherever_the_stream_is_cut(
    text: str, size: int, crlf: bool
) -> None:
    events = chat_events(11, 4, text=text)
    if crlf:
        events = [event.replace(b"\n", b"\r\n") for event in events]
    whole = b"".join(events)
    reader = DIALECT.stream(plan(stream=True))
    shown = b""
    for start in range(0, len(whole), size):
        assert reader.finished() is None
        shown += reader.feed(whole[start : start + size])
    shown += reader.flush()
    billed = reader.finished()
    assert billed is not None
    assert (billed.parts.input_tokens, billed.parts.output_tokens) == (11, 4)
    assert shown == b"".join(event for event in events if b"prompt_tokens" not in event)


def test_running_counts_are_not_taken_for_the_final_one() -> None:
    reader = DIALECT.stream(plan(stream=True))
    for tokens in (1, 2, 9):
        usage = {"prompt_tokens": 5, "completion_tokens": tokens}
        chunk = {"choices": [{"delta": {"content": "x"}}], "usage": usage}
        assert reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        assert reader.finished() is None
    reader.feed(b"data: [DONE]\n\n")
    billed = reader.finished()
    assert billed is not None and billed.parts.output_tokens == 9


def test_terminator_alone_confirms_nothing() -> None:
    reader = DIALECT.stream(plan(stream=True))
    reader.feed(b"".join(chat_events(prompt=None)))
    reader.flush()
    assert reader.finished() is None


def chunk(*choices: tuple[int, str | None], usage: int | None = None) -> bytes:
    made: dict[str, Any] = {
        "choices": [
            {"index": index, "delta": {"content": "x"}, "finish_reason": reason}
            for index, reason in choices
        ]
    }
    if usage is not None:
        made["usage"] = {"prompt_tokens": 5, "completion_tokens": usage}
    return b"data: " + json.dumps(made).encode() + b"\n\n"


ERROR = b'data: {"error": {"message": "overloaded"}}\n\n'
# What arrives before the connection ends in order, and the output that is settled.
ENDINGS: list[tuple[int, list[bytes], int | None]] = [
    # With the reason, as Mistral has it, or after it, as OpenAI has it.
    (1, [chunk((0, None)), chunk((0, "stop"), usage=9)], 9),
    (1, [chunk((0, "stop")), chunk(usage=9)], 9),
    (2, [chunk((0, "stop")), chunk((1, "stop")), chunk(usage=9)], 9),
    # A running count before the end is not the whole.
    (1, [chunk((0, None), usage=4), chunk((0, "stop"))], None),
    (1, [chunk((0, None), usage=4)], None),
    (1, [chunk((0, "stop"), usage=9), chunk((0, None))], None),
    (2, [chunk((0, "stop"), usage=9)], None),
    (2, [chunk((0, "stop")), chunk((1, None)), chunk(usage=9)], None),
    (1, [chunk((0, "stop"), usage=9), ERROR], None),
    (1, [chunk(usage=9)], None),
]


@pytest.mark.parametrize(("answers", "events", "output"), ENDINGS)
def test_stream_without_a_terminator_is_whole_once_every_answer_has_ended_and_is_counted(
    answers: int, events: list[bytes], output: int | None
) -> None:
    reader = DIALECT.stream(plan(stream=True, n=answers))
    for event in events:
        reader.feed(event)
        assert reader.finished() is None, "the connection has not ended"
    reader.flush()
    billed = reader.finished()
    assert (None if billed is None else billed.parts.output_tokens) == output


# What only some are asked for


@pytest.mark.parametrize("model", ["mistral/mistral-small-latest", "mistral/codestral-latest"])
def test_mistral_is_not_asked_for_what_it_says_unasked(model: str) -> None:
    made = plan(model=model, encoding=None, stream=True)
    assert "stream_options" not in json.loads(made.body)
    assert made.streamed
    assert not made.hide_usage
    given = plan(model=model, encoding=None, stream=True, stream_options={"include_usage": True})
    assert json.loads(given.body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("model", "tier"),
    [
        ("gpt-5", "default"),
        ("azure/gpt-5", "default"),
        ("gemini/gemini-2.5-pro", None),
        ("fireworks_ai/accounts/fireworks/models/kimi-k2p5", None),
        ("mistral/mistral-small-latest", None),
        ("gpt-4.1-nano", "default"),
    ],
)
def test_only_who_knows_service_tiers_is_sent_one(model: str, tier: str | None) -> None:
    made = plan(model=model, encoding=None)
    assert json.loads(made.body).get("service_tier") == tier
    assert made.service_tier == "default"
