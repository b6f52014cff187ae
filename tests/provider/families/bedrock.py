"""Amazon Bedrock's runtime: Converse, InvokeModel of Anthropic's models, AWS's event streams."""

from __future__ import annotations

import base64
import re
from binascii import crc32
from struct import pack
from typing import Any
from urllib.parse import unquote

import orjson

from tests.provider.answers.replies import Answer, Choice
from tests.provider.books.bill import Usage
from tests.provider.config import Config
from tests.provider.families.anthropic import MESSAGES, openai_tools
from tests.provider.families.chat import ApiError, ChatRequest, read_json
from tests.provider.families.family import written_where

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
# The one that AWS's page names, and the dates that Anthropic's SDK sends.
ANTHROPIC_VERSION = re.compile(r"bedrock-2023-05-31|\d{4}-\d{2}-\d{2}")
CONTENT_TYPE = "application/vnd.amazon.eventstream"
EXCEPTIONS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke|invoke-with-response-stream)")
_FIELDS = {
    "messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig", "promptVariables",
    "additionalModelRequestFields", "additionalModelResponseFieldPaths", "requestMetadata",
    "performanceConfig", "serviceTier", "outputConfig",
}  # fmt: skip
_INFERENCE = {"maxTokens", "temperature", "topP", "stopSequences"}
_BLOCKS = {
    "text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent",
    "cachePoint", "reasoningContent", "citationsContent", "searchResult",
}  # fmt: skip


def is_bedrock(path: str) -> bool:
    return path.startswith("/model/")


def family_at(path: str) -> Converse | Invoke | None:
    """The family of a path, None where it is none of Bedrock's."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    return INVOKE if found[2].startswith("invoke") else CONVERSE


def in_form(error: ApiError) -> ApiError:
    """An error as Bedrock has it: its name in a header, and no word of when to come again."""
    kind = EXCEPTIONS.get(error.status, "InternalServerException")
    if error.status == 403 and b"InvalidSignature" in error.body:
        kind = "InvalidSignatureException"
    error.body = orjson.dumps({"message": str(error)})
    error.headers = {"x-amzn-errortype": kind}
    error.status = 403 if error.status == 401 else error.status
    return error


def message(kind: str, payload: bytes, *, exception: bool = False) -> bytes:
    """One message of an event stream: lengths, headers, payload, and the checksums of both."""
    named = ":exception-type" if exception else ":event-type"
    headers = b"".join(
        pack("!B", len(name)) + name.encode() + pack("!BH", 7, len(value)) + value.encode()
        for name, value in (
            (named, kind),
            (":content-type", "application/json"),
            (":message-type", "exception" if exception else "event"),
        )
    )
    prelude = pack("!II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + pack("!I", crc32(prelude)) + headers + payload
    return body + pack("!I", crc32(body))


def event(kind: str, **data: Any) -> bytes:
    return message(kind, orjson.dumps(data))


def _asked(path: str) -> tuple[str, bool]:
    found = _PATH.fullmatch(path.partition("?")[0])
    if found is None:
        raise ApiError(404, f"no model in {path}")
    return unquote(found[1]), found[2].endswith("stream")


class Converse:
    """`/model/{modelId}/converse` and `/converse-stream`."""

    content_type = CONTENT_TYPE
    done = ()

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        model, stream = _asked(path)
        body = read_json(raw)
        _known(body, _FIELDS, "")
        config = body.get("inferenceConfig") or {}
        _known(config, _INFERENCE, "inferenceConfig.")
        limit = config.get("maxTokens")
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ApiError(400, f"inferenceConfig.maxTokens: {limit!r} is not greater than 0")
        thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
        if limit is not None and thinking.get("budget_tokens", 0) >= limit:
            raise ApiError(400, "`max_tokens` must be greater than `thinking.budget_tokens`")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or messages[0].get("role") != "user":
            raise ApiError(400, "A conversation must start with a user message.")
        tools = [tool["toolSpec"] for tool in (body.get("toolConfig") or {}).get("tools") or []
                 if "toolSpec" in tool]  # fmt: skip
        system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        translated = [
            {"role": each["role"], "content": _parts(each.get("content"))}
            for each in (*system, *messages)
        ]
        named = [{**tool, "schema": tool["inputSchema"].get("json")} for tool in tools]
        return ChatRequest(
            body={"messages": translated, "tools": openai_tools(named, "schema"), "asked": body},
            model=model,
            messages=translated,
            max_output=limit,
            choices=1,
            stream=stream,
            include_usage=True,
            service_tier=str((body.get("serviceTier") or {}).get("type") or "default"),
            tools=openai_tools(named, "schema"),
        )

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        return written_where(b'"cachePoint"', request, fresh, config)

    def whole(
        self,
        answer: Answer,
        *,
        reply_id: str,
        created: int,
        model: str,
        tier: str,
        usage: Usage | None,
    ) -> dict[str, Any]:
        (choice,) = answer.choices
        content: list[dict[str, Any]] = [] if choice.text is None else [{"text": choice.text}]
        for call in choice.calls:
            made = orjson.loads(call.arguments)
            content.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": made}})
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _reason(choice),
            **_metadata(usage, tier),
        }

    def events(
        self,
        answer: Answer,
        *,
        reply_id: str,
        created: int,
        model: str,
        tier: str,
        usage: Usage | None,
        include_usage: bool,
        chunk_tokens: int,
    ) -> list[bytes]:
        """As Bedrock does: the reason in `messageStop`, the usage after it in `metadata`."""
        (choice,) = answer.choices
        found = [event("messageStart", role="assistant")]
        index = 0
        if choice.text is not None:
            pieces = re.findall(r"\s*\S+|\s+$", choice.text)
            found += [
                event(
                    "contentBlockDelta",
                    contentBlockIndex=0,
                    delta={"text": "".join(pieces[start : start + chunk_tokens])},
                )
                for start in range(0, len(pieces), chunk_tokens)
            ]
            found.append(event("contentBlockStop", contentBlockIndex=0))
            index = 1
        for at, call in enumerate(choice.calls, start=index):
            start = {"toolUse": {"toolUseId": call.id, "name": call.name}}
            delta = {"toolUse": {"input": call.arguments}}
            found += [
                event("contentBlockStart", contentBlockIndex=at, start=start),
                event("contentBlockDelta", contentBlockIndex=at, delta=delta),
                event("contentBlockStop", contentBlockIndex=at),
            ]
        found.append(event("messageStop", stopReason=_reason(choice)))
        return [*found, event("metadata", **_metadata(usage, tier))]


class Invoke:
    """`/model/{modelId}/invoke` and `/invoke-with-response-stream` of Anthropic's models."""

    content_type = CONTENT_TYPE

    @property
    def done(self) -> tuple[bytes, ...]:
        return tuple(map(_chunk, MESSAGES.done))

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        model, stream = _asked(path)
        if "anthropic.claude-" not in model:
            raise ApiError(400, "this provider invokes Anthropic's models only")
        body = read_json(raw)
        if not ANTHROPIC_VERSION.fullmatch(str(body.pop("anthropic_version", None))):
            raise ApiError(400, "anthropic_version: Field required")
        body.pop("anthropic_beta", None)
        for name in ("model", "stream"):
            if name in body:
                raise ApiError(
                    400, f"Malformed input request: extraneous key [{name}] is not permitted"
                )
        return MESSAGES.parse(orjson.dumps({**body, "model": model, "stream": stream}), path)

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        return MESSAGES.written(request, fresh, config)

    def whole(self, answer: Answer, **fields: Any) -> dict[str, Any]:
        return MESSAGES.whole(answer, **fields)

    def events(self, answer: Answer, **fields: Any) -> list[bytes]:
        return list(map(_chunk, MESSAGES.events(answer, **fields)))


