"""Others that LiteLLM's list knows, by their host."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

QWEN = "alibabacloud.com/help/en/model-studio/model-pricing"
QWEN_THINKING = "alibabacloud.com/help/en/model-studio/deep-thinking"
QWEN_CACHE = "alibabacloud.com/help/en/model-studio/context-cache"
QWEN_API = "alibabacloud.com/help/en/model-studio/qwen-api-reference"
CEREBRAS = "inference-docs.cerebras.ai/support/pricing"
SAMBANOVA = "cloud.sambanova.ai/plans/pricing"
FIREWORKS = "docs.fireworks.ai/serverless/pricing"
DEEPINFRA = "deepinfra.com/pricing"
UNKNOWN = "docs.litellm.ai/docs/providers"

QWEN_ORIGIN = "https://dashscope-intl.aliyuncs.com"
CEREBRAS_ORIGIN = "https://api.cerebras.ai"
SAMBANOVA_ORIGIN = "https://api.sambanova.ai"
FIREWORKS_ORIGIN = "https://api.fireworks.ai"
FIREWORKS_MODEL = "accounts/fireworks/models/deepseek-v3"
QWEN_BASE = "/compatible-mode/v1"
# Qwen: by the length of the input.
MAX = price("1.2", "6", above={32_000: price("2.4", "12"), 128_000: price("3", "15")})
PRICES = {
    "qwen-plus": price("0.4", "1.2"),
    "qwen-turbo": price("0.05", "0.2", reasoning="0.5"),
    "qwen3.8-flash": price("0.15", "0.47", cached_input="0.016", cache_write="0.2"),
    "qwen3-max": MAX,
    "gpt-oss-120b": price("0.35", "0.75"),
    "DeepSeek-R1": price("5", "7"),
    FIREWORKS_MODEL: price("0.9", "0.9"),
}
CACHED = {"type": "text", "text": "rule", "cache_control": {"type": "ephemeral"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}


ROWS = (
    Row("Qwen: input and output", "qwen-plus", QWEN, "each token", usd="0.00052",
        origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: a tier by length", "qwen3-max", QWEN, "its first tier", usd="0.0018",
        origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: above 32,000 tokens", "qwen3-max", QWEN, "its second tier", unseen=True,
        asks={"parts": [FILE]}, used={"input": 40_000, "unseen": 39_000}, usd="0.0972",
        origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: above 128,000 tokens", "qwen3-max", QWEN, "its third tier", unseen=True,
        asks={"parts": [FILE]}, used={"input": 200_000, "unseen": 199_000}, usd="0.6015",
        origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: thoughts, which max_tokens does not hold", "qwen-turbo", QWEN_THINKING,
        "at their own rate", asks={"enable_thinking": True, "thinking_budget": 4000},
        used={"output": 4100, "beyond": 4000, "reasoning": 4000}, usd="0.00207",
        origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: thoughts without a budget", "qwen-turbo", QWEN_THINKING,
        "at their own rate, up to the window", "unconfirmed", stream=True,
        used={"output": 120_000, "beyond": 120_000, "reasoning": 119_000},
        reply={"fault": "no_usage"}, usd="0.05975", origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: no thoughts", "qwen-turbo", QWEN_THINKING, "nothing more",
        asks={"enable_thinking": False}, usd="0.00007", origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: a write to a cache", "qwen3.8-flash", QWEN_CACHE, "1.33 times fresh input",
        asks={"parts": [CACHED]}, usd="0.000217",
        used={"written": 400, "also": {"prompt_tokens_details": {
            "cached_tokens": 0, "cache_creation_input_tokens": 400}}},
        origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: a write to a cache that the list has no price of", "qwen-plus", QWEN_CACHE,
        "1.25 times fresh input", "refused", says="`cache_control`", asks={"parts": [CACHED]},
        origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Qwen: a search", "qwen-plus", QWEN_API, "each call", "refused", says="`enable_search`",
        asks={"enable_search": True}, origin=QWEN_ORIGIN, base=QWEN_BASE),
    Row("Cerebras: input and output", "gpt-oss-120b", CEREBRAS, "each token", usd="0.000425",
        origin=CEREBRAS_ORIGIN),
    Row("Cerebras: no limit to the output", "gpt-oss-120b", CEREBRAS, "what is written",
        asks={"max_tokens": None}, usd="0.000425", origin=CEREBRAS_ORIGIN),
    Row("SambaNova: input and output", "DeepSeek-R1", SAMBANOVA, "each token", usd="0.0057",
        origin=SAMBANOVA_ORIGIN),
    Row("Fireworks: input and output", FIREWORKS_MODEL, FIREWORKS, "each token", usd="0.00099",
        origin=FIREWORKS_ORIGIN, base="/inference/v1"),
    Row("a host that nobody knows", "unheard-of", UNKNOWN, outcome="refused", says="'unheard-of'",
        origin="https://api.example.com"),
    Row("a host of files", "anything", UNKNOWN, outcome="refused", says="/v1/files",
        path="/v1/files", origin="https://api.example.com"),
)  # fmt: skip

PROVIDER = Provider("Others", "https://api.example.com", "/v1", PRICES, ROWS)
