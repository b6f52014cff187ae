"""The two spellings of a name that Gemini takes."""

from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.errors import NotBounded


def camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Names as Gemini's JSON has them; it takes `max_output_tokens` for `maxOutputTokens` too.

    Raises NotBounded where one stands twice: nobody knows which is read.
    """
    found: dict[str, Any] = {}
    for name, value in fields.items():
        camel = camel_name(name)
        if camel in found:
            raise NotBounded(f"`{camel}` is given twice, so the call has no bound")
        found[camel] = value
    return found


def camel_name(name: str) -> str:
    """One name so."""
    head, *rest = name.lstrip("_").split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
