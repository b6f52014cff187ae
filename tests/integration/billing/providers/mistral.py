"""Mistral."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

PRICING = "mistral.ai/pricing"
REFERENCE = "docs.mistral.ai/api"
CACHING = "docs.mistral.ai/inference/conversations/advanced/prompt-caching"
PRIORITY = "docs.mistral.ai/inference/priority-tier"
PREDICTED = "docs.mistral.ai/inference/conversations/advanced"
REASONING = "docs.mistral.ai/capabilities/reasoning"
DOCUMENTS = "docs.mistral.ai/capabilities/document_ai/document_qna"
AUDIO = "docs.mistral.ai/capabilities/audio"
AGENTS = "docs.mistral.ai/agents/tools"

PRICES = {
    "mistral-small-latest": price("0.15", "0.6", cached_input="0.015"),
    "mistral-large-latest": price("0.5", "1.5", cached_input="0.05"),
    "magistral-medium-latest": price("1.5", "7.5", cached_input="0.15"),
    "mistral-embed": price("0.1", "0"),
}
SMALL, LARGE = "mistral-small-latest", "mistral-large-latest"
PAGES = {"type": "document_url", "document_url": "https://example.com/a.pdf"}
VOICE = {"type": "input_audio", "input_audio": "https://example.com/a.mp3"}

ROWS = (
    Row("input and output", SMALL, PRICING, "each token", usd="0.00021"),
    Row("a larger model", LARGE, PRICING, "each token", usd="0.00065"),
    Row("a stream", SMALL, REFERENCE, "its tokens, told with the reason that it ended",
        stream=True, usd="0.00021"),
    Row("cached input", SMALL, CACHING, "a tenth of fresh input", used={"cached": 400},
        usd="0.000156"),
    Row("reasoning", "magistral-medium-latest", REASONING, "as output", usd="0.00225"),
    Row("a prompt of the provider's own", "magistral-medium-latest", REASONING,
        "its text, as input", "refused", says="`prompt_mode`", asks={"prompt_mode": "reasoning"}),
    Row("a prompt of its own that is accepted", "magistral-medium-latest", REASONING,
        "its text, as input", asks={"prompt_mode": "reasoning"}, unseen=True,
        used={"input": 1300, "unseen": 300}, usd="0.0027"),
    Row("no limit to the output", SMALL, REFERENCE, "what is written", asks={"max_tokens": None},
        usd="0.00021"),
    Row("a safe prompt and a seed", SMALL, REFERENCE, "nothing more",
        asks={"random_seed": 7}, usd="0.00021"),
    Row("priority", SMALL, PRIORITY, "as a contract says", "refused",
        says="service tier 'priority'", asks={"service_tier": "priority"}),
    Row("auto, which may be priority", SMALL, PRIORITY, "as a contract says", "refused",
        says="service tier 'auto'", asks={"service_tier": "auto"}),
    Row("a predicted output", SMALL, PREDICTED, "what of it is rejected, as output",
        asks={"prediction": {"type": "content", "content": "word " * 100}},
        used={"output": 250, "beyond": 50}, usd="0.0003"),
    Row("a document by URL", SMALL, DOCUMENTS, "each page", "refused", says="'document_url'",
        asks={"parts": [PAGES]}),
    Row("audio input", SMALL, AUDIO, "each minute", "refused", says="'input_audio'",
        asks={"parts": [VOICE]}),
    Row("a search", SMALL, AGENTS, "each call", "refused", says="'web_search'",
        asks={"tools": [{"type": "web_search"}]}),
    Row("reading of pages", "mistral-ocr-latest", PRICING, "each page", "refused", says="/v1/ocr",
        path="/v1/ocr"),
    Row("agents", SMALL, AGENTS, "what they do", "refused", says="/v1/conversations",
        path="/v1/conversations"),
    Row("filling in the middle", "codestral-latest", PRICING, "each token", "refused",
        says="/v1/fim/completions", path="/v1/fim/completions"),
    Row("embeddings", "mistral-embed", PRICING, "each token", api="embeddings", usd="0.0001"),
    Row("a free model of the list", "codestral-latest", PRICING, "nothing in the list, $0.30 here",
        "refused", says="input_cost_per_token", origin="https://codestral.mistral.ai"),
    Row("a reply without its usage", SMALL, REFERENCE, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00021"),
    Row("a stream that is cut", SMALL, REFERENCE, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.00021"),
    Row("a 422", SMALL, REFERENCE, "nothing", "released", reply={"status": 422, "text": "No."}),
    Row("a 500", SMALL, REFERENCE, "nothing, which no page promises", "unconfirmed",
        reply={"status": 500, "text": "Broken."}),
)  # fmt: skip

PROVIDER = Provider("Mistral", "https://api.mistral.ai", "/v1", PRICES, ROWS)
