"""Calls and items as an estimate has them. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call of a sub-agent.

    Attributes:
        input_tokens: what the tokenizer counts of it, or its bytes stand for.
        bound_tokens: the most that a provider can count of it.
        answers: so many answers of calls before it are part of its input besides.
    """

    input_tokens: int
    bound_tokens: int
    answers: int = 0


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """An item that can be read, and its calls in order: one, or one a part and one that combines
    their answers; with tools a loop in place of each. The calls of one item follow each other.
    `high` are those that 19 of 20 such items stay under, `most` all that there can be."""

    key: str
    calls: tuple[PlannedCall, ...]
    high: tuple[PlannedCall, ...]
    most: tuple[PlannedCall, ...]
