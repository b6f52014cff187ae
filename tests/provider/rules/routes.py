"""A router in front of providers, as OpenRouter has it: who answers, for how much at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.provider.books.bill import Price
from tests.provider.families.chat import ApiError

_PREFERENCES = {"order", "only", "ignore", "allow_fallbacks", "sort", "max_price"}
_MILLION = Decimal(10**6)


def route(body: Mapping[str, Any], routes: Mapping[str, Sequence[Price]]) -> Price:
    """The price of whoever answers: of all that the request lets it cost, the dearest, as when the
    others are down. Raises ApiError 400 for what is no preference, 404 where nobody is left."""
    preferences = body.get("provider") or {}
    if not isinstance(preferences, dict) or preferences.keys() - _PREFERENCES:
        raise ApiError(400, "provider: Unrecognized key(s) in object", param="provider")
    most = preferences.get("max_price") or {}
    if not isinstance(most, dict):
        raise ApiError(400, "provider.max_price: Expected object", param="provider")
    models = [body.get("model"), *(body.get("models") or ())]
    offered = [price for model in models for price in routes.get(str(model), ())]
    left = [
        price
        for price in offered
        if price.input * _MILLION <= _at_most(most, "prompt")
        and price.output * _MILLION <= _at_most(most, "completion")
    ]
    if not left:
        raise ApiError(404, "No endpoints found that match your max_price.", code="404")
    return max(left, key=lambda price: (price.output, price.input))


def _at_most(most: Mapping[str, Any], name: str) -> Decimal:
    value = most.get(name)
    return Decimal("Infinity") if value is None else Decimal(str(value))
