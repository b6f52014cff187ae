"""A chat completion request, checked as OpenAI checks it, and the errors it answers with."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from tests.provider.books.bill import Price

# Mistral's models: it refuses what its own documents do not name (docs.mistral.ai/api, chat), and
# says what a stream used in the chunk with the reason.
MISTRAL = ("mistral-", "codestral-")
# They know JSON mode, or nothing of the kind.
_WITHOUT_SCHEMAS = ("gpt-3.5-turbo", "gpt-4-")
_NOT_MISTRALS = ("stream_options", "service_tier", "max_completion_tokens", "store", "user")


class ApiError(Exception):
    """An error reply in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        limit: str | None = None,
    ) -> None:
        """`limit` names the provider's limit that refused, when one did."""
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.limit = limit
        self.body = orjson.dumps(
            {"error": {"message": message, "type": kind, "param": param, "code": code}}
        )


@dataclass(slots=True)
class ChatRequest:
    """What the provider needs of a request's body."""

    body: dict[str, Any]
    model: str
    messages: list[dict[str, Any]]
    max_output: int | None
    choices: int
    stream: bool
    include_usage: bool
    service_tier: str
    tools: list[dict[str, Any]] = field(default_factory=list)
    # Input tokens where they are counted otherwise than a chat's.
    counted: int | None = None
    # How many searches are billed where a ranking is billed so.
    searches: int = 0
    # What is answered where a request asks for what is stored or run elsewhere.
    elsewhere: ApiError | None = None
    # What is billed where that is not by the model's name.
    price: Price | None = None
    # What becomes of what is thought before the answer: "kept" here under a name, or given away
    # "sealed"; None where nothing is thought.
    thinks: str | None = None
    # Whether the answer may hold images.
    draws: bool = False

    @property
    def last_user_text(self) -> str:
        """The text of the last message whose role is `user`, "" without one."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return content_text(message.get("content"))
        return ""

    @property
    def turn(self) -> int:
        """How many assistant messages the conversation already holds."""
        return sum(message.get("role") == "assistant" for message in self.messages)

    @property
    def prompt_hash(self) -> str:
        """Depends on the model and the messages only: streamed or not, the answer is the same."""
        return blake2b(orjson.dumps([self.model, self.messages]), digest_size=16).hexdigest()

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema that the reply must follow, if one is asked for."""
        wanted = self.body.get("response_format") or {}
        if wanted.get("type") == "json_schema":
            schema = wanted["json_schema"].get("schema", {})
            return schema if isinstance(schema, dict) else None
        return {"type": "object"} if wanted.get("type") == "json_object" else None


def content_text(content: Any) -> str:
    """A message's content as text: its text parts joined."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def read_json(raw: bytes) -> dict[str, Any]:
    """Raises ApiError 400 for a body that is no JSON object."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return body


def parse_chat(raw: bytes) -> ChatRequest:
    """Raises ApiError 400 where OpenAI would."""
    body = read_json(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise ApiError(400, "you must provide a model parameter", param="model")
    if model.startswith(MISTRAL):
        for name in _NOT_MISTRALS:
            if name in body:
                raise ApiError(422, f"body.{name}: Extra inputs are not permitted", param=name)
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema" and (
        model == "gpt-4" or model.startswith(_WITHOUT_SCHEMAS)
    ):
        raise ApiError(
            400,
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this"
            " model.",
            param="response_format",
        )
    limits = [body.get("max_completion_tokens"), body.get("max_tokens")]
    if None not in limits:
        raise ApiError(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
        )
    max_output = next((limit for limit in limits if limit is not None), None)
    if max_output is not None:
        _integer(max_output, "max_tokens", low=1, high=10**9)
    options = body.get("stream_options") or {}
    stream = body.get("stream") or False
    if not isinstance(stream, bool):
        raise ApiError(400, "'stream' must be a boolean.", param="stream")
    if body.get("stream_options") is not None and not (stream and isinstance(options, dict)):
        raise ApiError(
            400, "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )
    return ChatRequest(
        body=body,
        model=model,
        messages=_messages(body.get("messages")),
        max_output=max_output,
        choices=_integer(body.get("n") or 1, "n", low=1, high=128),
        stream=stream,
        include_usage=options.get("include_usage") is True or model.startswith(MISTRAL),
        service_tier=str(body.get("service_tier") or "auto"),
        tools=_tools(body.get("tools")),
    )


def _integer(value: Any, name: str, *, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ApiError(400, f"Invalid '{name}': {value!r}.", param=name)
    return value


def _messages(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise ApiError(400, "Missing required parameter: 'messages'.", param="messages")
    for index, message in enumerate(value):
        where = f"messages[{index}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ApiError(400, f"Missing required parameter: '{where}.role'.", param="messages")
        content = message.get("content")
        if isinstance(content, list):
            if not all(isinstance(part, dict) for part in content):
                raise ApiError(400, f"Invalid '{where}.content'.", param="messages")
        elif content is None:
            if message["role"] != "assistant":
                raise ApiError(400, f"Missing '{where}.content'.", param="messages")
        elif not isinstance(content, str):
            raise ApiError(400, f"Invalid '{where}.content'.", param="messages")
    return value


def _tools(value: Any) -> list[dict[str, Any]]:
    tools = value or []
    if not isinstance(tools, list):
        raise ApiError(400, "'tools' must be an array.", param="tools")
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ApiError(
                400, f"Missing required parameter: 'tools[{index}].function.name'.", param="tools"
            )
    return tools
