"""One label that cannot be stored, among 200 calls in flight: that call alone fails."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

import prefect_governor.blocks.ledger.desk as desks
from prefect_governor import ConfigurationError, Governor
from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.work.ledgers import account_state
from tests.integration.models.warned import QUIET
from tests.postgres import shared_server
from tests.provider.process import ProviderProcess

CALLS, BAD = 200, 77

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


async def all_of_them(governor: Governor, api_base: str) -> list[Any]:
    """A status, or an exception, of each."""
    runtime = governor.runtime

    async def one(client: httpx.AsyncClient, number: int) -> int:
        here = Scope(runtime, user=f"user {number}")
        if number == BAD:
            # Past the scope's own look at it.
            bad: Any = uuid.uuid4()
            here.user = bad
        with scope(here):
            reply = await client.post(
                f"{api_base}/chat/completions",
                json={
                    "model": "gpt-4o-mini",
                    "messages": [{"role": "user", "content": f"call {number}"}],
                    "max_tokens": 10,
                },
                headers={"authorization": "Bearer sk-test"},
            )
        return reply.status_code

    async with governor.async_http_client(raise_refusals=True) as client:
        client.timeout = httpx.Timeout(60)
        made = (one(client, number) for number in range(CALLS))
        return await asyncio.gather(*made, return_exceptions=True)


@pytest.mark.parametrize("missed", [False, True], ids=["at the door", "past the door"])
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_one_poisoned_label_among_200_calls_in_flight_fails_its_own_call_alone(
    store: str, missed: bool, upstream: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missed:
        monkeypatch.setattr(desks, "storable_demand", lambda demand: demand, raising=False)
    upstream.configure(latency_seconds=0.5)
    url = None if store == "sqlite" else shared_server().schema_url()
    governor = Governor.local("poisoned", max_usd=5, ledger_url=url)
    with pytest.raises(ConfigurationError, match="user is a UUID"):
        governor.activate(user=uuid.uuid4()).__enter__()  # type: ignore[arg-type]
    ended = asyncio.run(all_of_them(governor, upstream.api_base))
    failed = {number: end for number, end in enumerate(ended) if end != 200}
    assert list(failed) == [BAD]
    assert "UUID" in str(failed[BAD])
    stats = upstream.settled_stats()
    assert stats["requests"] == CALLS - 1
    # What was in flight while it failed is settled, to the nano-dollar.
    state = account_state(governor.runtime.accounts_[0], at=governor.runtime.desk)
    assert (state.spent_nano, state.reserved_nano, state.unconfirmed_nano) == (
        stats["billed_nano"],
        0,
        0,
    )
    print(f"{store}: {CALLS - 1} of {CALLS} answered, at most {stats['max_open']} open")
