"""Each test that posts runs against both transports."""

import pytest

from tests.unit.blocks.wire.transports import MakeWire, Wire


@pytest.fixture(params=["async", "sync"])
def wire(request: pytest.FixtureRequest) -> MakeWire:
    return lambda *replies, **options: Wire(request.param, *replies, **options)
