"""Clients and transports of a governor for libraries that take both kinds, or make their own."""

from typing import Any

import httpx
import httpx2
import pytest

from prefect_governor import ConfigurationError, Governor, NotBounded
from prefect_governor.blocks.claims.clients import Library
from tests.integration.models.bill import assert_spent_is_the_bill
from tests.integration.models.cases import HELLO, root
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

BODY: Any = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 30}


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_a_library_that_makes_its_own_client_or_takes_both_is_governed(
    governor: Governor, provider: ProviderProcess, library: Library
) -> None:
    url = f"{root(provider)}/v1/chat/completions"
    its = httpx if library == "httpx" else httpx2
    http, ahttp = governor.clients(library)
    assert isinstance(http, its.Client) and isinstance(ahttp, its.AsyncClient)
    own = its.Client(transport=governor.transport(library))
    aown = its.AsyncClient(transport=governor.async_transport(library))
    with http, own:
        replies: list[Any] = [each.post(url, json=BODY) for each in (http, own)]
    async with ahttp, aown:
        replies += [await each.post(url, json=BODY) for each in (ahttp, aown)]
    assert all(reply.json()["choices"] for reply in replies)
    assert_spent_is_the_bill(governor, provider, requests=4)


def test_what_is_accepted_is_told_to_each_of_them(
    governor: Governor, provider: ProviderProcess
) -> None:
    url, strange = f"{root(provider)}/v1/chat/completions", {**BODY, "next_years": 1}
    known = httpx.Client(transport=governor.transport(allow_fields=("next_years",)))
    loud = httpx.Client(transport=governor.transport(raise_refusals=True))
    with known, loud, governor.clients()[0] as plain:
        assert known.post(url, json=strange).is_success
        assert plain.post(url, json=strange).status_code == 400
        with pytest.raises(NotBounded, match="next_years"):
            loud.post(url, json=strange)
    assert_spent_is_the_bill(governor, provider, requests=1)


def test_a_library_that_nobody_knows_is_told(governor: Governor) -> None:
    with pytest.raises(ConfigurationError, match="'httpx' or 'httpx2'"):
        governor.transport("requests")  # type: ignore[call-overload]
