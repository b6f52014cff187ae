"""One family of APIs: how a request is read, and how an answer is written."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from tests.provider.answers.render import DONE, completion, events
from tests.provider.answers.replies import Answer
from tests.provider.books.bill import Usage
from tests.provider.config import Config
from tests.provider.families.chat import ChatRequest, parse_chat


class Family(Protocol):
    """What differs between the families; limits, faults and the bill are the same for all.

    `done` are the events after which a stream is whole.
    """

    @property
    def content_type(self) -> str: ...

    @property
    def done(self) -> tuple[bytes, ...]: ...

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        """The request as OpenAI's chat has it. Raises ApiError 400."""

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        """Of so many fresh input tokens, those written to a cache for minutes and for an hour."""

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
        """A whole reply; without a usage where `usage` is None."""

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
        """A stream up to what is `done`."""


def written_where(mark: bytes, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
    """What Claude's models write to a cache where a request holds this mark: all for minutes, or
    all for an hour."""
    asked = orjson.dumps(request.body["asked"])
    if mark not in asked:
        return 0, 0
    count = int(fresh * config.written_fraction)
    return (0, count) if b'"ttl":"1h"' in asked else (count, 0)


class OpenAIChat:
    """`/v1/chat/completions`."""

    content_type = "text/event-stream; charset=utf-8"
    done = (DONE,)

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        return parse_chat(raw)

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        return 0, 0

    def whole(self, answer: Answer, **fields: Any) -> dict[str, Any]:
        return completion(answer, **fields)

    def events(
        self, answer: Answer, *, include_usage: bool, chunk_tokens: int, **fields: Any
    ) -> list[bytes]:
        return events(answer, include_usage=include_usage, chunk_tokens=chunk_tokens, **fields)


OPENAI_CHAT = OpenAIChat()
