"""The dialects that the wire speaks, one file a family."""

from prefect_governor.blocks.errors import NotGoverned
from prefect_governor.blocks.wire.dialects.openai_chat import OpenAIChat
from prefect_governor.blocks.wire.plans import Dialect

DIALECTS: tuple[Dialect, ...] = (OpenAIChat(),)


def dialect_of(method: str, path: str) -> Dialect:
    """The dialect of a request. Raises NotGoverned where none knows its path."""
    for dialect in DIALECTS:
        if dialect.matches(method, path):
            return dialect
    known = ", ".join(dialect.name for dialect in DIALECTS)
    raise NotGoverned(
        f"{method} {path} is on no path whose cost is known (known: {known}), so it was not sent. "
        "Use one of those, or make the call outside the governor's client"
    )
