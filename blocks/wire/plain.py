"""Which requests aiohttp sends as httpx would: the same head, and a body framed as that says."""

import re
from types import FunctionType
from typing import Any

import httpcore
import httpx
from yarl import URL

from prefect_governor.blocks.wire.sockets import Sent

# A field's name and value (RFC 9110, 5.1 and 5.5), as h11 is as strict about.
_FIELDS = re.compile(
    rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:(?:[^\x00\s](?:[^\x00\r\n\f\v]*[^\x00\s])?)?\n)*"
)
# A method's name (RFC 9110, 9.1): those of letters alone.
_METHOD = re.compile("[A-Z]+")
# Extensions of httpcore's that aiohttp has no word for.
_HTTPCORES_OWN = frozenset({"target", "sni_hostname"})


def is_httpxs_own() -> bool:
    """Whether httpx sends as it was written to. Somebody else may stand where it does, who is to
    see each request: a mock (respx, pytest-httpx), an instrumentation (OpenTelemetry's)."""
    return _is_own(httpx.AsyncHTTPTransport, "httpx") and _is_own(
        httpcore.AsyncConnectionPool, "httpcore"
    )


def _is_own(kind: type, package: str) -> bool:
    found: Any = vars(kind).get("handle_async_request")
    # An object that stands in for a function says of itself what the function does.
    while type(found) is FunctionType:
        module: str = found.__globals__["__name__"]
        if not module.startswith("prefect_governor."):
            return module.partition(".")[0] == package
        # Our own hook.
        found = getattr(found, "__wrapped__", None)
    return False


def is_plain(request: httpx.Request, url: URL, sent: Sent) -> bool:
    """Whether aiohttp sends what httpx would."""
    return (
        isinstance(request.stream, httpx.ByteStream)
        and url.raw_path_qs.encode() == request.url.raw_path
        and _METHOD.fullmatch(request.method) is not None
        and _is_measured(request)
        and not sent.traced
        and _HTTPCORES_OWN.isdisjoint(request.extensions)
        and not request.url.userinfo
    )


def _is_measured(request: httpx.Request) -> bool:
    """Whether its headers tell its host and the length of its body, once, and no other framing, and
    expect nothing."""
    pairs = [(name.lower(), value) for name, value in request.headers.raw]
    names = [name for name, _ in pairs]
    told = [value for name, value in pairs if name == b"content-length"]
    return (
        names.count(b"host") == 1
        and b"transfer-encoding" not in names
        and b"expect" not in names
        and told == ([b"%d" % len(request.content)] if told or request.content else [])
    )


def pairs_of(request: httpx.Request) -> list[tuple[str, str]] | None:
    """As aiohttp takes them; None where it would send other bytes. Raises LocalProtocolError for
    what is no header."""
    if not _FIELDS.fullmatch(b"".join(b"%b:%b\n" % pair for pair in request.headers.raw)):
        raise httpx.LocalProtocolError("a header is not valid")
    try:
        pairs = [(name.decode("ascii"), value.decode()) for name, value in request.headers.raw]
    except UnicodeDecodeError:
        return None
    names = {name for name, _ in pairs}
    # Of one name in two spellings aiohttp sends the last.
    return pairs if len({name.lower() for name in names}) == len(names) else None
