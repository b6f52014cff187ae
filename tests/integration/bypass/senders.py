"""One model call by each library as its own documentation has it, without a client of ours."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.provider.process import ProviderProcess

MODEL = "gpt-4o-mini"
CLAUDE = "anthropic.claude-3-5-haiku-20241022-v1:0"
OUTPUT = 200
HELLO = [{"role": "user", "content": "hello"}]
BODY: dict[str, Any] = {"model": MODEL, "messages": HELLO, "max_tokens": OUTPUT}
HEADERS = {"authorization": "Bearer sk-test-bypass"}
ACCESS, SECRET = "AKIABYPASS0000000001", "bypass/secret"

Call = Callable[[ProviderProcess], None]


def url(provider: ProviderProcess) -> str:
    return f"{provider.api_base}/chat/completions"


def httpx_(provider: ProviderProcess) -> None:
    import httpx

    httpx.post(url(provider), json=BODY, headers=HEADERS).raise_for_status()


def httpx_async(provider: ProviderProcess) -> None:
    import httpx

    async def ask() -> None:
        async with httpx.AsyncClient(headers=HEADERS) as client:
            (await client.post(url(provider), json=BODY)).raise_for_status()

    asyncio.run(ask())


def httpx2_(provider: ProviderProcess) -> None:
    import httpx2

    with httpx2.Client(headers=HEADERS) as client:
        client.post(url(provider), json=BODY).raise_for_status()


def httpx2_async(provider: ProviderProcess) -> None:
    import httpx2

    async def ask() -> None:
        async with httpx2.AsyncClient(headers=HEADERS) as client:
            (await client.post(url(provider), json=BODY)).raise_for_status()

    asyncio.run(ask())


def aiohttp_(provider: ProviderProcess) -> None:
    import aiohttp

    async def ask() -> None:
        async with (
            aiohttp.ClientSession(headers=HEADERS, raise_for_status=True) as session,
            session.post(url(provider), json=BODY) as reply,
        ):
            assert (await reply.json())["usage"]["completion_tokens"] == OUTPUT

    asyncio.run(ask())


def requests_(provider: ProviderProcess) -> None:
    import requests

    reply = requests.post(url(provider), json=BODY, headers=HEADERS, timeout=30)
    reply.raise_for_status()
    assert reply.json()["usage"]["completion_tokens"] == OUTPUT


def urllib3_(provider: ProviderProcess) -> None:
    import urllib3

    with urllib3.PoolManager() as pool:
        reply = pool.request("POST", url(provider), json=BODY, headers=HEADERS)
        if reply.status != 200:
            # It raises nothing for a status by itself.
            refused = RuntimeError(reply.reason)
            vars(refused)["response"] = reply
            raise refused
        assert reply.json()["usage"]["completion_tokens"] == OUTPUT


def boto3_(provider: ProviderProcess) -> None:
    bedrock(provider).converse(
        modelId=CLAUDE,
        messages=[{"role": "user", "content": [{"text": "hello"}]}],
        inferenceConfig={"maxTokens": OUTPUT},
    )


def bedrock(provider: ProviderProcess) -> Any:
    import boto3

    return boto3.client(
        "bedrock-runtime",
        endpoint_url=provider.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
    )


def openai_(provider: ProviderProcess) -> None:
    import openai

    with openai.OpenAI(base_url=provider.api_base, api_key="sk-test-bypass") as client:
        client.chat.completions.create(**BODY)


def litellm_(provider: ProviderProcess) -> None:
    import litellm

    async def ask() -> None:
        await litellm.acompletion(
            model=f"openai/{MODEL}",
            messages=HELLO,
            max_tokens=OUTPUT,
            api_base=provider.api_base,
            api_key="sk-test-bypass",
            num_retries=0,
        )

    asyncio.run(ask())


CALLS: dict[str, Call] = {
    "aiohttp": aiohttp_,
    "boto3": boto3_,
    "httpx": httpx_,
    "httpx, async": httpx_async,
    "httpx2": httpx2_,
    "httpx2, async": httpx2_async,
    "litellm": litellm_,
    "openai": openai_,
    "requests": requests_,
    "urllib3": urllib3_,
}
