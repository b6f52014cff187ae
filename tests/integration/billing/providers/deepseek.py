"""DeepSeek."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

PRICING = "api-docs.deepseek.com/quick_start/pricing"
CACHING = "api-docs.deepseek.com/guides/kv_cache"
REFERENCE = "api-docs.deepseek.com/api/create-chat-completion"
THINKING = "api-docs.deepseek.com/guides/thinking_mode"
ERRORS = "api-docs.deepseek.com/quick_start/error_codes"

# At peak: 01:00 to 04:00 and 06:00 to 10:00 UTC on working days; half of it at other times.
PRICES = {
    "deepseek-v4-flash": price("0.3", "1.2", cached_input="0.006"),
    "deepseek-v4-pro": price("1.32", "3.96", cached_input="0.044"),
    "deepseek-chat": price("0.28", "0.42", cached_input="0.028"),
}
FLASH, PRO = "deepseek-v4-flash", "deepseek-v4-pro"
# As it says itself what was read from its cache.
HIT = {
    "prompt_tokens_details": None,
    "prompt_cache_hit_tokens": 400,
    "prompt_cache_miss_tokens": 600,
}

ROWS = (
    Row("input and output", FLASH, PRICING, "each token, at peak", usd="0.00042"),
    Row("a larger model", PRO, PRICING, "each token, at peak", usd="0.001716"),
    Row("a model without hours", "deepseek-chat", PRICING, "each token", usd="0.000322"),
    Row("off-peak hours", FLASH, PRICING, "half; the hours know holidays that no list has", "above",
        used={"usd": "0.00021"}, usd="0.00021"),
    Row("off-peak hours, cached", PRO, PRICING, "half of cached input", "above",
        used={"cached": 400, "usd": "0.0006028"}, usd="0.0006028"),
    Row("cached input", FLASH, CACHING, "a fiftieth of fresh input",
        used={"cached": 400, "also": HIT}, usd="0.0003024"),
    Row("cached input, streamed", FLASH, CACHING, "a fiftieth of fresh input", stream=True,
        used={"cached": 400, "also": HIT}, usd="0.0003024"),
    Row("thoughts", FLASH, THINKING, "as output", asks={"thinking": {"type": "enabled"}},
        used={"reasoning": 80}, usd="0.00042"),
    Row("no limit to the output", FLASH, REFERENCE, "what is written", asks={"max_tokens": None},
        usd="0.00042"),
    Row("a stream", FLASH, REFERENCE, "its tokens", stream=True, usd="0.00042"),
    Row("a field that nobody knows", FLASH, REFERENCE, outcome="refused", says="`next_years`",
        asks={"next_years": 1}),
    Row("filling in the middle", FLASH, PRICING, "each token", "refused", says="/beta/completions",
        path="/beta/completions"),
    Row("a reply without its usage", FLASH, REFERENCE, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00042"),
    Row("a 402 of a spent balance", FLASH, ERRORS, "nothing", "released",
        reply={"status": 402, "text": "Insufficient Balance."}),
    Row("a 422", FLASH, ERRORS, "nothing", "released", reply={"status": 422, "text": "No."}),
    Row("a 503", FLASH, ERRORS, "nothing, which no page promises", "unconfirmed",
        reply={"status": 503, "text": "Overloaded."}),
)  # fmt: skip

PROVIDER = Provider("DeepSeek", "https://api.deepseek.com", "", PRICES, ROWS)
