"""What of an item's result a person reads first. Pure."""

from typing import Any


def answer_in(result: Any) -> Any:
    """What of a result is the answer: that of a research's task stands beside what it read."""
    if isinstance(result, dict) and set(result) == {"answer", "retrieved"}:
        return result["answer"]
    return result
