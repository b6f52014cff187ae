"""Every field, part and tool of the chat dialects: a named rule, or a refusal that names it.

The tables here are written out, apart from those of the code: a kind that moves from one side to
the other is seen.
"""

import json
from typing import Any

import pytest

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.wire.dialects.anthropic.messages import AnthropicMessages
from prefect_governor.blocks.wire.dialects.gemini.generate import Gemini
from prefect_governor.blocks.wire.dialects.ollama import MODEL_PROMPT_TOKENS, Ollama
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.requests.images import CLAUDE_TOKENS
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.blocks.wire.dialects.exchange import planned

PNG = "iVBORw0KGgo" * 4000
TEXT = "What is it?"

# What one more part of the kind adds to a request's bound: at least, at most. None: by its bytes.
Bound = tuple[int, int] | None


def chat(*parts: Any, model: str = "gpt-4o", **fields: Any) -> CallPlan:
    message = {"role": "user", "content": [{"type": "text", "text": TEXT}, *parts]}
    body = {"model": model, "messages": [message], "max_tokens": 20, **fields}
    return planned(OpenAIChat(), body, model=model)


def claude(*parts: Any, model: str = "claude-sonnet-4-5", **fields: Any) -> CallPlan:
    message = {"role": "user", "content": [{"type": "text", "text": TEXT}, *parts]}
    body = {"model": model, "messages": [message], "max_tokens": 20, **fields}
    return planned(AnthropicMessages(), body, model=model)


def gemini(*parts: Any, config: dict[str, Any] | None = None, **fields: Any) -> CallPlan:
    config = {"maxOutputTokens": 20} if config is None else config
    body = {"contents": [{"role": "user", "parts": [{"text": TEXT}, *parts]}], **fields}
    path = "/v1beta/models/gemini-2.5-flash-lite:generateContent"
    model = "gemini/gemini-2.5-flash-lite"
    return planned(Gemini(), {"generationConfig": config, **body}, model=model, path=path)


def ollama(**fields: Any) -> CallPlan:
    body = {"model": "llama3.1", "options": {"num_predict": 20}, **fields}
    return planned(Ollama(), body, model="ollama/llama3.1")


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def source(part: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": part, "source": {"type": kind, **more}}


DATA = f"data:image/png;base64,{PNG}"
CLAUDE_IMAGE = (CLAUDE_TOKENS, CLAUDE_TOKENS + 200)

BOUNDED: list[tuple[Any, Any, Bound]] = [
    # OpenAI chat
    (chat, {"type": "text", "text": "more"}, None),
    (chat, {"type": "refusal", "refusal": "no"}, None),
    (chat, {"type": "thinking", "thinking": "hm"}, None),
    (chat, image(DATA), (85 + 8 * 170, 85 + 8 * 170 + 200)),
    (chat, image(DATA, detail="auto"), (85 + 8 * 170, 85 + 8 * 170 + 200)),
    (chat, image(DATA, detail="high"), (85 + 8 * 170, 85 + 8 * 170 + 200)),
    (chat, image(DATA, detail="low"), (85, 285)),
    (chat, image("https://x.test/y.png"), (85 + 8 * 170, 85 + 8 * 170 + 200)),
    (chat, image("https://x.test/y.png", detail="low"), (85, 285)),
    (chat, {"type": "image_url", "image_url": DATA}, (85 + 8 * 170, 85 + 8 * 170 + 200)),
    # Anthropic
    (claude, {"type": "text", "text": "more"}, None),
    (claude, {"type": "thinking", "thinking": "hm", "signature": "c2VhbGVk"}, None),
    (claude, {"type": "redacted_thinking", "data": "c2VhbGVk"}, None),
    (claude, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}, None),
    (claude, {"type": "tool_result", "tool_use_id": "t", "content": "42"}, None),
    (claude, {"type": "tool_reference", "tool_name": "f"}, None),
    (claude, {"type": "search_result", "source": "s", "title": "t",
              "content": [{"type": "text", "text": "found"}]}, None),
    (claude, source("document", "text", media_type="text/plain", data="long " * 200), None),
    (claude, source("document", "content", content=[{"type": "text", "text": "x"}]), None),
    (claude, source("image", "base64", media_type="image/png", data=PNG), CLAUDE_IMAGE),
    (claude, source("image", "url", url="https://x.test/y.png"), CLAUDE_IMAGE),
    (claude, source("image", "file", file_id="f"), CLAUDE_IMAGE),
    (claude, {"type": "tool_result", "tool_use_id": "t",
              "content": [source("image", "base64", media_type="image/png", data=PNG)]},
     CLAUDE_IMAGE),
    (claude, source("document", "content",
                    content=[source("image", "base64", media_type="image/png", data=PNG)]),
     CLAUDE_IMAGE),
    # Gemini
    (gemini, {"text": "more"}, None),
    (gemini, {"text": "hm", "thought": True, "thoughtSignature": "c2VhbGVk"}, None),
    (gemini, {"functionCall": {"name": "f", "args": {"a": 1}}}, None),
    (gemini, {"functionResponse": {"name": "f", "response": {"a": 1}}}, None),
    (gemini, {"function_response": {"name": "f", "response": {"a": 1}}}, None),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "part", "bound"), BOUNDED)
