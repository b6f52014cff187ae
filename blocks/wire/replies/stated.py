"""What a provider itself states that a call cost, in US dollars: its own word, which settles the
call in place of arithmetic over a list of prices. Pure.

A row is a provider's word in its own reply, with the page that says what it means. What anybody
else writes into a field of that name is no bill.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

# xAI's unit: 1 USD is so many ticks.
TICKS = Decimal(10**10)
# More than this is no bill of one call, and no int64 of nano-dollars.
MOST_USD = Decimal(10**9)


@dataclass(frozen=True, slots=True)
class Statement:
    """How a provider's own word is read off a reply, and the page that says so."""

    read: Callable[[Mapping[str, Any]], Decimal | None]
    page: str


def stated_usd(provider: str | None, said: Mapping[str, Any]) -> Decimal | None:
    """What a provider, by LiteLLM's name, says that it billed; None where it says nothing that can
    be read. `said` are the parts of its reply that may say so: `usage`, `cost`."""
    statement = STATEMENTS.get(provider or "")
    return None if statement is None else statement.read(said)


def _openrouter(said: Mapping[str, Any]) -> Decimal | None:
    """`usage.cost` is what the account is charged; with a key of one's own at the model's provider,
    that provider charges `upstream_inference_cost` beside it."""
    usage = _mapping(said.get("usage"))
    charged = _amount(usage.get("cost"))
    upstream = _amount(_mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    own_key = usage.get("is_byok")
    if charged is None or own_key is False:
        return charged
    if upstream is None:
        # Who brought a key pays somebody of whom nothing is said here.
        return None if own_key else charged
    return charged + upstream


def _xai(said: Mapping[str, Any]) -> Decimal | None:
    ticks = _amount(_mapping(said.get("usage")).get("cost_in_usd_ticks"))
    return None if ticks is None else ticks / TICKS


def _edenai(said: Mapping[str, Any]) -> Decimal | None:
    return _amount(said.get("cost"))


def _perplexity(said: Mapping[str, Any]) -> Decimal | None:
    return _amount(_mapping(_mapping(said.get("usage")).get("cost")).get("total_cost"))


STATEMENTS = {
    "openrouter": Statement(_openrouter, "openrouter.ai/docs/use-cases/usage-accounting"),
    "xai": Statement(_xai, "docs.x.ai/developers/cost-tracking"),
    "edenai": Statement(_edenai, "docs.edenai.co/v3/overview/ai-gateway"),
    "perplexity": Statement(
        _perplexity, "schemas.apis.io/schemas/perplexity/perplexity-responsescost"
    ),
}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _amount(value: Any) -> Decimal | None:
    """A number as it stands in the reply; None for what is no amount of money."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        # The shortest text that gives a float back is what was written: 0.1 is meant as 0.1.
        amount = Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= MOST_USD * TICKS else None
