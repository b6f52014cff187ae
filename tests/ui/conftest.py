"""A browser and a Prefect server of the tests' own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import server
from tests.ui.browser import browser, missing

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

__all__ = ["server"]


@pytest.fixture(scope="session")
def chromium() -> Iterator["BrowserContext"]:
    if reason := missing():
        pytest.skip(reason)
    with browser() as context:
        yield context


@pytest.fixture
def page(chromium: "BrowserContext") -> Iterator["Page"]:
    """A tab of its own. Gone with the test."""
    opened = chromium.new_page()
    yield opened
    opened.close()
