"""What aiohttp does by itself around a request: redirects, forms, errors before a byte is sent."""

import asyncio
from typing import Any

import aiohttp
import pytest

from prefect_governor import NotGoverned
from tests.integration.bypass.senders import BODY, HEADERS, url
from tests.integration.bypass.server import serving
from tests.integration.bypass.test_bypass import governor
from tests.integration.models.bill import figures
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


async def post(where: str, **more: Any) -> int:
    async with aiohttp.ClientSession() as session, session.post(where, **more) as reply:
        await reply.read()
        return reply.status


def test_a_redirect_to_a_model_is_no_way_around_the_ceiling(provider: ProviderProcess) -> None:
    with serving(lambda path: (307, {"location": url(provider)})) as front:
        where = f"{front.url}/go"
        with governor(1), pytest.raises(NotGoverned, match="redirected"):
            asyncio.run(post(where, json=BODY, headers=HEADERS))
        assert provider.settled_stats()["requests"] == 0
        with governor(1, "warn"):
            assert asyncio.run(post(where, json=BODY, headers=HEADERS)) == 200


def test_a_model_call_is_redirected_at_its_own_host(provider: ProviderProcess) -> None:
    """Servers send away from, or to, the path that ends in a slash."""

    def answer(path: str) -> tuple[int, dict[str, str]]:
        return (200, {}) if path.endswith("/") else (307, {"location": f"{path}/"})

    with serving(answer) as front, governor(10**9):
        assert asyncio.run(post(f"{front.url}/v1/chat/completions", json=BODY)) == 200
        first, second = front.seen
    assert second == ("/v1/chat/completions/", first[1])


def test_a_form_is_no_model_call_and_goes_as_it_is() -> None:
    async def forms(where: str) -> None:
        form = aiohttp.FormData()
        form.add_field("file", b"\x00\x01", filename="f")
        assert await post(where, data=form) == 200
        assert await post(where, data={"a": "1"}) == 200

    with serving() as survey, governor(1):
        asyncio.run(forms(f"{survey.url}/survey/responses"))
    (_, multipart), (_, plain) = survey.seen
    assert b"\x00\x01" in multipart and plain == b"a=1"


def test_what_is_no_url_is_refused_in_aiohttps_words() -> None:
    with governor(1), pytest.raises(aiohttp.InvalidURL):
        asyncio.run(post("http://x:99999999/"))


def test_what_was_refused_before_a_byte_left_costs_nothing(provider: ProviderProcess) -> None:
    async def closed() -> None:
        session = aiohttp.ClientSession()
        await session.close()
        await session.post(url(provider), json=BODY)

    team = governor(10**9)
    with team:
        with pytest.raises(RuntimeError, match="closed"):
            asyncio.run(closed())
        # As a key is that was read with the end of its line.
        with pytest.raises(ValueError, match="header"):
            asyncio.run(post(url(provider), json=BODY, headers={"authorization": "Bearer k\n"}))
        with pytest.raises(ValueError, match="header"):
            asyncio.run(post(url(provider), json=BODY, headers={"x": "\x00"}))
        assert asyncio.run(post(url(provider), json=BODY, headers=HEADERS)) == 200
    state = figures(team)
    assert (state.unconfirmed_nano, state.reserved_nano) == (0, 0)
    assert state.spent_nano == provider.settled_stats()["billed_nano"] > 0
