"""lm15, which speaks HTTP over sockets of its own, inside a governor's scope."""

import asyncio
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from lm15.transports import (
    ConnectError,
    StdlibAsyncTransport,
    StdlibTransport,
    TransportRequest,
)

from prefect_governor import Governor
from tests.integration.models.bill import assert_spent_is_the_bill, figures
from tests.integration.models.cases import HELLO, root
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

COUNT = 4
BODY: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 30}
# Sends a call, reads the first so many pieces of its reply, and leaves it.
Asks = Callable[[TransportRequest, int | None], tuple[int, str, bytes]]


def called(url: str, **more: Any) -> TransportRequest:
    headers = [("content-type", "application/json"), ("authorization", "Bearer sk-test")]
    return TransportRequest(
        "POST", f"{url}/v1/chat/completions", headers, json.dumps({**BODY, **more}).encode()
    )


def blocking(request: TransportRequest, most: int | None) -> tuple[int, str, bytes]:
    with StdlibTransport() as transport, transport.stream(request) as reply:
        pieces = [piece for piece, _ in zip(reply, range(most or 10**6), strict=False)]
        return reply.status, reply.reason, b"".join(pieces)


def asynchronous(request: TransportRequest, most: int | None) -> tuple[int, str, bytes]:
    async def ask() -> tuple[int, str, bytes]:
        async with StdlibAsyncTransport() as transport, transport.stream(request) as reply:
            pieces = []
            async for piece in reply:
                pieces.append(piece)
                if len(pieces) == most:
                    break
            return reply.status, reply.reason, b"".join(pieces)

    return asyncio.run(ask())


def governor(nano: int) -> Governor:
    return Governor.local(f"lm15-{uuid.uuid4().hex[:8]}", max_usd=Decimal(nano).scaleb(-9))


@pytest.mark.parametrize("asks", [blocking, asynchronous])
def test_its_calls_do_not_go_past_the_ceiling(provider: ProviderProcess, asks: Asks) -> None:
    for _ in range(COUNT):
        assert asks(called(root(provider)), None)[0] == 200
    control = provider.settled_stats()
    assert control["requests"] == COUNT
    provider.reset()

    team = governor(control["billed_nano"] // 2)
    with team:
        replies = [asks(called(root(provider)), None) for _ in range(COUNT)]
    refused = [reply for reply in replies if reply[0] != 200]
    assert 0 < len(refused) < COUNT
    for status, reason, body in refused:
        assert status == 402 and "OverBudget" in reason and "raise the ceiling" in body.decode()
    assert_spent_is_the_bill(team, provider, requests=COUNT - len(refused))
    assert provider.settled_stats()["billed_nano"] <= control["billed_nano"] // 2


@pytest.mark.parametrize("most", [None, 1])
@pytest.mark.parametrize("asks", [blocking, asynchronous])
def test_its_streams_are_settled_read_or_left(
    provider: ProviderProcess, asks: Asks, most: int | None
) -> None:
    team = governor(10**9)
    with team:
        status, _, body = asks(called(root(provider), stream=True), most)
    assert status == 200 and body.startswith(b"data: ")
    assert (b"[DONE]" in body) == (most is None)
    # What was left is read on for its bill.
    until(lambda: figures(team).reserved_nano == 0)
    state = figures(team)
    # What was left is charged in full, as nobody saw its bill.
    assert state.spent_nano + state.unconfirmed_nano >= provider.settled_stats()["billed_nano"] > 0


@pytest.mark.parametrize("asks", [blocking, asynchronous])
def test_what_was_never_sent_raises_its_own_error_and_costs_nothing(asks: Asks) -> None:
    team = governor(10**9)
    with team, pytest.raises(ConnectError):
        asks(called("http://127.0.0.1:9"), None)
    state = figures(team)
    assert (state.reserved_nano, state.spent_nano, state.unconfirmed_nano) == (0, 0, 0)


def test_other_requests_are_as_they_were(provider: ProviderProcess) -> None:
    request = TransportRequest("GET", f"{root(provider)}/v1/models", [("x-test", "1")])
    with governor(1):
        assert blocking(request, None)[0] == 200
