"""The offline model as a custom provider of LiteLLM's. Imports LiteLLM: import it lazily.

LiteLLM hands a custom provider the `client=` of the call as it is. The call goes through that one:
an `httpx` client, LiteLLM's own handlers around one, or an OpenAI client; without one, through a
client of its own over the offline transport.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NoReturn

import httpx
import litellm
from litellm.llms.custom_llm import CustomLLM, CustomLLMError
from litellm.types.utils import GenericStreamingChunk, ModelResponse

from prefect_governor.blocks.offline.transport import (
    BASE_URL,
    OfflineSyncTransport,
    OfflineTransport,
)
from prefect_governor.blocks.prices.prices import OFFLINE, OFFLINE_PRICE

PROVIDER = OFFLINE.partition("/")[0]


def register() -> None:
    """Add the provider to LiteLLM's map, once, with its price."""
    if any(item["provider"] == PROVIDER for item in litellm.custom_provider_map):
        return
    from litellm.utils import custom_llm_setup

    litellm.custom_provider_map.append({"provider": PROVIDER, "custom_handler": _Offline()})
    custom_llm_setup()  # type: ignore[no-untyped-call]
    price = OFFLINE_PRICE
    litellm.register_model(
        {
            OFFLINE: {
                "litellm_provider": PROVIDER,
                "mode": "chat",
                "input_cost_per_token": float(price.input),
                "output_cost_per_token": float(price.output),
                "cache_creation_input_token_cost": 0.0,
                "cache_read_input_token_cost": 0.0,
            }
        }
    )


class _Offline(CustomLLM):
    def completion(self, *_: Any, **call: Any) -> ModelResponse:
        client, own = _client(call, httpx.Client)
        try:
            response = client.post(_url(call), json=_body(call), **_options(call))
        finally:
            if own:
                client.close()
        return _result(call["model_response"], response)

    async def acompletion(self, *_: Any, **call: Any) -> ModelResponse:
        client, own = _client(call, httpx.AsyncClient)
        try:
            response = await client.post(_url(call), json=_body(call), **_options(call))
        finally:
            if own:
                await client.aclose()
        return _result(call["model_response"], response)

    def streaming(self, *_: Any, **call: Any) -> Iterator[GenericStreamingChunk]:
        client, own = _client(call, httpx.Client)
        try:
            with client.stream(
                "POST", _url(call), json=_body(call, stream=True), **_options(call)
            ) as response:
                if response.status_code != httpx.codes.OK:
                    response.read()
                    _fail(response)
                for line in response.iter_lines():
                    if (chunk := _chunk(line)) is not None:
                        yield chunk
        finally:
            if own:
                client.close()

    # LiteLLM declares a coroutine here, and iterates over what it gets without awaiting it.
    async def astreaming(  # type: ignore[override]
        self, *_: Any, **call: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        client, own = _client(call, httpx.AsyncClient)
        try:
            async with client.stream(
                "POST", _url(call), json=_body(call, stream=True), **_options(call)
            ) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    _fail(response)
                async for line in response.aiter_lines():
                    if (chunk := _chunk(line)) is not None:
                        yield chunk
        finally:
            if own:
                await client.aclose()


def _client(call: Mapping[str, Any], kind: type[Any]) -> tuple[Any, bool]:
    """The call's httpx client of this kind, and whether it is ours to close."""
    given = call.get("client")
    if given is None:
        if kind is httpx.AsyncClient:
            return httpx.AsyncClient(transport=OfflineTransport()), True
        return httpx.Client(transport=OfflineSyncTransport()), True
    # LiteLLM's handlers keep it as `client`, OpenAI's clients as `_client`.
    for found in (given, getattr(given, "client", None), getattr(given, "_client", None)):
        if isinstance(found, kind):
            return found, False
    raise CustomLLMError(  # type: ignore[no-untyped-call]
        status_code=400,
        message=f"client={type(given).__name__} holds no httpx.{kind.__name__} for {OFFLINE}",
    )


def _url(call: Mapping[str, Any]) -> str:
    return f"{(call.get('api_base') or BASE_URL).rstrip('/')}/chat/completions"


def _body(call: Mapping[str, Any], *, stream: bool = False) -> dict[str, Any]:
    options = dict(call.get("optional_params") or {})
    options.pop("stream", None)
    # Settings of LiteLLM's own; nothing that the model would read.
    options.pop("extra_body", None)
    body = {"model": f"{PROVIDER}/{call['model']}", "messages": call["messages"], **options}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _options(call: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {"headers": call.get("headers") or {}}
    if call.get("timeout") is not None:
        options["timeout"] = call["timeout"]
    return options


def _result(into: ModelResponse, response: httpx.Response) -> ModelResponse:
    if response.status_code != httpx.codes.OK:
        _fail(response)
    reply = response.json()
    choice = reply["choices"][0]
    into.id, into.created, into.model = reply["id"], reply["created"], reply["model"]
    into.choices = [
        litellm.Choices(
            finish_reason=choice["finish_reason"],
            index=0,
            message=litellm.Message(role="assistant", content=choice["message"]["content"]),
        )
    ]
    into.usage = litellm.Usage(**reply["usage"])  # type: ignore[attr-defined]
    return into


def _chunk(line: str) -> GenericStreamingChunk | None:
    """One event as LiteLLM wants it of a custom provider; None for what says nothing."""
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return None
    event = json.loads(data)
    choices = event.get("choices") or [{}]
    finish = choices[0].get("finish_reason")
    return GenericStreamingChunk(
        text=choices[0].get("delta", {}).get("content") or "",
        tool_use=None,
        is_finished=finish is not None,
        finish_reason=finish or "",
        usage=event.get("usage"),
        index=0,
    )


def _fail(response: httpx.Response) -> NoReturn:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:300]
    raise CustomLLMError(  # type: ignore[no-untyped-call]
        status_code=response.status_code, message=message
    )
