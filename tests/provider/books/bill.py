"""What a call costs: the provider's own arithmetic, exact, in integer nano-dollars."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Context, Decimal, Inexact
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Inexact is a trap: a price or a count that could not be multiplied exactly is an error, never a
# silently rounded bill.
_EXACT = Context(prec=80, traps=[Inexact])
_NANO = Decimal(10**9)


def _no_float(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError(f"a price is a string or an integer, not the float {value!r}")
    return value


Usd = Annotated[Decimal, BeforeValidator(_no_float), Field(ge=0, allow_inf_nan=False)]


class Rates(BaseModel):
    """USD a token, as strings. Without `cached_input`, cached tokens cost what input costs; so do
    those written to a cache without `cache_write`, and those written for an hour without
    `cache_write_long` what others do. `audio` is input that is heard or seen moving, `reasoning`
    output that was thought: without a rate of their own they cost what input and output do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Usd
    output: Usd
    cached_input: Usd | None = None
    cache_write: Usd | None = None
    cache_write_long: Usd | None = None
    audio: Usd | None = None
    reasoning: Usd | None = None
    # A token of an image that is written; a model without it writes none.
    image: Usd | None = None


class Tier(Rates):
    """Rates with dearer ones for long contexts.

    `above` maps a threshold to the rates of a whole request whose input tokens exceed it (the
    highest threshold passed applies).
    """

    above: dict[int, Rates] = Field(default_factory=dict)

    def rates(self, input_tokens: int) -> Rates:
        passed = [threshold for threshold in self.above if input_tokens > threshold]
        return self.above[max(passed)] if passed else self


class Price(Tier):
    """A model's price: its default tier, and others by the request's `service_tier`. A `search` and
    a `request` cost so many USD each, beside the tokens."""

    tiers: dict[str, Tier] = Field(default_factory=dict)
    search: Usd = Decimal(0)
    request: Usd = Decimal(0)


class Usage(NamedTuple):
    """What a reply was billed for. `cached`, `written` (to a cache, for minutes), `written_long`
    (for an hour) and `audio` are parts of `input`, `reasoning` and `images` (the tokens of what was
    drawn) of `output`; `searches` are uses of a search. `cost` is the bill, where the reply states
    it, in US dollars; `also` what the reply states beside."""

    input: int
    cached: int
    output: int
    written: int = 0
    written_long: int = 0
    cost: Decimal | None = None
    audio: int = 0
    reasoning: int = 0
    searches: int = 0
    also: Mapping[str, Any] = MappingProxyType({})
    images: int = 0


def bill_nano(price: Price, usage: Usage, *, tier: str = "default") -> int:
    """The bill of one call in nano-dollars: summed exactly, rounded up once.

    Raises KeyError when the price has no such tier.
    """
    rates = (price if tier == "default" else price.tiers[tier]).rates(usage.input)
    cached_rate = rates.input if rates.cached_input is None else rates.cached_input
    written_rate = rates.input if rates.cache_write is None else rates.cache_write
    long_rate = written_rate if rates.cache_write_long is None else rates.cache_write_long
    audio_rate = rates.input if rates.audio is None else rates.audio
    reasoning_rate = rates.output if rates.reasoning is None else rates.reasoning
    apart = usage.cached + usage.written + usage.written_long + usage.audio
    usd = price.request
    for tokens, rate in (
        (usage.input - apart, rates.input),
        (usage.written, written_rate),
        (usage.written_long, long_rate),
        (usage.cached, cached_rate),
        (usage.audio, audio_rate),
        (usage.output - usage.reasoning - usage.images, rates.output),
        (usage.reasoning, reasoning_rate),
        (usage.images, rates.output if rates.image is None else rates.image),
        (usage.searches, price.search),
    ):
        usd = _EXACT.add(usd, _EXACT.multiply(Decimal(tokens), rate))
    nano = _EXACT.multiply(usd, _NANO)
    return int(nano.to_integral_value(rounding=ROUND_CEILING))


