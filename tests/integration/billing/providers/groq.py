"""Groq."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

PRICING = "groq.com/pricing"
CACHING = "console.groq.com/docs/prompt-caching"
COMPOUND = "console.groq.com/docs/compound"
ERRORS = "console.groq.com/docs/errors"
FLEX = "console.groq.com/docs/flex-processing"
REFERENCE = "console.groq.com/docs/api-reference"
REASONING = "console.groq.com/docs/reasoning"
SEARCH = "console.groq.com/docs/browser-search"
TIERS = "console.groq.com/docs/service-tiers"

PRICES = {
    "openai/gpt-oss-20b": price("0.075", "0.3", cached_input="0.0375"),
    "openai/gpt-oss-120b": price(
        "0.15",
        "0.6",
        cached_input="0.075",
        tiers={"flex": price("0.15", "0.6", cached_input="0.075")},
    ),
}
SMALL, LARGE = "openai/gpt-oss-20b", "openai/gpt-oss-120b"
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}

ROWS = (
    Row("input and output", SMALL, PRICING, "each token", usd="0.000105"),
    Row("a larger model", LARGE, PRICING, "each token", usd="0.00021"),
    Row("a stream", LARGE, REFERENCE, "its tokens", stream=True, usd="0.00021"),
    Row("cached input", LARGE, CACHING, "half of fresh input", used={"cached": 400}, usd="0.00018"),
    Row("reasoning", LARGE, REASONING, "as output", asks={"reasoning_effort": "high"},
        used={"reasoning": 80}, usd="0.00021"),
    Row("no limit to the output", LARGE, REFERENCE, "what is written", asks={"max_tokens": None},
        usd="0.00021"),
    Row("the tier on_demand", LARGE, TIERS, "nothing more", asks={"service_tier": "default"},
        usd="0.00021"),
    Row("flex", LARGE, FLEX, "nothing more", asks={"service_tier": "flex"}, usd="0.00021"),
    Row("a tier of a contract", LARGE, TIERS, outcome="refused", says="service tier 'performance'",
        asks={"service_tier": "performance"}),
    Row("auto, which may be a tier of a contract", LARGE, TIERS, outcome="refused",
        says="service tier 'auto'", asks={"service_tier": "auto"}),
    Row("a search in the browser", LARGE, SEARCH, "each visit", "refused", says="'browser_search'",
        asks={"tools": [{"type": "browser_search"}]}, unseen=True),
    Row("code that Groq runs", LARGE, PRICING, "each hour", "refused", says="'code_interpreter'",
        asks={"tools": [{"type": "code_interpreter"}]}, unseen=True),
    Row("settings of a search", LARGE, SEARCH, "each search", "refused", says="`search_settings`",
        asks={"search_settings": {"country": "germany"}}),
    Row("a compound system", "groq/compound", COMPOUND, "its models and its tools", "refused",
        says="'groq/groq/compound'"),
    Row("tools of a compound system", LARGE, COMPOUND, "each use", "refused",
        says="`compound_custom`", asks={"compound_custom": {"tools": {}}}),
    Row("documents with citations", LARGE, REFERENCE, "instructions of the provider's own",
        "refused", says="`citation_options`", asks={"citation_options": "enabled"}),
    Row("an image", SMALL, REFERENCE, "tokens by a rule that no page states", "refused",
        says="an image has no bound", asks={"parts": [PICTURE]}),
    Row("speech", "whisper-large-v3", PRICING, "each hour of audio", "refused",
        says="/audio/transcriptions", path="/openai/v1/audio/transcriptions"),
    Row("a reply without its usage", LARGE, REFERENCE, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00021"),
    Row("a 400", LARGE, ERRORS, "nothing", "released", reply={"status": 400, "text": "No."}),
    Row("a 498 of a full flex tier", LARGE, ERRORS, "nothing", "released",
        reply={"status": 498, "text": "Full."}),
    Row("a 499 of a cancelled request", LARGE, ERRORS, "what was done", "unconfirmed",
        reply={"status": 499, "text": "Gone.", "billed": True}, usd="0.00021"),
)  # fmt: skip

PROVIDER = Provider("Groq", "https://api.groq.com", "/openai/v1", PRICES, ROWS)
