"""Names that come with a later release: each says what to do until then."""

from typing import Any, NoReturn

from prefect_governor.blocks.errors import GovernorError

_INSTEAD = {
    "embedding": "no embedding is sent under a governor: make it outside, where it is not counted",
    "responses": "use `completion` with the same model, or the chat API of an SDK with"
    " governor.http_client()",
}


def embedding(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises GovernorError."""
    raise _later("embedding", _INSTEAD["embedding"])


async def aembedding(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises GovernorError."""
    raise _later("aembedding", _INSTEAD["embedding"])


def responses(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises GovernorError."""
    raise _later("responses", _INSTEAD["responses"])


async def aresponses(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises GovernorError."""
    raise _later("aresponses", _INSTEAD["responses"])


def _later(name: str, instead: str) -> GovernorError:
    return GovernorError(f"`{name}` comes with a later release; until then {instead}")
