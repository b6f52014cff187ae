"""What a run would do and cost, from its real inputs, without a call."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from prefect_governor.blocks.budget.money import to_usd
from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.model.prices import Price, UsageParts, bound_cost, cost_usd
from prefect_governor.blocks.model.tokens import count_tokens, encoding_of
from prefect_governor.flows.job import Request
from prefect_governor.flows.prompt import first_messages
from prefect_governor.flows.sources import read_text

# The bound's share over the local tokenizer's count, as promise P1 has it.
_BOUND_NUMERATOR, _BOUND_DENOMINATOR = 3, 2
# Without the model's own tokenizer, tokens are taken to be this many bytes.
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Forecast:
    """A run before it starts. `max_usd` is the most that its first calls can cost;
    `unreadable` has the items that would fail, with the reason."""

    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    max_usd: Decimal
    ceiling_usd: Decimal | None
    cost_multiple: float
    unreadable: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "max_usd": float(self.max_usd),
            "ceiling_usd": None if self.ceiling_usd is None else float(self.ceiling_usd),
            "cost_multiple": self.cost_multiple,
            "unreadable": [{"key": key, "reason": reason} for key, reason in self.unreadable],
        }


def forecast(request: Request) -> Forecast:
    """Read every item and count; call nothing."""
    price = request.model.price_of(request.model.name)
    assert price is not None, "a request's model is priced"
    schema = request.shape.schema if request.shape else None
    overhead = prompt_tokens(request)
    inputs, unreadable, highest = [], [], 0
    for item in request.items:
        try:
            text = read_text(item).text
        except ItemFailed as error:
            unreadable.append((item.key, str(error)))
            continue
        messages = first_messages(request.ask, key=item.key, text=text, schema=schema)
        tokens = _count(request, "".join(str(message["content"]) for message in messages))
        inputs.append(tokens)
        highest += bound_cost(
            price,
            tokens * _BOUND_NUMERATOR // _BOUND_DENOMINATOR,
            request.model.max_output_tokens,
        )
    outputs = len(inputs) * request.model.max_output_tokens
    return Forecast(
        request.model.name,
        len(inputs),
        sum(inputs),
        outputs,
        to_usd(highest),
        request.ceiling_usd,
        cost_multiple(
            price,
            input_tokens=sum(inputs),
            output_tokens=outputs,
            calls=len(inputs),
            prompt_tokens=overhead,
        ),
        tuple(unreadable),
    )


def prompt_tokens(request: Request) -> int:
    """Tokens of a first call's messages without their document."""
    schema = request.shape.schema if request.shape else None
    messages = first_messages(request.ask, key="", text="", schema=schema)
    return _count(request, "".join(str(message["content"]) for message in messages))


def cost_multiple(
    price: Price, *, input_tokens: int, output_tokens: int, calls: int, prompt_tokens: int
) -> float:
    """A run's cost as a multiple of one agent's that reads all of it in one go.

    That agent reads every document once, is told the question once, and writes the same answers:
    the prompt's tokens of all calls but one are what the fan-out pays more. 1.0 for no cost.
    """
    alone = max(0, input_tokens - max(0, calls - 1) * prompt_tokens)
    together = cost_usd(price, UsageParts(input_tokens, output_tokens))
    single = cost_usd(price, UsageParts(alone, output_tokens))
    return round(float(together / single), 3) if single else 1.0


def _count(request: Request, text: str) -> int:
    encoding = encoding_of(request.model.name)
    return (
        len(text.encode()) // _BYTES_PER_TOKEN if encoding is None else count_tokens(text, encoding)
    )
