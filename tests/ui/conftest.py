"""A browser and a Prefect server of the tests' own."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import provider_process, server, upstream
from tests.ui.browser import browser

if TYPE_CHECKING:
    from playwright.async_api import Page

__all__ = ["provider_process", "server", "upstream"]


@pytest.fixture
async def page() -> AsyncIterator["Page"]:
    """A page of a new browser."""
    async with browser() as context:
        yield await context.new_page()
