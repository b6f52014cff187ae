"""What a caller takes upon them where a call would be refused for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prefect_governor.blocks.errors import ConfigurationError

Unseen = Literal["refuse", "context"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the caller takes upon them.

    `fields` are those of the request that nobody here knows and that all the same cost nothing by
    the caller's word. `unseen` says that a part whose size nobody sees may be bounded by the
    model's context window. `no_limit` says that the caller set no limit to the output: the one in
    the request is the client library's.
    """

    fields: frozenset[str] = frozenset()
    unseen: bool = False
    no_limit: bool = False

    def also(self, other: "Accepted") -> "Accepted":
        """What either accepts."""
        return Accepted(
            self.fields | other.fields,
            self.unseen or other.unseen,
            self.no_limit or other.no_limit,
        )


def accepted(
    fields: Iterable[str] = (), unseen: str | None = None, *, no_limit: bool = False
) -> Accepted:
    """What a caller says with `allow_fields` and `unseen`. Raises ConfigurationError for what says
    nothing."""
    names = frozenset({fields} if isinstance(fields, str) else fields)
    if not all(isinstance(name, str) for name in names):
        raise ConfigurationError("allow_fields: the names of the request's fields, as strings")
    if unseen not in (None, "refuse", "context"):
        raise ConfigurationError(f"unseen={unseen!r}: it is 'refuse' or 'context'")
    return Accepted(names, unseen == "context", no_limit)
