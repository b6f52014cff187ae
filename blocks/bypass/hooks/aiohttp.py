"""aiohttp: a session's requests, around each sending."""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial, wraps
from inspect import signature
from types import ModuleType
from typing import Any

import aiohttp
import httpx
from yarl import URL

from prefect_governor.blocks.bypass.bodies import bytes_of
from prefect_governor.blocks.bypass.calls import (
    FORM,
    NO_REPLY,
    UNREADABLE,
    is_call,
    lets_go,
    lets_pass,
    looking,
    place_of,
    unseen,
)
from prefect_governor.blocks.bypass.hooks.aiohttp_leaving import guarded, leaving
from prefect_governor.blocks.bypass.hooks.aiohttp_replies import reply_of
from prefect_governor.blocks.bypass.replies import headers_of, raised
from prefect_governor.blocks.wire.sending import sending
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport

# What a governed request is sent with in place of what its caller gave.
_OURS = frozenset({"allow_redirects", "compress", "chunked", "data", "headers", "json"})
# Said by aiohttp itself, of what it sends.
_ITS_OWN = frozenset({"content-length", "host"})


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such session."""
    send = module.ClientSession._request
    if not {"auto_decompress", "raise_for_status"} <= signature(send).parameters.keys():
        raise AttributeError("auto_decompress")
    leave = module.ClientRequest.send
    module.ClientSession._request = _hooked(send)
    module.ClientRequest.send = guarded(leave)


def _hooked(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    async def _request(self: Any, method: str, str_or_url: Any, **more: Any) -> Any:
        governing = looking()
        if governing is None:
            return await send(self, method, str_or_url, **more)
        as_is = partial(send, self, method, str_or_url, **more)
        url = None if self.closed else _url(self, str_or_url, more.get("params"))
        if url is None:
            # aiohttp says itself what of it cannot be sent.
            return await as_is()
        # A socket is opened with headers of aiohttp's own.
        opening = more.get("headers") if method.upper() == "GET" else None
        shown = opening if isinstance(opening, Mapping) else {}
        place = place_of(method.upper(), url.host or "", url.path, shown)
        if place is None:
            return await as_is()
        asked, given = httpx.URL(str(url)), _headers(self, more)
        content = _content(self, more, given)
        if not is_call(place, asked.path, given, content):
            with sending():
                return await as_is()
        if (why := _why_not(self, method, content, more)) is not None:
            refused = unseen("aiohttp", f"{asked.host}{asked.path}", why)
            if lets_pass(governing, f"{asked.host}{asked.path}", str(refused)):
                with sending():
                    return await as_is()
            raise refused
        request = httpx.Request("POST", asked, headers=given, content=content)
        inner = _Sending(self, send, str_or_url, more, "host" in given)
        with raised():
            response = await GovernedAsyncTransport(inner, answers=True).handle_async_request(
                request
            )
        if lets_go(governing, response, host=asked.host, path=asked.path):
            with sending():
                return await as_is()
        reply = reply_of(self, url, request, response)
        if (again := _redirected(url, reply, more)) is not None:
            reply.close()
            return await _request(self, method, again[0], **again[1])
        return await _judged(self, reply, more)

    return _request


class _Sending(httpx.AsyncBaseTransport):
    """One request of a session's: what it was asked with, and what sends."""

    def __init__(
        self, session: Any, send: Callable[..., Any], url: Any, more: dict[str, Any], named: bool
    ) -> None:
        self._session, self._send, self._url = session, send, url
        self._more = {name: value for name, value in more.items() if name not in _OURS}
        self._left_out = _ITS_OWN - {"host"} if named else _ITS_OWN

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it once."""
        pairs = [
            (name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw
        ]
        more = {**self._more, "allow_redirects": False, "auto_decompress": True}
        more["raise_for_status"] = False
        with leaving() as left:
            try:
                reply = await self._send(
                    self._session,
                    request.method,
                    self._url,
                    data=request.content,
                    headers=[pair for pair in pairs if pair[0].lower() not in self._left_out],
                    **more,
                )
            except Exception as error:
                kind = httpx.ReadError if left.begun else httpx.ConnectError
                raise kind(type(error).__name__) from error
        headers = headers_of(reply.headers.items())
        return httpx.Response(reply.status, headers=headers, stream=_Read(reply))


class _Read(httpx.AsyncByteStream):
    """What a reply of aiohttp's holds, decoded, as it comes."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._reply.content.iter_any():
                yield piece
        except Exception as error:
            raise httpx.ReadError(type(error).__name__) from error

    async def aclose(self) -> None:
        # What was read to its end has gone back to the pool.
        self._reply.close()


def _url(session: Any, url: Any, params: Any) -> URL | None:
    base = getattr(session, "_base_url", None)
    try:
        made = URL(url) if base is None else base.join(URL(url))
        return made.update_query(params) if params else made
    except (TypeError, ValueError):
        return None


def _redirected(url: URL, reply: Any, more: dict[str, Any]) -> tuple[URL, dict[str, Any]] | None:
    """Where a reply of the same origin has the same asked again, and with what; None where that is
    not, or not to be followed. To another origin a session's own key would go with it."""
    where, left = reply.headers.get("location"), more.get("max_redirects", 10)
    if reply.status not in (307, 308) or not where or not more.get("allow_redirects", True):
        return None
    try:
        to = url.join(URL(where))
    except ValueError:
        return None
    if to.origin() != url.origin() or left <= 1:
        return None
    return to, {**more, "max_redirects": left - 1, "params": None}


def _headers(session: Any, more: dict[str, Any]) -> httpx.Headers:
    headers = httpx.Headers([(str(k), str(v)) for k, v in session.headers.items()])
    given = more.get("headers") or {}
    for name, value in given.items() if hasattr(given, "items") else given:
        headers[str(name)] = str(value)
    return headers


def _content(session: Any, more: dict[str, Any], headers: httpx.Headers) -> bytes | None:
    if more.get("json") is not None:
        headers.setdefault("content-type", "application/json")
        return str(session.json_serialize(more["json"])).encode()
    data = more.get("data")
    if isinstance(data, aiohttp.FormData | Mapping | list | tuple):
        headers.setdefault("content-type", FORM)
    if isinstance(data, str):
        headers.setdefault("content-type", "text/plain; charset=utf-8")
    return bytes_of(data)


def _why_not(session: Any, method: str, content: bytes | None, more: dict[str, Any]) -> str | None:
    if method.upper() != "POST":
        return NO_REPLY
    if content is None:
        return UNREADABLE
    if more.get("middlewares") or getattr(session, "_middlewares", None):
        return "the session's middlewares may send it more than once"
    return None


async def _judged(session: Any, reply: Any, more: dict[str, Any]) -> Any:
    """As the caller has statuses raised."""
    raises = more.get("raise_for_status")
    if raises is None:
        raises = getattr(session, "_raise_for_status", False)
    if callable(raises):
        await raises(reply)
    elif raises:
        reply.raise_for_status()
    return reply
