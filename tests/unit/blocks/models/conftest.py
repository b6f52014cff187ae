"""A network that no byte leaves, and a governor with a price for every model."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from prefect_governor.blocks.models import clients
from tests.unit.blocks.models.network import Network
from tests.unit.fakes import FakeGoverning
from tests.unit.prices import PRICE


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    net = Network()
    monkeypatch.setattr(clients, "async_pool", lambda: net)
    monkeypatch.setattr(clients, "blocking_pool", lambda: net)
    monkeypatch.setattr(clients, "_by_loop", {})
    monkeypatch.setattr(clients, "_blocking", [])
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    yield net


@pytest.fixture
def governing() -> FakeGoverning:
    # What a model thinks beside its limit is bounded by its window.
    return FakeGoverning(price=replace(PRICE, context_tokens=1_000))
