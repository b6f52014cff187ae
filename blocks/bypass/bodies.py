"""A request as other libraries take it: where it goes, and its body."""

from typing import Any
from urllib.parse import unquote, urlsplit


def host_and_path(host: str, target: str) -> tuple[str, str]:
    """Where a request goes, of a connection to `host`: of a proxy's, `target` names it whole."""
    if target.startswith("/"):
        return host, unquote(target.partition("?")[0])
    parts = urlsplit(target)
    return parts.hostname or host, unquote(parts.path)


def bytes_of(body: Any) -> bytes | None:
    """The whole of it; None for what can be read only once, as it is sent."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    if all(hasattr(body, name) for name in ("read", "seek", "tell")):
        start = body.tell()
        content = body.read()
        body.seek(start)
        return content if isinstance(content, bytes) else None
    return None
