"""One provider process a module, made new for each test; and how the tests speak to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.provider.process import ProviderProcess


@pytest.fixture(scope="module")
def process() -> Iterator[ProviderProcess]:
    with ProviderProcess() as started:
        yield started


@pytest.fixture
def judge(process: ProviderProcess) -> ProviderProcess:
    """The module's provider with the default config and nothing remembered."""
    process.settled_stats()
    process.renew()
    return process


@pytest.fixture
def client(process: ProviderProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process.api_base, trust_env=False, timeout=10) as opened:
        yield opened


def body(text: str = "hi there", **fields: Any) -> dict[str, Any]:
    """A chat request's body: gpt-4o-mini, 50 output tokens at most."""
    messages = [{"role": "user", "content": text}]
    return {"model": "gpt-4o-mini", "messages": messages, "max_tokens": 50, **fields}


def raw_request(text: str, **fields: Any) -> bytes:
    """A chat request as the bytes on the wire."""
    content = orjson.dumps(body(text, **fields))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content