def _chunk(sse: bytes) -> bytes:
    """An event of Anthropic's stream as Bedrock passes it on."""
    data = sse.partition(b"data: ")[2].strip()
    return event("chunk", bytes=base64.b64encode(data).decode(), p="abcdef")


def _reason(choice: Choice) -> str:
    return STOP_REASONS.get(choice.finish_reason, choice.finish_reason)


def _metadata(usage: Usage | None, tier: str) -> dict[str, Any]:
    said: dict[str, Any] = {"metrics": {"latencyMs": 1}}
    if tier != "default":
        said["serviceTier"] = {"type": tier}
    if usage is None:
        return said
    written = usage.written + usage.written_long
    counts: dict[str, Any] = {
        "inputTokens": usage.input - usage.cached - written,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
        "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": written,
    }
    lives = (("1h", usage.written_long), ("5m", usage.written))
    if written:
        counts["cacheDetails"] = [
            {"ttl": life, "inputTokens": tokens} for life, tokens in lives if tokens
        ]
    return {**said, "usage": counts}


def _known(fields: dict[str, Any], known: set[str], within: str) -> None:
    for name in fields.keys() - known:
        raise ApiError(
            400, f"Malformed input request: extraneous key [{within}{name}] is not permitted"
        )


def _parts(content: Any) -> list[dict[str, Any]]:
    if not isinstance(content, list):
        raise ApiError(400, "content: expected a list of content blocks")
    found = []
    for block in content:
        _known(block, _BLOCKS, "content.")
        if "image" in block:
            found.append({"type": "image_url"})
        elif "cachePoint" not in block:
            said = block.get("text")
            found.append(
                {"type": "text", "text": orjson.dumps(block).decode() if said is None else said}
            )
    return found


CONVERSE = Converse()
INVOKE = Invoke()
