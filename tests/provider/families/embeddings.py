"""OpenAI's embeddings: input is counted as it is, nothing is written."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from tests.provider.answers.replies import Answer
from tests.provider.books.bill import Usage
from tests.provider.books.tokens import count_text, encoding_name
from tests.provider.books.used import amended
from tests.provider.config import Config
from tests.provider.families.chat import ApiError, ChatRequest, read_json

DIMENSIONS = 8


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int for each in value)


def _inputs(given: Any) -> list[str | list[int]]:
    """The texts and lists of tokens. Raises ApiError 400 for anything else and for empty ones."""
    found: list[Any] = [given] if isinstance(given, str) or _is_tokens(given) else given
    if not isinstance(found, list) or not found or not all(found):
        raise ApiError(400, "'$.input' is invalid.", param="input")
    if not all(isinstance(each, str) or _is_tokens(each) for each in found):
        raise ApiError(400, "'$.input' is invalid.", param="input")
    return found


class Embeddings:
    """`/v1/embeddings`."""

    content_type = "application/json"
    done: tuple[bytes, ...] = ()

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        """An answer for each input, none with a token of output."""
        body = read_json(raw)
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise ApiError(400, "you must provide a model parameter", param="model")
        inputs, encoding_of = _inputs(body.get("input")), encoding_name(model)
        return ChatRequest(
            body=body,
            model=model,
            messages=[{"role": "user", "content": str(each)} for each in inputs],
            max_output=0,
            choices=len(inputs),
            stream=False,
            include_usage=True,
            service_tier="auto",
            counted=sum(
                count_text(each, encoding_of) if isinstance(each, str) else len(each)
                for each in inputs
            ),
        )

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        return 0, 0

    def whole(self, answer: Answer, *, model: str, usage: Usage | None, **_: Any) -> dict[str, Any]:
        """A list of vectors, each by its own answer's text; without `usage` the field is left
        out."""
        reply = {
            "object": "list",
            "model": model,
            "data": [
                {"object": "embedding", "index": at, "embedding": vector(f"{at} {choice.text}")}
                for at, choice in enumerate(answer.choices)
            ],
        }
        if usage is None:
            return reply
        stated = {"prompt_tokens": usage.input, "total_tokens": usage.input}
        return {**reply, "usage": amended(stated, usage)}

    def events(
        self, answer: Answer, *, include_usage: bool, chunk_tokens: int, **fields: Any
    ) -> list[bytes]:
        raise NotImplementedError("embeddings are never streamed")


def vector(text: str) -> list[float]:
    """The same for the same text."""
    digest = blake2b(text.encode(), digest_size=DIMENSIONS).digest()
    return [byte / 256 for byte in digest]


EMBEDDINGS = Embeddings()
