"""Pools stay small whatever is in flight, and a reply that ended gives its place back."""

from collections.abc import AsyncIterator

import httpx
import pytest

from prefect_governor.blocks.wire.pools import Pools


class Body(httpx.AsyncByteStream):
    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    async def aclose(self) -> None:
        self.closed = True


class Pool(httpx.AsyncBaseTransport):
    """Counts what it was sent; fails where it is told to."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []
        self.error: Exception | None = None
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.error is not None:
            raise self.error
        self.bodies.append(Body())
        return httpx.Response(200, stream=self.bodies[-1])

    async def aclose(self) -> None:
        self.closed = True


class Made:
    def __init__(self) -> None:
        self.pools: list[Pool] = []

    def __call__(self) -> Pool:
        self.pools.append(Pool())
        return self.pools[-1]

    @property
    def counts(self) -> list[int]:
        return [len(pool.bodies) for pool in self.pools]


REQUEST = httpx.Request("POST", "http://127.0.0.1/")


async def test_no_pool_has_more_in_flight_than_its_width() -> None:
    made = Made()
    pools = Pools(made, width=4)
    for _ in range(10):
        await pools.handle_async_request(REQUEST)
    assert made.counts == [4, 4, 2]


async def test_few_calls_use_one_pool_again_and_again() -> None:
    made = Made()
    pools = Pools(made, width=4)
    for _ in range(20):
        reply = await pools.handle_async_request(REQUEST)
        assert await reply.aread() == b"abc"
        # Read to its end, it is closed; closing it again gives back no second place.
        assert made.pools[0].bodies[-1].closed
        await reply.aclose()
    assert made.counts == [20]
    for _ in range(5):
        await pools.handle_async_request(REQUEST)
    assert made.counts == [24, 1]


async def test_a_call_that_failed_gives_its_place_back() -> None:
    made = Made()
    pools = Pools(made, width=1)
    await (await pools.handle_async_request(REQUEST)).aclose()
    made.pools[0].error = httpx.ConnectError("gone")
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            await pools.handle_async_request(REQUEST)
    assert len(made.pools) == 1


async def test_all_pools_are_closed_together() -> None:
    made = Made()
    pools = Pools(made, width=1)
    for _ in range(3):
        await pools.handle_async_request(REQUEST)
    await pools.aclose()
    assert [pool.closed for pool in made.pools] == [True] * 3
