"""xAI."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

PRICING = "docs.x.ai/developers/models"
CACHING = "docs.x.ai/developers/advanced-api-usage/prompt-caching/usage-and-pricing"
COSTS = "docs.x.ai/developers/cost-tracking"
PRIORITY = "docs.x.ai/developers/advanced-api-usage/priority-processing"
REFERENCE = "docs.x.ai/docs/api-reference"
SEARCH = "docs.x.ai/docs/guides/live-search"
TOKENS = "docs.x.ai/developers/rate-limits"
TOOLS = "docs.x.ai/developers/tools/overview"
IMAGES = "docs.x.ai/docs/guides/image-understanding"

# Twice for prompts of 200,000 tokens and more.
PRICES = {
    "grok-4.3": price(
        "1.25", "2.5", cached_input="0.2", above={199_999: price("2.5", "5", cached_input="0.4")}
    ),
    "grok-4.7": price(
        "2", "6", cached_input="0.5", above={199_999: price("4", "12", cached_input="1")}
    ),
}
GROK, NEW = "grok-4.3", "grok-4.7"
FILE = {"type": "file", "file": {"file_id": "file-1"}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}

ROWS = (
    Row("input and output", GROK, PRICING, "each token", usd="0.0015"),
    Row("a newer model", NEW, PRICING, "each token", usd="0.0026"),
    Row("a stream", GROK, REFERENCE, "its tokens", stream=True, usd="0.0015"),
    Row("cached input", NEW, CACHING, "a quarter of fresh input", used={"cached": 400},
        usd="0.002"),
    Row("reasoning", GROK, TOKENS, "as output, told in the total beside the answer's tokens",
        used={"output": 180, "also": {"completion_tokens": 100,
              "completion_tokens_details": {"reasoning_tokens": 80}}}, usd="0.0017"),
    Row("a cost that is stated", GROK, COSTS, "what the reply says in ticks",
        used={"usd": "0.0012345", "also": {"cost_in_usd_ticks": 12_345_000}}, usd="0.0012345"),
    Row("a cost that is stated, streamed", GROK, COSTS, "what the reply says in ticks", stream=True,
        used={"usd": "0.0012345", "also": {"cost_in_usd_ticks": 12_345_000}}, usd="0.0012345"),
    Row("no limit to the output", GROK, REFERENCE, "what is written", asks={"max_tokens": None},
        usd="0.0015"),
    Row("the responses' path", GROK, REFERENCE, "each token", api="responses", usd="0.0015"),
    Row("a context above 200,000 tokens", GROK, PRICING, "twice", asks={"parts": [FILE]},
        unseen=True, used={"input": 300_000, "unseen": 299_000}, usd="0.7505"),
    Row("a context of exactly 200,000 tokens", GROK, PRICING, "twice: from there on, not above",
        asks={"parts": [FILE]}, unseen=True, used={"input": 200_000, "unseen": 199_000},
        usd="0.5005"),
    Row("a file by id", GROK, TOOLS, "what is read of it", "refused", says="'file'",
        asks={"parts": [FILE]}),
    Row("an image", GROK, IMAGES, "tokens by a rule that no page states", "refused",
        says="an image has no bound", asks={"parts": [PICTURE]}),
    Row("an image that is accepted", GROK, IMAGES, "as input", asks={"parts": [PICTURE]},
        unseen=True, used={"input": 2792, "unseen": 1792}, usd="0.00374"),
    Row("priority", GROK, PRIORITY, "more, which the list does not price", "refused",
        says="service tier 'priority'", asks={"service_tier": "priority"}),
    Row("a live search", GROK, SEARCH, "each source", "refused", says="`search_parameters`",
        asks={"search_parameters": {"mode": "on"}}),
    Row("a tool on the server", GROK, TOOLS, "each use", "refused", says="'x_search'",
        api="responses", asks={"tools": [{"type": "x_search"}]}, unseen=True),
    Row("an answer that is deferred", GROK, REFERENCE, "what is in no reply to the request",
        "refused", says="`deferred`", asks={"deferred": True}),
    Row("images", "grok-imagine-image", PRICING, "each image", "refused",
        says="/v1/images/generations", path="/v1/images/generations"),
    Row("a reply without its usage", GROK, REFERENCE, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.0015"),
    Row("a 403", GROK, REFERENCE, "nothing", "released", reply={"status": 403, "text": "No."}),
    Row("a 504", GROK, REFERENCE, "its tokens, perhaps", "unconfirmed",
        reply={"status": 504, "text": "Too late.", "billed": True}, usd="0.0015"),
)  # fmt: skip

PROVIDER = Provider("xAI", "https://api.x.ai", "/v1", PRICES, ROWS)
