"""urllib3, which requests and botocore send with: its pools' `urlopen`, around each sending."""

import io
import ssl
from collections.abc import Callable, Generator, Iterator
from functools import partial, wraps
from types import ModuleType
from typing import Any

import httpx
import urllib3
from urllib3.util.retry import Retry

from prefect_governor.blocks.bypass.bodies import bytes_of, host_and_path
from prefect_governor.blocks.bypass.calls import (
    UNREADABLE,
    is_call,
    lets_go,
    lets_pass,
    looking,
    place_of,
    unseen,
)
from prefect_governor.blocks.bypass.replies import headers_of, raised, reason_of
from prefect_governor.blocks.bypass.signatures import credentials_of
from prefect_governor.blocks.errors import REFUSAL
from prefect_governor.blocks.wire.signing import signing_with
from prefect_governor.blocks.wire.transport import GovernedTransport

# What `urlopen` takes by position after the headers.
_POSITIONS = ("retries", "redirect", "assert_same_host")
# Before any byte of a request is sent. A ValueError is of a header that cannot be sent.
_NOT_SENT = (
    ValueError,
    urllib3.exceptions.ClosedPoolError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.EmptyPoolError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ProxyError,
)
_CHUNK = 65_536


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such pools."""
    pool = module.HTTPConnectionPool
    pool.urlopen = _hooked(pool.urlopen)


def _hooked(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def urlopen(
        self: Any, method: str, url: str, body: Any = None, headers: Any = None,
        *rest: Any, **more: Any,
    ) -> Any:  # fmt: skip
        governing = looking()
        if governing is None:
            return send(self, method, url, body, headers, *rest, **more)
        as_is = partial(send, self, method, url, body, headers, *rest, **more)
        # No method in another case is one of HTTP's.
        if method.upper() != "POST":
            return as_is()
        place = place_of("POST", *host_and_path(self.host, url), {})
        if place is None:
            return as_is()
        asked = httpx.URL(url if "://" in url[:8] else f"{_origin(self)}{url}")
        given = httpx.Headers(_pairs(self.headers if headers is None else headers))
        content = bytes_of(body)
        if not is_call(place, asked.path, given, content):
            return as_is()
        if content is None:
            there = f"{asked.host}{asked.path}"
            refused = unseen("urllib3", there, UNREADABLE)
            if lets_pass(governing, there, str(refused)):
                return as_is()
            raise refused
        more |= dict(zip(_POSITIONS, rest, strict=False))
        request = httpx.Request("POST", asked, headers=given, content=content)
        with signing_with(credentials_of(given)):
            reply = _Sending(self, send, url, more, "host" in given).governed(request)
        passes = lets_go(governing, reply, host=asked.host, path=asked.path)
        return as_is() if passes else reply

    return urlopen


class _Sending(httpx.BaseTransport):
    """One call of `urlopen`: what it was asked with, and what sends."""

    def __init__(
        self, pool: Any, send: Callable[..., Any], url: str, more: dict[str, Any], named: bool
    ) -> None:
        self._pool, self._send, self._url, self._more = pool, send, url, more
        self._named = named
        given, redirect = more.get("retries"), more.get("redirect", True)
        self._retries = (
            given
            if isinstance(given, Retry)
            else Retry.from_int(given, redirect=redirect, default=pool.retries)
        )
        # A connection may be tried again; what was sent is a call of its own if it is sent again.
        self._connecting = self._retries.new(
            read=False, redirect=False, other=0, allowed_methods={"NONE"},
            respect_retry_after_header=False,
        )  # fmt: skip

    def governed(self, request: httpx.Request) -> "_Reply":
        """The reply, after those of the caller's own retries that are to be made."""
        transport = GovernedTransport(self, answers=True)
        retries = self._retries
        while True:
            with raised():
                response = transport.handle_request(request)
            reply = _Reply(response, self._url, retries, **self._of_the_reply())
            known = "Retry-After" in reply.headers
            if REFUSAL in reply.headers or not retries.is_retry("POST", reply.status, known):
                return reply
            try:
                retries = retries.increment("POST", self._url, response=reply, _pool=self._pool)
            except urllib3.exceptions.MaxRetryError:
                if retries.raise_on_status:
                    reply.drain_conn()
                    raise
                return reply
            reply.drain_conn()
            retries.sleep(reply)

    def _of_the_reply(self) -> dict[str, Any]:
        return {"preload_content": self._more.get("preload_content", True)}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it once."""
        raw = request.url.raw_path.decode("ascii")
        headers = urllib3.HTTPHeaderDict()
        for name, value in request.headers.raw:
            # urllib3 says the host itself where its caller did not.
            if self._named or name.lower() != b"host":
                headers.add(name.decode("ascii"), value.decode("latin-1"))
        more = {
            **self._more,
            "retries": self._connecting, "redirect": False, "chunked": False,
            "preload_content": False, "decode_content": True,
        }  # fmt: skip
        more.pop("body_pos", None)
        target = raw if self._url.startswith("/") else str(request.url)
        try:
            reply = self._send(self._pool, request.method, target, request.content, headers, **more)
        except Exception as error:
            kind = httpx.ConnectError if _never_sent(error) else httpx.ReadError
            raise kind(type(error).__name__) from error
        return httpx.Response(
            reply.status, headers=headers_of(reply.headers.items()), stream=_Read(reply)
        )


class _Read(httpx.SyncByteStream):
    """What a reply of urllib3's holds, decoded, as it comes."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        try:
            if getattr(self._reply, "chunked", False) or not hasattr(self._reply, "read1"):
                yield from self._reply.stream(_CHUNK, decode_content=True)
                return
            while piece := self._reply.read1(_CHUNK, decode_content=True):
                yield piece
        except urllib3.exceptions.HTTPError as error:
            raise httpx.ReadError(type(error).__name__) from error

    def close(self) -> None:
        if not self._reply.closed:
            self._reply.close()
        # A closed connection, too, has its place in the pool.
        self._reply.release_conn()


class _Pieces(io.RawIOBase):
    """A governed reply as the file that a reply of urllib3's reads."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._pieces = response.iter_bytes()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            with raised():
                self._left = next(self._pieces, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def read1(self, size: int = -1) -> bytes:
        return self.read(_CHUNK if size is None or size < 0 else size) or b""

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._response.close()


class _Reply(urllib3.HTTPResponse):
    """A governed reply, as a caller of urllib3 gets it. `extensions` are those of httpx."""

    def __init__(
        self, response: httpx.Response, url: str, retries: Retry, *, preload_content: bool
    ) -> None:
        self.extensions = response.extensions
        super().__init__(
            body=_Pieces(response),
            headers=urllib3.HTTPHeaderDict(response.headers.multi_items()),
            status=response.status_code,
            version=11,
            reason=reason_of(response),
            preload_content=preload_content,
            decode_content=False,
            request_method="POST",
            request_url=url,
            retries=retries,
        )

    def stream(
        self, amt: int | None = 2**16, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """As it comes, `amt` bytes at most in a piece."""
        file: Any = self._fp
        while not file.closed and (piece := file.read1(amt)):
            yield piece
        file.close()


def _never_sent(error: Exception) -> bool:
    why = getattr(error, "reason", None) or error
    if isinstance(why, urllib3.exceptions.SSLError):
        # Who answers is not whom it is for, and is told nothing.
        return isinstance(why.args[0] if why.args else None, ssl.SSLCertVerificationError)
    return isinstance(why, _NOT_SENT)


def _origin(pool: Any) -> str:
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    return f"{pool.scheme}://{host}" + (f":{pool.port}" if pool.port else "")


def _pairs(headers: Any) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in headers.items()]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
