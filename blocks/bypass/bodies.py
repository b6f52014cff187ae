"""A request's body as other libraries take it."""

from typing import Any


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
