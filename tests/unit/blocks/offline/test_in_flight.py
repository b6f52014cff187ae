"""Calls of the offline model follow each other without a gap, though all of it shares one core."""

import asyncio
from typing import Any

import httpx

from prefect_governor.blocks.offline.transport import BASE_URL, OfflineTransport
from prefect_governor.blocks.wire.sockets import LEFT

URL = f"{BASE_URL}/chat/completions"
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
CAP, UNDER_WAY, ITEMS = 20, 48, 200
# Turns of the loop that an item takes to make its call ready, and as many to end after it.
TURNS = 20


async def test_cap_stays_full_from_first_full_to_the_end_of_the_queue() -> None:
    """By turns of the loop, not by a clock: what is ready runs in the same order every time."""
    in_flight, seen = 0, []
    window, slots = asyncio.Semaphore(UNDER_WAY), asyncio.Semaphore(CAP)

    async def turns() -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def item(client: httpx.AsyncClient) -> None:
        nonlocal in_flight
        async with window:
            await turns()
            async with slots:
                in_flight += 1
                response = await client.post(URL, json=BODY)
                assert response.status_code == 200
                seen.append(in_flight)
                in_flight -= 1
            await turns()

    async with httpx.AsyncClient(transport=OfflineTransport()) as client:
        await asyncio.gather(*(item(client) for _ in range(ITEMS)))
    assert len(seen) == ITEMS
    assert seen[: ITEMS - CAP] == [CAP] * (ITEMS - CAP)


async def test_a_call_that_waits_for_its_turn_is_no_slow_answer() -> None:
    """Else the cap that is learned from slow answers would fall by the calls that stand in line."""
    left: list[int] = []
    answered: list[int] = []

    async def call(client: httpx.AsyncClient, number: int) -> None:
        extensions = {LEFT: lambda: left.append(number)}
        request = client.build_request("POST", URL, json=BODY, extensions=extensions)
        await client.send(request)
        assert left == [*answered, number]
        answered.append(number)

    async with httpx.AsyncClient(transport=OfflineTransport()) as client:
        await asyncio.gather(*(call(client, number) for number in range(5)))
    assert left == answered == list(range(5))