def test_part_with_a_rule_is_bounded_by_it(ask: Any, part: Any, bound: Bound) -> None:
    added = ask(part).input_tokens - ask().input_tokens
    least, most = bound or (
        len(json.dumps(part, separators=(",", ":"))),
        len(json.dumps(part)) + 60,
    )
    assert least <= added <= most


REFUSED_PARTS: list[tuple[Any, Any, str]] = [
    (chat, {"type": "input_image", "image_url": DATA}, "input_image"),
    (chat, {"type": "image_url"}, "image_url"),
    (chat, image(DATA, detail="original"), "detail"),
    (chat, {"type": "image_url", "image_url": {"file_id": "f"}}, "url"),
    (chat, {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "audio"),
    (chat, {"type": "video_url", "video_url": {"url": "https://x.test"}}, "video_url"),
    (chat, {"type": "file", "file": {"file_id": "f"}}, "file"),
    (chat, {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}, "file"),
    (chat, {"type": "next_years"}, "next_years"),
    (claude, source("document", "base64", media_type="application/pdf", data="AA"), "PDF"),
    (claude, source("document", "url", url="https://x.test/y.pdf"), "by URL"),
    (claude, source("document", "file", file_id="f"), "by id"),
    (claude, source("document", "next_years"), "next_years"),
    (claude, source("image", "next_years"), "next_years"),
    (claude, {"type": "image"}, "source"),
    (claude, {**source("image", "url", url="https://x.test"), "transformations": {}},
     "transformations"),
    (claude, {**source("document", "text", data="x"), "citations": {"enabled": True}},
     "citations"),
    (claude, {"type": "server_tool_use", "id": "t", "name": "web_search"}, "server_tool_use"),
    (claude, {"type": "web_search_tool_result", "content": []}, "web_search_tool_result"),
    (claude, {"type": "web_fetch_tool_result", "content": []}, "web_fetch_tool_result"),
    (claude, {"type": "code_execution_tool_result"}, "code_execution_tool_result"),
    (claude, {"type": "mcp_tool_result"}, "mcp_tool_result"),
    (claude, {"type": "container_upload", "file_id": "f"}, "container_upload"),
    (claude, {"type": "next_years"}, "next_years"),
    (claude, {"type": "tool_result", "content": [{"type": "container_upload"}]}, "container"),
    (claude, "text", "None"),
    (gemini, {"inlineData": {"mimeType": "image/png", "data": "AA"}}, "inlineData"),
    (gemini, {"inline_data": {"mimeType": "image/png", "data": "AA"}}, "inlineData"),
    (gemini, {"fileData": {"fileUri": "https://youtu.be/x"}}, "fileData"),
    (gemini, {"executableCode": {"code": "1"}}, "executableCode"),
    (gemini, {"codeExecutionResult": {}}, "codeExecutionResult"),
    (gemini, {"nextYears": 1}, "nextYears"),
    (gemini, {"functionResponse": {"name": "f", "parts": [{"inlineData": {}}]}}, "parts"),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "part", "named"), REFUSED_PARTS)
def test_part_without_a_rule_is_refused_by_name(ask: Any, part: Any, named: str) -> None:
    with pytest.raises(NotBounded, match=named):
        ask(part)


