"""Prices as a provider's page has them, in USD per million tokens, for the judge.

Typed from the pages, and not read from any list: two wrongs must not agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tests.provider.books.bill import Price, Rates, Tier


def price(
    input: str,
    output: str,
    *,
    above: Mapping[int, Price] | None = None,
    tiers: Mapping[str, Price] | None = None,
    search: str = "0",
    request: str = "0",
    **parts: str,
) -> Price:
    """A price; `parts` are other rates of `Rates`, a `search` and a `request` are in USD each."""
    return Price(
        **{
            name: _a_token(usd) for name, usd in {"input": input, "output": output, **parts}.items()
        },
        above={tokens: Rates(**_rates(each)) for tokens, each in (above or {}).items()},
        tiers={
            name: Tier(**_rates(each), above=each.above) for name, each in (tiers or {}).items()
        },
        search=Decimal(search),
        request=Decimal(request),
    )


def times(factor: str, given: Price) -> Price:
    """Every rate multiplied: what a region adds."""
    multiplied = Decimal(factor)

    def rates(of: Rates) -> dict[str, Decimal]:
        return {name: rate * multiplied for name, rate in _rates(of).items()}

    above = {tokens: rates(each) for tokens, each in given.above.items()}
    return Price.model_validate({**rates(given), "above": above, "search": given.search})


def _rates(given: Rates) -> dict[str, Decimal]:
    found = {name: getattr(given, name) for name in Rates.model_fields}
    return {name: rate for name, rate in found.items() if rate is not None}


def _a_token(usd: str) -> Decimal:
    return Decimal(usd).scaleb(-6)
