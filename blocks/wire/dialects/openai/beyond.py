"""What may be billed as output beside what the request's own limit holds."""

from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.wire.requests.bodies import compact, most_counted, whole_number
from prefect_governor.blocks.wire.requests.unseen import context_window

# Whose `max_tokens` holds the answer alone: "max_tokens does not limit the length of the
# chain-of-thought" (alibabacloud.com/help/en/model-studio/qwen-api-via-dashscope), which
# `thinking_budget` does. By LiteLLM's names of its hosts.
QWEN = frozenset({"dashscope", "qwen_ai_platform", "qwencloud"})


def beyond_tokens(
    fields: Mapping[str, Any],
    price: Price,
    model: str,
    *,
    provider: str | None,
    encoding: str | None = None,
) -> int:
    """The most tokens of output beyond the limit of one answer. Raises NotBounded, naming the
    field, where nobody knows."""
    return _predicted(fields, encoding) + _thought(fields, price, model, provider)


def _predicted(fields: Mapping[str, Any], encoding: str | None) -> int:
    """Of a predicted answer the tokens that the answer is not."""
    prediction = fields.get("prediction")
    if prediction is None:
        return 0
    text = compact(prediction)
    size = len(text.encode(errors="surrogatepass"))
    if encoding is None:
        return size
    return min(size, most_counted(count_tokens(text, encoding)))


def _thought(fields: Mapping[str, Any], price: Price, model: str, provider: str | None) -> int:
    """Of thoughts that the limit does not hold their own budget, else the context window: some
    models think unless they are told not to."""
    if provider not in QWEN or fields.get("enable_thinking") is False:
        return 0
    budget = fields.get("thinking_budget")
    if budget is not None:
        return whole_number(budget, "thinking_budget")
    window = context_window(price)
    if window is None:
        raise NotBounded(
            f"the thoughts have no bound: `max_tokens` holds the answer of {model!r} alone. Set "
            "`thinking_budget`, or `enable_thinking` to false"
        )
    return window
