"""What a governor says of its answers' length is what every family of providers holds them to."""

from typing import Any

import httpx
import pytest

from prefect_governor import Governor
from prefect_governor.blocks.models.clients import aclose_clients
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport
from tests.integration.models.bill import assert_spent_is_the_bill
from tests.integration.models.cases import CASES, HELLO, KEY, root
from tests.integration.models.test_without_limits import PATHS, Elsewhere
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


async def test_answers_of_every_path_are_as_long_as_the_governor_says(
    provider: ProviderProcess,
) -> None:
    provider.configure(output_tokens="max")
    governor = Governor.local("short", max_usd=1, max_output_tokens=50, output_ceiling=True)
    transport = GovernedAsyncTransport(Elsewhere(provider), governor.runtime)
    async with httpx.AsyncClient(transport=transport, timeout=60) as http:
        for ask in PATHS.values():
            await ask(http)
    assert [each["max_output"] for each in provider.log()] == [50] * len(PATHS)
    assert_spent_is_the_bill(governor, provider, requests=len(PATHS))


async def test_streams_several_answers_and_a_library_that_sets_a_limit_of_its_own_too(
    provider: ProviderProcess,
) -> None:
    provider.configure(output_tokens="max")
    governor = Governor.local("short", max_usd=1, max_output_tokens=5000)
    body: Any = {"model": "gpt-4o-mini", "messages": HELLO}
    url, claude = f"{root(provider)}/v1/chat/completions", CASES["anthropic"]
    with governor.http_client(max_output_tokens=50, output_ceiling=True) as http:
        for more in ({}, {"max_tokens": 900}, {"stream": True}, {"n": 3}):
            assert http.post(url, json={**body, **more}).is_success
    try:
        # LiteLLM sends Anthropic the most that the model writes, where its caller said nothing.
        await governor.acompletion(claude.model, HELLO, api_base=root(provider), api_key=KEY)
    finally:
        await aclose_clients()
    log = provider.log()
    assert [each["max_output"] for each in log] == [50, 50, 50, 50, 5000]
    assert_spent_is_the_bill(governor, provider, requests=5)


def test_governor_accepts_for_all_of_its_calls(provider: ProviderProcess) -> None:
    file = {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}
    body: Any = {"model": "gpt-4o-mini", "messages": [file], "max_tokens": 30, "next_years": 1}
    url = f"{root(provider)}/v1/chat/completions"
    loose = Governor.local("loose", max_usd=1, allow_fields=["next_years"], unseen="context")
    with loose.http_client() as http:
        assert http.post(url, json=body).is_success
    with Governor.local("strict", max_usd=1).http_client() as http:
        assert http.post(url, json=body).status_code == 400
    assert provider.settled_stats()["requests"] == 1
