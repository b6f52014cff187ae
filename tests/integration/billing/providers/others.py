"""Others that LiteLLM's list knows, by their host."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

CEREBRAS = "inference-docs.cerebras.ai/support/pricing"
SAMBANOVA = "cloud.sambanova.ai/plans/pricing"
FIREWORKS = "docs.fireworks.ai/serverless/pricing"
HUGGING_FACE = "huggingface.co/docs/inference-providers/pricing"
UNKNOWN = "docs.litellm.ai/docs/providers"

CEREBRAS_ORIGIN = "https://api.cerebras.ai"
SAMBANOVA_ORIGIN = "https://api.sambanova.ai"
FIREWORKS_ORIGIN = "https://api.fireworks.ai"
FIREWORKS_MODEL = "accounts/fireworks/models/deepseek-v3"
PRICES = {
    "gpt-oss-120b": price("0.35", "0.75"),
    "DeepSeek-R1": price("5", "7"),
    FIREWORKS_MODEL: price("0.9", "0.9"),
    "meta-llama/Llama-3.3-70B-Instruct": price("0.6", "0.6"),
}
ROUTED_USD = {"input_usd_per_million_tokens": "0.6", "output_usd_per_million_tokens": "0.6"}

ROWS = (
    Row("Cerebras: input and output", "gpt-oss-120b", CEREBRAS, "each token", usd="0.000425",
        origin=CEREBRAS_ORIGIN),
    Row("Cerebras: no limit to the output", "gpt-oss-120b", CEREBRAS, "what is written",
        asks={"max_tokens": None}, usd="0.000425", origin=CEREBRAS_ORIGIN),
    Row("SambaNova: input and output", "DeepSeek-R1", SAMBANOVA, "each token", usd="0.0057",
        origin=SAMBANOVA_ORIGIN),
    Row("Fireworks: input and output", FIREWORKS_MODEL, FIREWORKS, "each token", usd="0.00099",
        origin=FIREWORKS_ORIGIN, base="/inference/v1"),
    Row("Hugging Face: whoever it routes to", "meta-llama/Llama-3.3-70B-Instruct", HUGGING_FACE,
        "what the provider asks that it is routed to", "refused",
        says="'huggingface/meta-llama/Llama-3.3-70B-Instruct'",
        origin="https://router.huggingface.co"),
    Row("Hugging Face: a price of one's own", "meta-llama/Llama-3.3-70B-Instruct", HUGGING_FACE,
        "what the provider asks that it is routed to", origin="https://router.huggingface.co",
        given={"huggingface/meta-llama/Llama-3.3-70B-Instruct": ROUTED_USD}, usd="0.00066"),
    Row("a host that nobody knows", "unheard-of", UNKNOWN, outcome="refused", says="'unheard-of'",
        origin="https://api.example.com"),
    Row("a host of files", "anything", UNKNOWN, outcome="refused", says="/v1/files",
        path="/v1/files", origin="https://api.example.com"),
)  # fmt: skip

PROVIDER = Provider("Others", "https://api.example.com", "/v1", PRICES, ROWS)
