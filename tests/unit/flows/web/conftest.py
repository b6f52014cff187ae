"""One site for all tests of a file; each begins with one that was asked for nothing."""

from collections.abc import Iterator

import pytest

from tests.unit.flows.web.site import Resolver, Site, serving


@pytest.fixture(scope="module")
def _site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def site(_site: Site) -> Site:
    _site.replies.clear()
    _site.asked.clear()
    _site.trapped.clear()
    return _site


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()
