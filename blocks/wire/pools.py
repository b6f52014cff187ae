"""Many connections in pools that stay small.

httpcore looks at every connection of its pool, and at the sockets of the idle ones, whenever a
request begins or ends. At 300 calls in flight that was a quarter of a call's cost.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx

# Calls in flight in one pool.
WIDTH = 16


@dataclass
class _Pool:
    transport: httpx.AsyncBaseTransport
    in_flight: int = 0


class Pools(httpx.AsyncBaseTransport):
    """Sends through the first pool that has room, so that few calls use few connections again and
    again. `make` makes a pool, whenever all have `width` calls in flight."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport], *, width: int = WIDTH) -> None:
        self._make = make
        self._width = width
        self._pools: list[_Pool] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pool = next((each for each in self._pools if each.in_flight < self._width), None)
        if pool is None:
            pool = _Pool(self._make())
            self._pools.append(pool)
        pool.in_flight += 1
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            pool.in_flight -= 1
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Counted(response.stream, pool)
        return response

    async def aclose(self) -> None:
        for each in self._pools:
            await each.transport.aclose()


class _Counted(httpx.AsyncByteStream):
    """A reply that takes a place in its pool until it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, pool: _Pool) -> None:
        self._inner = inner
        self._pool: _Pool | None = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        try:
            await self._inner.aclose()
        finally:
            if pool is not None:
                pool.in_flight -= 1
