"""What every client of ours sends to instead of a network: how it is reached, and how it fails."""

import inspect
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.unit.fakes import FakeGoverning, FakeProvider

# LiteLLM's own models warn as pydantic builds them.
quiet = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
failures = pytest.mark.parametrize(
    "failure",
    [
        httpx.RemoteProtocolError("disconnected"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("hangs"),
        httpx.Response(500, json={"error": {"message": "boom"}}),
    ],
    ids=["disconnected", "refused", "timeout", "500"],
)
ADDRESS = {"api_key": "sk-test", "api_base": "http://gateway.test/v1"}


class Network(FakeProvider):
    """Fails until it is told what to answer."""

    def __init__(self) -> None:
        super().__init__([httpx.Response(500)])

    def answer(self, reply: Any) -> None:
        self.replies = [lambda: httpx.Response(200, json=reply)]


def reach(provider: str, **fields: Any) -> dict[str, Any]:
    """The arguments of an embedding."""
    return {"model": f"{provider}/some-model", "input": "What is it?", **ADDRESS, **fields}


def ask(provider: str, **fields: Any) -> dict[str, Any]:
    """The arguments of a response."""
    return reach(provider, max_output_tokens=20, **fields)


async def called(function: Callable[..., Any], **fields: Any) -> Any:
    """One that is awaited, or one that is not."""
    reply = function(**fields)
    return await reply if inspect.isawaitable(reply) else reply


def assert_one_call(
    network: Network,
    governing: FakeGoverning,
    provider: str,
    path: str,
    *,
    model: str = "some-model",
) -> None:
    (request,) = network.requests
    assert len(governing.desk.demands) == 1
    assert governing.desk.outcomes == ["settle"]
    assert request.url.host == "gateway.test"
    assert {*governing.asked} == {f"{provider}/{model}"}
    if provider == "azure":
        deployed = "/openai/v1" if path == "/responses" else f"/openai/deployments/{model}"
        assert request.url.path == f"/v1{deployed}{path}"
        assert request.headers["api-key"] == "sk-test"
        return
    assert request.url.path == f"/v1{path}"
    assert request.headers["authorization"] == "Bearer sk-test"
