"""aiohttp, where a request's bytes leave: whether they have, and where a redirect sends them."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

from prefect_governor.blocks.bypass.bodies import bytes_of
from prefect_governor.blocks.bypass.calls import is_call, lets_pass, looking, place_of, unseen

REDIRECTED = "aiohttp was redirected there"


@dataclass(slots=True)
class Leaving:
    """Whether a byte of a request may have left."""

    begun: bool = False


_leaving: ContextVar[Leaving | None] = ContextVar("prefect_governor_aiohttp", default=None)


@contextmanager
def leaving() -> Iterator[Leaving]:
    """The request that is sent inside."""
    token = _leaving.set(left := Leaving())
    try:
        yield left
    finally:
        _leaving.reset(token)


def guarded(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """`ClientRequest.send`, around which aiohttp follows redirects by itself: what comes here by
    one is a model call that nobody has looked at, and is refused."""

    @wraps(send)
    async def sent(self: Any, *rest: Any, **more: Any) -> Any:
        governing = looking()
        if governing is not None:
            host, path = self.url.host or "", self.url.path
            place = place_of(self.method, host, path, self.headers)
            if place is not None and is_call(place, path, self.headers, _body(self)):
                refused = unseen("aiohttp", f"{host}{path}", REDIRECTED)
                if not lets_pass(governing, f"{host}{path}", str(refused)):
                    raise refused
        if (left := _leaving.get()) is not None:
            left.begun = True
        try:
            return await send(self, *rest, **more)
        except ValueError:
            # Of a header that cannot be sent, before the first byte is.
            if left is not None:
                left.begun = False
            raise

    return sent


def _body(request: Any) -> bytes | None:
    body = getattr(request, "_body", None)
    return bytes_of(getattr(body, "_value", request.body if body is None else body))
