"""OpenRouter."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

ACCOUNTING = "openrouter.ai/docs/use-cases/usage-accounting"
ROUTING = "openrouter.ai/docs/guides/routing/provider-selection"
FALLBACKS = "openrouter.ai/docs/guides/routing/model-fallbacks"
TRANSFORMS = "openrouter.ai/docs/guides/features/message-transforms"
OWN_KEY = "openrouter.ai/docs/guides/overview/auth/byok"
SEARCH = "openrouter.ai/docs/guides/features/plugins/web-search"
FILES = "openrouter.ai/docs/guides/overview/multimodal/pdfs"
PRESETS = "openrouter.ai/docs/guides/features/presets"
ERRORS = "openrouter.ai/docs/api/reference/errors-and-debugging"

MINI, FULL, LLAMA = "openai/gpt-4o-mini", "openai/gpt-4o", "meta-llama/llama-9"
CLAUDE = "anthropic/claude-sonnet-4.5"
# Who serves a model, each at a price of its own: the vendor's, one that is less, one that is more.
ROUTES = {
    MINI: (price("0.15", "0.6"), price("0.11", "0.41"), price("1.5", "6")),
    FULL: (price("2.5", "10"),),
    LLAMA: (price("0.3", "0.9", cache_write_long="0.6"), price("3", "9")),
    CLAUDE: (price("3", "15", cached_input="0.3", cache_write="3.75", cache_write_long="6"),),
}
HOUR = {"type": "text", "text": "rule", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
MOST = {"provider": {"max_price": {"prompt": 0.4, "completion": 1}}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://example.com/a.pdf"}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}


def byok(charged: float, upstream: float) -> dict[str, object]:
    """What a reply says of a call with a key of one's own."""
    return {"cost": charged, "is_byok": True, "cost_details": {"upstream_inference_cost": upstream}}


ROWS = (
    Row("whoever answers for the vendor's price", MINI, ROUTING, "what the reply says",
        usd="0.00021"),
    Row("a stream", MINI, ACCOUNTING, "what its last chunk says", stream=True, usd="0.00021"),
    Row("a most that the caller names", MINI, ROUTING, "at most that",
        asks={"provider": {"max_price": {"prompt": 2, "completion": 7}}}, usd="0.0021"),
    Row("a model without a price, with a most", LLAMA, ROUTING, "at most that", asks=MOST,
        usd="0.00039"),
    Row("a model without a price", LLAMA, ROUTING, outcome="refused", says="max_price"),
    Row("a most that nobody takes", MINI, ROUTING, "nothing", "released",
        asks={"provider": {"max_price": {"prompt": 0.001, "completion": 0.001}}}),
    Row("other models that may answer", MINI, FALLBACKS, "the model that answers",
        asks={"models": [FULL]}, usd="0.0035"),
    Row("an order of those who may answer", MINI, ROUTING, "whoever answers",
        asks={"provider": {"order": ["azure"], "sort": "price"}}, usd="0.00021"),
    Row("a write to a cache for an hour", CLAUDE, ACCOUNTING, "twice fresh input",
        asks={"parts": [HOUR]}, used={"written_long": 1000}, usd="0.0075"),
    Row("a write to a cache, at a most alone", LLAMA, ROUTING, "twice what fresh input may cost",
        asks={"parts": [HOUR], **MOST}, used={"written_long": 1000}, usd="0.00069"),
    Row("a prompt that is shortened", MINI, TRANSFORMS, "what is left of it",
        asks={"transforms": ["middle-out"]}, usd="0.00021"),
    Row("a discount", MINI, ACCOUNTING, "what the reply says, not what the price does",
        used={"usd": "0.0001", "cached": 500}, usd="0.0001"),
    Row("a key of one's own", MINI, OWN_KEY, "the vendor's bill, and a twentieth of it",
        used={"usd": "0.0002205", "also": byok(0.0000105, 0.00021)}, usd="0.0002205"),
    Row("a key of one's own, whose vendor is not told", MINI, OWN_KEY, "the vendor's bill", "above",
        used={"usd": "0.00021", "also": {"cost": 0.0, "is_byok": True}}, usd="0.00021"),
    Row("no limit to the output", MINI, ROUTING, "what is written", asks={"max_tokens": None},
        usd="0.00021"),
    Row("the responses' path", MINI, ACCOUNTING, "its tokens", api="responses", usd="0.00021"),
    Row("an image", FULL, ROUTING, "as the vendor counts it", asks={"parts": [PICTURE]},
        used={"input": 1085, "unseen": 85}, usd="0.0037125"),
    Row("a search by the model's name", f"{MINI}:online", SEARCH, "each result", "refused",
        says="'openai/gpt-4o-mini:online'"),
    Row("a search by a plugin", MINI, SEARCH, "each result", "refused", says="the plugin 'web'",
        asks={"plugins": [{"id": "web"}]}),
    Row("a file", MINI, FILES, "each page that is read", "refused", says="'file'",
        asks={"parts": [FILE]}, unseen=True),
    Row("a preset", "@preset/house", PRESETS, "what stands on the server", "refused",
        says="'@preset/house'"),
    Row("a preference that nobody knows", MINI, ROUTING, outcome="refused",
        says="`provider.next_years`", asks={"provider": {"next_years": 1}}),
    Row("a reply without its usage", MINI, ACCOUNTING, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00021"),
    Row("a stream that is cut", MINI, ACCOUNTING, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.00021"),
    Row("a 402 without credit", MINI, ERRORS, "nothing", "released",
        reply={"status": 402, "text": "No credit."}),
    Row("a 502", MINI, ERRORS, "what the provider behind it did", "unconfirmed",
        reply={"status": 502, "text": "The provider is down.", "billed": True}, usd="0.00021"),
)  # fmt: skip

PROVIDER = Provider("OpenRouter", "https://openrouter.ai", "/api/v1", {}, ROWS, routes=ROUTES)
