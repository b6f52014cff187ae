"""Each test that posts runs against both transports."""

from collections.abc import Callable

import httpx
import pytest

from tests.unit.blocks.wire.transports import POOLS, MakeWire, Wire


@pytest.fixture(params=["async", "sync"])
def wire(request: pytest.FixtureRequest) -> MakeWire:
    return lambda *replies, **options: Wire(request.param, *replies, **options)


@pytest.fixture(params=sorted(POOLS))
def pool(request: pytest.FixtureRequest) -> Callable[[], httpx.AsyncBaseTransport]:
    """What makes a transport that sends, on a loop."""
    return POOLS[request.param]