def _price(
    input: str,
    cached: str | None,
    output: str,
    *,
    above: dict[int, Rates] | None = None,
    **tiers: tuple[str, str, str],
) -> Price:
    return Price(
        input=Decimal(input),
        cached_input=None if cached is None else Decimal(cached),
        output=Decimal(output),
        above=above or {},
        tiers={
            name: Tier(input=Decimal(i), cached_input=Decimal(c), output=Decimal(o))
            for name, (i, c, o) in tiers.items()
        },
    )


# LiteLLM 1.106.2's prices (model_prices_and_context_window_backup.json), written out by hand so
# that the judge does not read the file that the judged reads.
DEFAULT_PRICES: dict[str, Price] = {
    "gpt-4o-mini": _price(
        "0.00000015",
        "0.000000075",
        "0.0000006",
        priority=("0.00000025", "0.000000125", "0.000001"),
    ),
    "gpt-4o": _price(
        "0.0000025", "0.00000125", "0.00001", priority=("0.00000425", "0.000002125", "0.000017")
    ),
    "gpt-4.1": _price(
        "0.000002", "0.0000005", "0.000008", priority=("0.0000035", "0.000000875", "0.000014")
    ),
    "gpt-4.1-mini": _price(
        "0.0000004", "0.0000001", "0.0000016", priority=("0.0000007", "0.000000175", "0.0000028")
    ),
    "gpt-4.1-nano": _price(
        "0.0000001", "0.000000025", "0.0000004", priority=("0.0000002", "0.00000005", "0.0000008")
    ),
    "gpt-5": _price(
        "0.00000125",
        "0.000000125",
        "0.00001",
        priority=("0.0000025", "0.00000025", "0.00002"),
        flex=("0.000000625", "0.0000000625", "0.000005"),
    ),
    "gpt-5-mini": _price(
        "0.00000025",
        "0.000000025",
        "0.000002",
        priority=("0.00000045", "0.000000045", "0.0000036"),
        flex=("0.000000125", "0.0000000125", "0.000001"),
    ),
    "gpt-5.4": _price(
        "0.0000025",
        "0.00000025",
        "0.000015",
        above={
            272_000: Rates(
                input=Decimal("0.000005"),
                cached_input=Decimal("0.0000005"),
                output=Decimal("0.0000225"),
            )
        },
        priority=("0.000005", "0.0000005", "0.00003"),
    ),
    "o3-pro": _price("0.00002", None, "0.00008"),
    "text-embedding-3-small": _price("0.00000002", None, "0"),
    "text-embedding-3-large": _price("0.00000013", None, "0"),
    "o3-mini": _price("0.0000011", "0.00000055", "0.0000044"),
    "gpt-3.5-turbo": _price("0.0000005", None, "0.0000015"),
    "claude-sonnet-4-5": Price(
        input=Decimal("0.000003"),
        cached_input=Decimal("0.0000003"),
        cache_write=Decimal("0.00000375"),
        cache_write_long=Decimal("0.000006"),
        output=Decimal("0.000015"),
    ),
    "claude-sonnet-4-6": Price(
        input=Decimal("0.000003"),
        cached_input=Decimal("0.0000003"),
        cache_write=Decimal("0.00000375"),
        cache_write_long=Decimal("0.000006"),
        output=Decimal("0.000015"),
        tiers={
            "us": Tier(
                input=Decimal("0.0000033"),
                cached_input=Decimal("0.00000033"),
                cache_write=Decimal("0.000004125"),
                cache_write_long=Decimal("0.0000066"),
                output=Decimal("0.0000165"),
            )
        },
    ),
    "gemini-2.5-flash-lite": _price("0.0000001", "0.00000001", "0.0000004"),
    "gemini-embedding-001": _price("0.00000015", None, "0"),
    "llama3.1": _price("0", None, "0"),
    "embed-english-v3.0": _price("0.0000001", None, "0"),
    "rerank-v3.5": Price(input=Decimal(0), output=Decimal(0), search=Decimal("0.002")),
    "command-r7b-12-2024": _price("0.0000000375", None, "0.00000015"),
}
