"""What settled calls have taught of a model: how long its answers are, how it counts. Pure.

Nothing here can raise a ceiling: the bound that is hard does not depend on it
(docs/decisions/money/0012-bounds-are-hard.md). It only chooses how much of a bound to ask for first
while money is low.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from prefect_governor.blocks.records.calls import Facts, Usage

# Fewer answers than this say nothing about a tail.
FEWEST_SAMPLES = 20
_LONGEST = 2**53
_ROUNDING = 1e-9


def _edges() -> tuple[int, ...]:
    edges = [0]
    while edges[-1] < _LONGEST:
        edges.append(max(edges[-1] + 1, edges[-1] * 112 // 100))
    return tuple(edges)


# Upper edges of the buckets, the same for ever and everywhere: exact up to 17 tokens, then 12%
# wide. Ledgers hold counts by them, so that changing them is a migration.
EDGES = _edges()


@dataclass(frozen=True, slots=True)
class Learned:
    """A model's figures. `observe` grows them; the order does not matter.

    Attributes:
        model: as LiteLLM names it.
        outputs: how many answers had at most so many output tokens, by a bucket's upper edge.
        cut: how many were cut there and would have been longer, by the same edges.
        calls: how many calls were counted with both counts of their input.
        local_input_tokens: what the local tokenizer counted in them, together.
        billed_input_tokens: what the provider counted in them, together.
        highest_ratio: the largest billed ÷ local of one call.
    """

    model: str
    outputs: Mapping[int, int] = field(default_factory=dict)
    cut: Mapping[int, int] = field(default_factory=dict)
    calls: int = 0
    local_input_tokens: int = 0
    billed_input_tokens: int = 0
    highest_ratio: float = 0.0

    def observe(self, facts: Facts, usage: Usage) -> "Learned":
        """These figures with one more settled call. What the facts leave out teaches nothing, nor
        does a call of another model."""
        if facts.model != self.model:
            return self
        grown = self
        if facts.output_limit is not None:
            edge = edge_of(usage.output_tokens)
            if facts.cut:
                grown = replace(grown, cut=_plus(grown.cut, {edge: 1}))
            else:
                grown = replace(grown, outputs=_plus(grown.outputs, {edge: 1}))
        if facts.local_input_tokens:
            grown = replace(
                grown,
                calls=grown.calls + 1,
                local_input_tokens=grown.local_input_tokens + facts.local_input_tokens,
                billed_input_tokens=grown.billed_input_tokens + usage.input_tokens,
                highest_ratio=max(
                    grown.highest_ratio, usage.input_tokens / facts.local_input_tokens
                ),
            )
        return grown

    def merged(self, other: "Learned") -> "Learned":
        """What both have learned of one model, exactly as if one had observed it all."""
        return Learned(
            self.model,
            _plus(self.outputs, other.outputs),
            _plus(self.cut, other.cut),
            self.calls + other.calls,
            self.local_input_tokens + other.local_input_tokens,
            self.billed_input_tokens + other.billed_input_tokens,
            max(self.highest_ratio, other.highest_ratio),
        )

    def output_quantile(self, share: float = 0.99) -> int | None:
        """The output tokens that at most 1 - `share` of the answers exceed; a bucket's upper edge,
        so up to 12% too many and never too few.

        An answer that was cut counts as "at least": it weighs on what is longer than it (Kaplan and
        Meier's estimate). None where fewer than 20 answers were seen to their end, and where so
        many were cut that the quantile lies beyond them.
        """
        if sum(self.outputs.values()) < FEWEST_SAMPLES:
            return None
        left = sum(self.outputs.values()) + sum(self.cut.values())
        longer = 1.0
        for edge in sorted({*self.outputs, *self.cut}):
            ended = self.outputs.get(edge, 0)
            longer *= 1 - ended / left
            if ended and longer <= 1 - share + _ROUNDING:
                return edge
            left -= ended + self.cut.get(edge, 0)
        return None

    def input_ratio(self) -> float | None:
        """What the provider counts of a token of the local tokenizer, over all calls together.
        None before the first."""
        if not self.local_input_tokens:
            return None
        return self.billed_input_tokens / self.local_input_tokens

    def to_text(self) -> str:
        """These figures, without the model's name, for a ledger's column."""
        return json.dumps(
            {
                "outputs": sorted(self.outputs.items()),
                "cut": sorted(self.cut.items()),
                "calls": self.calls,
                "local_input_tokens": self.local_input_tokens,
                "billed_input_tokens": self.billed_input_tokens,
                "highest_ratio": self.highest_ratio,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_text(cls, model: str, text: str) -> "Learned":
        """What `to_text` wrote."""
        figures = json.loads(text)
        return cls(
            model,
            dict(figures["outputs"]),
            dict(figures["cut"]),
            figures["calls"],
            figures["local_input_tokens"],
            figures["billed_input_tokens"],
            figures["highest_ratio"],
        )


def edge_of(tokens: int) -> int:
    """The upper edge of the bucket that a length falls into."""
    return EDGES[min(bisect_left(EDGES, max(tokens, 0)), len(EDGES) - 1)]


def _plus(counts: Mapping[int, int], more: Mapping[int, int]) -> dict[int, int]:
    return {edge: counts.get(edge, 0) + more.get(edge, 0) for edge in {*counts, *more}}
