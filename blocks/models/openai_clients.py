"""What a client is for, and OpenAI's clients over our transport: its own, and the one for Azure."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Azure:
    """What a client for Azure is built with beside an address and a key: the date of the API, None
    for the one without dates, and a token of Entra ID or what gives one."""

    api_version: str | None
    token: str | None = field(default=None, repr=False)
    token_provider: Callable[[], str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client is for. `offline`: the model in the package, no network. `base_model`: the
    model behind a deployment's name."""

    provider: str
    api_base: str | None
    api_key: str | None = field(repr=False)
    offline: bool = False
    openai: bool = True
    azure: Azure | None = None
    base_model: str | None = None


def openai_client(wanted: Wanted, client: Any, plain: Any, dated: Any) -> Any:
    """OpenAI's own client, or its other one for Azure's dated APIs."""
    azure = wanted.azure
    if azure is None:
        return _once(plain)(
            api_key=wanted.api_key, base_url=wanted.api_base, max_retries=0, http_client=client
        )
    if azure.api_version is None:
        key = wanted.api_key or azure.token or _awaitable(azure.token_provider, client)
        base = f"{wanted.api_base}/openai/v1/"
        return _once(plain)(api_key=key, base_url=base, max_retries=0, http_client=client)
    return _once(dated)(
        api_key=wanted.api_key,
        azure_ad_token=azure.token,
        azure_ad_token_provider=azure.token_provider,
        azure_endpoint=wanted.api_base,
        api_version=azure.api_version,
        max_retries=0,
        http_client=client,
    )


def _awaitable(provider: Callable[[], Any] | None, client: Any) -> Any:
    """What gives a token, as the client asks for it: the asynchronous one awaits it."""
    if provider is None or not isinstance(client, httpx.AsyncClient):
        return provider

    async def token() -> str:
        given = provider()
        return str(await given if inspect.isawaitable(given) else given)

    return token


@lru_cache(maxsize=4)
def _once(client: Any) -> Any:
    """A class of OpenAI's clients that never sends again by itself: LiteLLM sets the retries of the
    client that it is handed, for embeddings to 2 whatever it was told."""

    class Once(client):  # type: ignore[misc]
        @property
        def max_retries(self) -> int:
            return 0

        @max_retries.setter
        def max_retries(self, value: int) -> None:
            pass

    Once.__name__ = client.__name__
    return Once
