"""Calls as an estimate has them. Pure."""

from collections import Counter
from dataclasses import dataclass, field


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


# Calls, those that are alike together: of rows there are as many kinds as lengths, whatever their
# number.
Calls = Counter[PlannedCall]


@dataclass(frozen=True)
class Planned:
    """The calls of all items at one level of what may come.

    Attributes:
        calls: how many there are of each.
        lengths: by how many calls an item makes, one after another, how many items do.
    """

    calls: Calls = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, calls: list[PlannedCall]) -> None:
        """One item more."""
        self.calls.update(calls)
        self.lengths[len(calls)] += 1

    @property
    def longest(self) -> int:
        """The most calls that one item makes."""
        return max(self.lengths, default=0)
