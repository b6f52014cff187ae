"""Qwen, at Alibaba's Model Studio (LiteLLM's `dashscope`)."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

PRICING = "alibabacloud.com/help/en/model-studio/model-pricing"
THINKING = "alibabacloud.com/help/en/model-studio/deep-thinking"
CACHING = "alibabacloud.com/help/en/model-studio/context-cache"
REFERENCE = "alibabacloud.com/help/en/model-studio/qwen-api-reference"

# By the length of the input.
MAX = price("1.2", "6", above={32_000: price("2.4", "12"), 128_000: price("3", "15")})
PRICES = {
    "qwen-plus": price("0.4", "1.2"),
    "qwen-turbo": price("0.05", "0.2", reasoning="0.5"),
    "qwen3.8-flash": price("0.15", "0.47", cached_input="0.016", cache_write="0.2"),
    "qwen3-max": MAX,
}
CACHED = {"type": "text", "text": "rule", "cache_control": {"type": "ephemeral"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}

ROWS = (
    Row("input and output", "qwen-plus", PRICING, "each token", usd="0.00052"),
    Row("a tier by length", "qwen3-max", PRICING, "its first tier", usd="0.0018"),
    Row("above 32,000 tokens", "qwen3-max", PRICING, "its second tier", unseen=True,
        asks={"parts": [FILE]}, used={"input": 40_000, "unseen": 39_000}, usd="0.0972"),
    Row("above 128,000 tokens", "qwen3-max", PRICING, "its third tier", unseen=True,
        asks={"parts": [FILE]}, used={"input": 200_000, "unseen": 199_000}, usd="0.6015"),
    Row("thoughts, which max_tokens does not hold", "qwen-turbo", THINKING,
        "at their own rate", asks={"enable_thinking": True, "thinking_budget": 4000},
        used={"output": 4100, "beyond": 4000, "reasoning": 4000}, usd="0.00207"),
    Row("thoughts without a budget", "qwen-turbo", THINKING,
        "at their own rate, up to the window", "unconfirmed", stream=True,
        used={"output": 120_000, "beyond": 120_000, "reasoning": 119_000},
        reply={"fault": "no_usage"}, usd="0.05975"),
    Row("no thoughts", "qwen-turbo", THINKING, "nothing more",
        asks={"enable_thinking": False}, usd="0.00007"),
    Row("a write to a cache", "qwen3.8-flash", CACHING, "1.33 times fresh input",
        asks={"parts": [CACHED]}, usd="0.000217",
        used={"written": 400, "also": {"prompt_tokens_details": {
            "cached_tokens": 0, "cache_creation_input_tokens": 400}}}),
    Row("a write to a cache that the list has no price of", "qwen-plus", CACHING,
        "1.25 times fresh input", "refused", says="`cache_control`", asks={"parts": [CACHED]}),
    Row("a search", "qwen-plus", REFERENCE, "each call", "refused", says="`enable_search`",
        asks={"enable_search": True}),
)  # fmt: skip

PROVIDER = Provider(
    "Qwen", "https://dashscope-intl.aliyuncs.com", "/compatible-mode/v1", PRICES, ROWS
)
