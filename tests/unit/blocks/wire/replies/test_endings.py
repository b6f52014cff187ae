"""How an answer ended, by every name that a provider has for it, and as its replies say it."""

import json
from typing import Any, get_args

import pytest

from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.replies.endings import (
    ENDINGS,
    Ending,
    Family,
    Kind,
    blocked,
    ending,
    has_words,
    is_cut,
)

PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "gemini": "/v1beta/models/gemini-2.5-flash:generateContent",
    "ollama": "/api/chat",
    "cohere": "/v2/chat",
    "converse": "/model/us.anthropic.claude-haiku-4-5-20251001-v1:0/converse",
}
ROWS = [(family, reason) for family, reasons in ENDINGS.items() for reason in reasons]


def reply(family: str, reason: Any, text: str | None = "words", **more: Any) -> dict[str, Any]:
    """A reply as the provider's documentation has it."""
    if family == "chat":
        message = {"role": "assistant", "content": text, **more}
        return {
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }
    if family == "responses":
        said = {"type": "output_text", "text": text}
        incomplete = reason in ("max_output_tokens", "content_filter")
        return {
            "status": "incomplete" if incomplete else reason,
            "incomplete_details": {"reason": reason} if incomplete else None,
            "output": [] if text is None else [{"type": "message", "content": [said]}],
            "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
        }
    if family == "messages":
        return {
            "type": "message",
            "content": [] if text is None else [{"type": "text", "text": text}],
            "stop_reason": reason,
            "usage": {"input_tokens": 9, "output_tokens": 3},
        }
    if family == "gemini":
        candidate = {"finishReason": reason, "index": 0}
        if text is not None:
            candidate["content"] = {"role": "model", "parts": [{"text": text}]}
        return {
            "candidates": [candidate],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3},
        }
    if family == "converse":
        content = [] if text is None else [{"text": text}]
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": reason,
            "usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12},
        }
    if family == "cohere":
        content = [] if text is None else [{"type": "text", "text": text}]
        return {
            "message": {"role": "assistant", "content": content},
            "finish_reason": reason,
            "usage": {"billed_units": {"input_tokens": 9, "output_tokens": 3}},
        }
    return {
        "message": {"role": "assistant", "content": text or ""},
        "done": True,
        "done_reason": reason,
        "prompt_eval_count": 9,
        "eval_count": 3,
    }


def read(family: str, body: Any) -> Ending | None:
    return dialect_of("POST", PATHS[family]).ending(json.dumps(body).encode())


def test_the_table_holds_every_family_and_names_nothing_else() -> None:
    assert set(ENDINGS) == set(get_args(Family)) == set(PATHS)
    assert {kind for kinds in ENDINGS.values() for kind in kinds.values()} <= set(get_args(Kind))
    for kind in ("fine", "cut"):
        assert all(kind in kinds.values() for kinds in ENDINGS.values())


@pytest.mark.parametrize(("family", "reason"), ROWS)
def test_every_reason_of_the_table_is_read_off_a_reply(family: Family, reason: str) -> None:
    kind = ENDINGS[family][reason]
    assert read(family, reply(family, reason)) == Ending(kind, reason)
    nothing = read(family, reply(family, reason, None))
    assert nothing == Ending("empty" if kind == "fine" else kind, reason)


@pytest.mark.parametrize(("family", "reason"), ROWS)
def test_what_is_learned_of_lengths_and_what_is_said_of_answers_are_one(
    family: Family, reason: str
) -> None:
    dialect = dialect_of("POST", PATHS[family])
    billed = dialect.read(json.dumps(reply(family, reason)).encode())
    assert billed is not None
    assert billed.cut is is_cut(family, reason) is (ENDINGS[family][reason] == "cut")


@pytest.mark.parametrize("family", PATHS)
@pytest.mark.parametrize("reason", ["a-reason-of-next-year", None, 7, ["stop"]])
def test_what_nobody_knows_breaks_nothing_and_nothing_is_not_called_an_answer(
    family: Family, reason: Any
) -> None:
    assert ending(family, reason, says=True).kind == "fine"
    assert ending(family, reason, says=False).kind == "empty"
    assert not is_cut(family, reason)


def test_refusals_are_told_from_answers() -> None:
    chat = reply("chat", "stop", None, refusal="I cannot help with that.")
    assert read("chat", chat) == Ending("refused", "refusal")
    response = reply("responses", "completed", None)
    response["output"] = [
        {"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]}
    ]
    assert read("responses", response) == Ending("refused", "refusal")
    assert read("messages", reply("messages", "refusal", None)) == Ending("refused", "refusal")
    assert read("chat", reply("chat", "stop", refusal=None)) == Ending("fine", "stop")


def test_a_prompt_that_no_model_saw_was_filtered() -> None:
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}}
    assert (
        read("gemini", body)
        == blocked("PROHIBITED_CONTENT")
        == Ending("filtered", "PROHIBITED_CONTENT")
    )


def test_a_tool_that_is_called_is_an_answer_and_thoughts_are_none() -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert read("chat", reply("chat", "tool_calls", None, tool_calls=calls)) == Ending(
        "fine", "tool_calls"
    )
    used = reply("messages", "tool_use", None)
    used["content"] = [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]
    assert read("messages", used) == Ending("fine", "tool_use")
    called = reply("gemini", "STOP")
    called["candidates"][0]["content"]["parts"] = [{"functionCall": {"name": "f", "args": {}}}]
    assert read("gemini", called) == Ending("fine", "STOP")
    made = reply("responses", "completed", None)
    made["output"] = [{"type": "function_call", "name": "f", "arguments": "{}", "call_id": "a"}]
    assert read("responses", made) == Ending("fine", "completed")
    asked = reply("ollama", "stop", None)
    asked["message"]["tool_calls"] = [{"function": {"name": "f", "arguments": {}}}]
    assert read("ollama", asked) == Ending("fine", "stop")
    thought = reply("messages", "end_turn", None)
    thought["content"] = [{"type": "thinking", "thinking": "hm", "signature": "x"}]
    assert read("messages", thought) == Ending("empty", "end_turn")
    pondered = reply("gemini", "STOP")
    pondered["candidates"][0]["content"]["parts"] = [{"text": "hm", "thought": True}]
    assert read("gemini", pondered) == Ending("empty", "STOP")


@pytest.mark.parametrize("family", PATHS)
@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b"null", b"7", b'{"choices": 7}', b'{"choices": [null]}',
             b'{"output": {}}', b'{"content": "text"}', b'{"candidates": [7]}',
             b'{"candidates": [{"content": []}]}', b'{"message": []}']
)  # fmt: skip
def test_no_reply_however_odd_breaks_its_reading(family: str, body: bytes) -> None:
    found = dialect_of("POST", PATHS[family]).ending(body)
    assert found is None or found.kind == "empty"


def test_generate_is_read_as_chat_is() -> None:
    dialect = dialect_of("POST", "/api/generate")
    body = {"response": "words", "done": True, "done_reason": "length"}
    assert dialect.ending(json.dumps(body).encode()) == Ending("cut", "length")


def test_white_space_is_no_word() -> None:
    assert not has_words(" \n\t ")
    assert not has_words([{"type": "text", "text": "  "}])
    assert has_words([{"type": "text", "text": " x "}])
    assert not has_words(None)
