"""`offline/extract`: the offline extractive model, behind the same HTTP as any other model.

A call to it is a chat completion posted to `http://offline.invalid/v1/chat/completions`, so that it
passes the governed transport and the same ledger admits and settles it; the transport below answers
in place of a network. It costs nothing; its nominal price exercises the ledger, on an account of
its own under a saved governor.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import anyio.to_thread
import httpx

from prefect_governor.blocks.offline.answering import Reply, answer
from prefect_governor.blocks.prices.prices import OFFLINE_HOST
from prefect_governor.blocks.wire.ports import Unbilled
from prefect_governor.blocks.wire.sockets import LEFT

__all__ = [
    "BASE_URL",
    "OfflineSyncTransport",
    "OfflineTransport",
    "Reply",
    "answer",
]

BASE_URL = f"http://{OFFLINE_HOST}/v1"
DEFAULT_MAX_TOKENS = 512

# A larger request is answered in a thread, so that the loop is held for a few milliseconds only.
_LARGE_BYTES = 50_000
# Turns of the loop that everything else has before an answer. An item takes some tens of them
# before its call and after it: so a few at a time are on their way to the queue or home from it.
TURNS = 10
_STREAMED_CHARACTERS = 400


class OfflineTransport(httpx.AsyncBaseTransport, Unbilled):
    """Answers `POST .../chat/completions` by `answer`; anything else is 404. No network.

    One request after the other, and what else runs on the loop goes first: an answer is work of the
    core that everything else needs. Were answers to go before it, all calls would be answered while
    nobody makes the next ones ready, and then none would be in flight.
    """

    def __init__(self) -> None:
        self._answering = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        async with self._answering:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            _leaves(request)
            if len(body) > _LARGE_BYTES:
                return await anyio.to_thread.run_sync(_respond, request, body)
            return _respond(request, body)


class OfflineSyncTransport(httpx.BaseTransport, Unbilled):
    """`OfflineTransport` for a synchronous client: its threads share a core by themselves."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _respond(request, request.read())


def _leaves(request: httpx.Request) -> None:
    """The request's turn has come: what it waited for is no slowness of the model."""
    left: Callable[[], None] | None = request.extensions.get(LEFT)
    if left is not None:
        left()


def _respond(request: httpx.Request, body: bytes) -> httpx.Response:
    if request.method != "POST" or not request.url.path.endswith("/chat/completions"):
        return _refused(request, 404, f"{request.method} {request.url.path} is not served offline")
    try:
        asked = json.loads(body)
        reply = answer(
            asked["messages"],
            max_tokens=int(
                asked.get("max_completion_tokens") or asked.get("max_tokens") or DEFAULT_MAX_TOKENS
            ),
            response_format=asked.get("response_format"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _refused(request, 400, f"not a chat completion: {type(error).__name__}: {error}")
    identity = "chatcmpl-offline-" + hashlib.sha256(body).hexdigest()[:24]
    head = {"id": identity, "created": 0, "model": str(asked.get("model", "extract"))}
    if not asked.get("stream"):
        return httpx.Response(200, json=_completion(head, reply), request=request)
    options = asked.get("stream_options")
    with_usage = isinstance(options, Mapping) and bool(options.get("include_usage"))
    return httpx.Response(
        200,
        headers={"content-type": "text/event-stream; charset=utf-8"},
        stream=_Events(head, reply, with_usage=with_usage),
        request=request,
    )


def _refused(request: httpx.Request, status: int, message: str) -> httpx.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return httpx.Response(status, json={"error": error}, request=request)


def _completion(head: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": reply.finish_reason,
        "logprobs": None,
    }
    return {**head, "object": "chat.completion", "choices": [choice], "usage": _usage(reply)}


def _usage(reply: Reply) -> dict[str, int]:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


class _Events(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The server-sent events of a streamed reply; the usage in one of its own where asked for."""

    def __init__(self, head: Mapping[str, Any], reply: Reply, *, with_usage: bool) -> None:
        self._head = {**head, "object": "chat.completion.chunk"}
        self._reply = reply
        self._with_usage = with_usage

    def __iter__(self) -> Iterator[bytes]:
        yield self._event({"role": "assistant", "content": ""})
        text = self._reply.text
        for start in range(0, len(text), _STREAMED_CHARACTERS):
            yield self._event({"content": text[start : start + _STREAMED_CHARACTERS]})
        yield self._event({}, self._reply.finish_reason)
        if self._with_usage:
            yield _line({**self._head, "choices": [], "usage": _usage(self._reply)})
        yield b"data: [DONE]\n\n"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self:
            yield event

    def _event(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return _line({**self._head, "choices": [choice]})


def _line(event: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"
