"""What a governed exchange answers and raises, for libraries that are not httpx."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from prefect_governor.blocks.errors import REFUSAL, REFUSED, GovernorError

# What describes bytes that were decoded, or that come in other pieces.
_OF_THE_BYTES = frozenset({"content-encoding", "content-length", "transfer-encoding"})
# A reason stands in one line of a log.
_LONGEST_REASON = 500


def headers_of(pairs: Iterable[tuple[Any, Any]]) -> list[tuple[str, str]]:
    """The headers of a reply whose bytes are decoded."""
    return [(name, value) for name, value in pairs if name.lower() not in _OF_THE_BYTES]


def reason_of(response: httpx.Response) -> str:
    """What stands beside the status: of a refusal its text, which is what a library's error of a
    status shows."""
    error = response.extensions.get(REFUSAL)
    if not isinstance(error, GovernorError):
        return response.reason_phrase
    text = " ".join(f"{REFUSED}{type(error).__name__}: {error}".split())
    return text[:_LONGEST_REASON]


@contextmanager
def raised() -> Iterator[None]:
    """What the library itself raised, which the exchange knows as an error of httpx."""
    try:
        yield
    except httpx.TransportError as error:
        cause = error.__cause__
        if cause is None:
            raise
    else:
        return
    raise cause
