"""A governed reply as one of aiohttp's."""

import asyncio
from inspect import signature
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from aiohttp.base_protocol import BaseProtocol
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from prefect_governor.blocks.bypass.replies import raised, reason_of

_LIMIT = 2**16
# Tasks that close what nobody reads on: a loop holds its tasks weakly.
_closing: set["asyncio.Task[None]"] = set()


def reply_of(session: Any, url: URL, request: httpx.Request, response: httpx.Response) -> Any:
    """The reply, as a caller of `session` gets it, with httpx's `extensions`."""
    loop = asyncio.get_running_loop()
    sent = CIMultiDictProxy(CIMultiDict(request.headers.multi_items()))
    made: dict[str, Any] = {
        "writer": None, "continue100": None, "timer": None, "traces": [], "loop": loop,
        "request_info": aiohttp.RequestInfo(url, "POST", sent, url), "session": session,
        "stream_writer": SimpleNamespace(output_size=len(request.content)),
    }  # fmt: skip
    known = signature(aiohttp.ClientResponse.__init__).parameters
    reply: Any = aiohttp.ClientResponse(
        "POST", url, **{name: value for name, value in made.items() if name in known}
    )
    reply.status, reply.reason = response.status_code, reason_of(response)
    reply.version = aiohttp.HttpVersion11
    reply._headers = CIMultiDictProxy(CIMultiDict(response.headers.multi_items()))
    reply._raw_headers = tuple(response.headers.raw)
    reply.content = _Content(response, loop)
    reply._connection = _Held(response, loop)
    reply._closed = False
    reply.content.on_eof(reply._response_eof)
    reply.extensions = response.extensions
    return reply


class _Content(aiohttp.StreamReader):
    """It is fed when it is read from, with what the exchange has then."""

    def __init__(self, response: httpx.Response, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(BaseProtocol(loop), _LIMIT, loop=loop)
        self._pieces = response.aiter_bytes()

    async def _wait(self, func_name: str) -> None:
        with raised():
            piece = await anext(self._pieces, None)
        if piece is None:
            self.feed_eof()
        else:
            self.feed_data(piece)


class _Held:
    """What stands for the connection of a reply: given back, the reply is over."""

    protocol = None

    def __init__(self, response: httpx.Response, loop: asyncio.AbstractEventLoop) -> None:
        self._response, self._loop = response, loop

    def release(self) -> None:
        if self._response.is_closed or not self._loop.is_running():
            return
        task = self._loop.create_task(self._response.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    close = release