FUNCTION = {"name": "find", "parameters": {"type": "object"}}
CUSTOM = {"name": "find", "input_schema": {"type": "object"}}
BOUNDED_TOOLS: list[tuple[Any, Any]] = [
    (chat, {"type": "function", "function": FUNCTION}),
    (chat, {"type": "custom", "custom": {"name": "f"}}),
    (claude, CUSTOM),
    (claude, {"type": "custom", **CUSTOM}),
    (claude, {"type": "bash_20250124", "name": "bash"}),
    (claude, {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}),
    (gemini, {"functionDeclarations": [FUNCTION]}),
    (gemini, {"function_declarations": [FUNCTION]}),
]
REFUSED_TOOLS: list[tuple[Any, str]] = [
    *((chat, kind) for kind in ("web_search", "file_search", "code_interpreter", "mcp")),
    *((claude, kind) for kind in (
        "web_search_20250305", "web_search_20260318", "web_fetch_20250910", "mcp_toolset",
        "code_execution_20250825", "tool_search_tool_bm25_20251119", "computer_20250124",
        "memory_20250818", "browser_20260801", "next_years")),
    *((gemini, kind) for kind in (
        "googleSearch", "google_search", "googleSearchRetrieval", "codeExecution", "urlContext",
        "googleMaps", "fileSearch", "computerUse", "nextYears")),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "tool"), BOUNDED_TOOLS)
def test_tool_of_the_callers_own_is_bounded_by_its_bytes(ask: Any, tool: Any) -> None:
    assert ask(tools=[tool]).input_tokens >= ask().input_tokens + len(json.dumps(tool))


@pytest.mark.parametrize(("ask", "kind"), REFUSED_TOOLS)
def test_hosted_tool_is_refused_by_name(ask: Any, kind: str) -> None:
    tool: dict[str, Any] = {kind: {}} if ask is gemini else {"type": kind, "name": "x"}
    head, *rest = kind.split("_")
    name = head + "".join(part.title() for part in rest) if ask is gemini else kind
    with pytest.raises(NotBounded, match=name):
        ask(tools=[tool])


REFUSED_FIELDS: list[tuple[Any, dict[str, Any], str]] = [
    (claude, {"container": "c"}, "container"),
    (claude, {"mcp_servers": [{"url": "https://x.test"}]}, "mcp_servers"),
    (claude, {"context_management": {"edits": []}}, "context_management"),
    (claude, {"fallbacks": [{"model": "claude-opus-5"}]}, "fallbacks"),
    (claude, {"speed": "fast"}, "speed"),
    (claude, {"service_tier": "priority"}, "service_tier"),
    (claude, {"inference_geo": "moon"}, "inference_geo"),
    (claude, {"inference_geo": "us"}, "region"),
    (claude, {"next_years": 1}, "next_years"),
    (claude, {"max_tokens": 0}, "max_tokens"),
    (claude, {"max_tokens": "20"}, "max_tokens"),
    (claude, {"thinking": {"type": "enabled", "budget_tokens": "20"}}, "budget_tokens"),
    (claude, {"tools": {"name": "f"}}, "tools"),
    (claude, {"messages": "x"}, "messages"),
    (claude, {"system": 5}, "content"),
    (gemini, {"cachedContent": "cachedContents/1"}, "cachedContent"),
    (gemini, {"cached_content": "cachedContents/1"}, "cachedContent"),
    (gemini, {"serviceTier": "next_years"}, "serviceTier"),
    (gemini, {"nextYears": 1}, "nextYears"),
    (gemini, {"config": {"maxOutputTokens": 5, "max_output_tokens": 9}}, "twice"),
    (gemini, {"config": {"maxOutputTokens": 5, "speechConfig": {}}}, "speechConfig"),
    (gemini, {"config": {"maxOutputTokens": 5, "responseModalities": ["AUDIO"]}}, "Modalities"),
    (gemini, {"config": {"maxOutputTokens": 5, "candidateCount": 0.5}}, "candidateCount"),
    (ollama, {"prompt": "x", "options": {"num_predict": 0}}, "num_predict"),
    (ollama, {"prompt": "x", "options": "num_predict"}, "options"),
    (ollama, {"prompt": "x", "images": ["AA"]}, "images"),
    (ollama, {"messages": [{"role": "user", "content": "x", "images": ["AA"]}]}, "images"),
    (ollama, {"prompt": "x", "next_years": 1}, "next_years"),
    (ollama, {"messages": [{"role": "user", "next_years": 1}]}, "next_years"),
]


@pytest.mark.parametrize(("ask", "fields", "named"), REFUSED_FIELDS)
def test_field_without_a_rule_is_refused_by_name(
    ask: Any, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(NotBounded, match=named):
        ask(**fields)


def test_local_models_own_prompt_is_part_of_its_bound() -> None:
    made = ollama(prompt="x")
    assert made.input_tokens > MODEL_PROMPT_TOKENS + len(made.body)


def test_image_costs_no_more_however_large_its_bytes_are() -> None:
    small, large = image("data:image/png;base64,AA"), image(DATA)
    assert abs(chat(small).input_tokens - chat(large).input_tokens) < 60
    assert len(chat(large).body) > 40_000
