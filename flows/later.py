"""Names that come with a later release: each says what to do until then."""

from typing import Any, NoReturn

from prefect_governor.blocks.errors import GovernorError

_INSTEAD = "ask each document with `fan_out`, and `completion` about the answers together"


def research(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises GovernorError."""
    raise GovernorError(f"`research` comes with a later release; until then {_INSTEAD}")


async def aresearch(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises GovernorError."""
    raise GovernorError(f"`aresearch` comes with a later release; until then {_INSTEAD}")
