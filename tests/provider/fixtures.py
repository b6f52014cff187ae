"""Fixtures: `provider`, and `make_provider(**config)` for one with a config."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from tests.provider.process import ProviderProcess


class MakeProvider(Protocol):
    def __call__(self, **config: Any) -> ProviderProcess: ...


@pytest.fixture
def make_provider() -> Iterator[MakeProvider]:
    """Starts a provider with the given config; all are stopped when the test ends."""
    with ExitStack() as stack:

        def make(**config: Any) -> ProviderProcess:
            return stack.enter_context(ProviderProcess(**config))

        yield make


@pytest.fixture
def provider(make_provider: MakeProvider) -> ProviderProcess:
    """A provider with the default config."""
    return make_provider()
