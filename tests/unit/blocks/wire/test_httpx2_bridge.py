"""httpx2's clients under a governor: what an SDK on it sees of a call, and of a failed one."""

import gzip
import json
import sys
from typing import Any

import httpx
import httpx2
import pytest

from prefect_governor import ConfigurationError, Governor
from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.wire.httpx2_bridge import AsyncBridge, Bridge
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.unit.blocks.wire.transports import URL
from tests.unit.fakes import (
    FakeGoverning,
    FakeProvider,
    Pieces,
    chat_events,
    chat_reply,
    chat_request,
    event_stream,
)


class Sent:
    """One client of each kind over the same provider."""

    def __init__(self, kind: str, *replies: Any, **options: Any) -> None:
        self.kind, self.options = kind, options
        self.governing = FakeGoverning()
        self.provider = FakeProvider(list(replies))

    async def post(self, body: Any = None, **headers: str) -> Any:
        asked: Any = {"json": body or chat_request(), "headers": headers}
        if self.kind == "async":
            governed = GovernedAsyncTransport(self.provider, self.governing)
            async with httpx2.AsyncClient(
                transport=AsyncBridge(governed), **self.options
            ) as client:
                return await client.post(URL, **asked)
        transport = Bridge(GovernedTransport(self.provider, self.governing))
        with httpx2.Client(transport=transport, **self.options) as blocking:
            return blocking.post(URL, **asked)


pytestmark = pytest.mark.parametrize("kind", ["async", "blocking"])


async def test_call_is_admitted_sent_and_settled(kind: str) -> None:
    sent = Sent(kind, httpx.Response(200, json=chat_reply()))
    reply = await sent.post(authorization="Bearer sk-1")
    assert isinstance(reply, httpx2.Response)
    assert reply.json() == chat_reply()
    assert sent.governing.desk.outcomes == ["settle"]
    (request,) = sent.provider.requests
    assert request.headers["authorization"] == "Bearer sk-1"
    assert json.loads(request.content)["messages"] == chat_request()["messages"]


async def test_what_httpx_cannot_decode_is_not_asked_for(kind: str) -> None:
    content = gzip.compress(json.dumps(chat_reply()).encode())
    coded = httpx.Response(
        200,
        headers={"content-type": "application/json", "content-encoding": "gzip"},
        stream=Pieces([content]),
    )
    sent = Sent(kind, coded, headers={"accept-encoding": "gzip, br, zstd"})
    reply = await sent.post()
    assert reply.json() == chat_reply()
    assert "content-encoding" not in reply.headers
    (request,) = sent.provider.requests
    assert request.headers.get_list("accept-encoding") == ["gzip, deflate"]


async def test_stream_is_handed_on_and_settled_by_its_end(kind: str) -> None:
    events = chat_events()
    sent = Sent(kind, event_stream(events))
    asked = chat_request(stream=True, stream_options={"include_usage": True})
    reply = await sent.post(asked)
    assert reply.content == b"".join(events)
    assert sent.governing.desk.outcomes == ["settle"]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (httpx.ReadTimeout("slow"), httpx2.ReadTimeout),
        (httpx.ConnectTimeout("slow"), httpx2.ConnectTimeout),
        (httpx.ConnectError("gone"), httpx2.ConnectError),
        (httpx.RemoteProtocolError("cut"), httpx2.RemoteProtocolError),
    ],
)
async def test_error_has_the_name_that_an_sdk_looks_for(
    kind: str, raised: Exception, seen: type[Exception]
) -> None:
    sent = Sent(kind, raised)
    with pytest.raises(seen) as error:
        await sent.post()
    assert error.value.__cause__ is raised
    assert str(error.value) == str(raised)


async def test_cut_stream_is_an_error_of_httpx2(kind: str) -> None:
    cut = httpx.RemoteProtocolError("peer closed connection")
    sent = Sent(kind, event_stream([chat_events()[0], cut]))
    with pytest.raises(httpx2.RemoteProtocolError):
        await sent.post(chat_request(stream=True))
    assert sent.governing.desk.outcomes == ["unconfirm"]


async def test_refusal_is_the_governors_own_error(kind: str) -> None:
    sent = Sent(kind, httpx.Response(200, json=chat_reply()))
    sent.governing.desk.ceiling_nano = 1
    with pytest.raises(OverBudget, match="needs"):
        await sent.post()
    assert not sent.provider.requests


async def test_library_that_is_missing_or_unknown_is_named(
    kind: str, monkeypatch: pytest.MonkeyPatch, home: Any
) -> None:
    governor = Governor.local("bridge", max_usd=1)
    make: Any = governor.async_http_client if kind == "async" else governor.http_client
    with pytest.raises(ConfigurationError, match="'httpx' or 'httpx2'"):
        make("requests")
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ConfigurationError, match="httpx2 is not installed"):
        make("httpx2")
