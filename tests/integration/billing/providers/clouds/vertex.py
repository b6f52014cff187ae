"""Google's Vertex AI: Gemini, and Claude."""

from functools import partial

from tests.integration.billing.prices import price, times
from tests.integration.billing.table import Provider
from tests.integration.billing.table import Row as AnyRow

GUIDE = "docs.cloud.google.com/vertex-ai/generative-ai/docs"
PRICING = "cloud.google.com/vertex-ai/generative-ai/pricing"
CACHING = f"{GUIDE}/context-cache/context-cache-overview"
CLAUDE = f"{GUIDE}/partner-models/claude/use-claude"
CLAUDE_CACHING = f"{GUIDE}/partner-models/claude/prompt-caching"
CLAUDE_COUNT = f"{GUIDE}/partner-models/claude/count-tokens"
COUNT = f"{GUIDE}/model-reference/count-tokens"
ERRORS = f"{GUIDE}/model-reference/api-errors"
FLEX = f"{GUIDE}/flex-paygo"
GENERATE = f"{GUIDE}/model-reference/inference"
GROUNDING = f"{GUIDE}/grounding/grounding-with-google-search"
LOCATIONS = f"{GUIDE}/learn/locations"
PRIORITY = f"{GUIDE}/priority-paygo"
THINKING = f"{GUIDE}/thinking"

LITE, PRO, HAIKU = "gemini-3.1-flash-lite", "gemini-2.5-pro", "claude-haiku-4-5@20251001"
LITE_PRICE = price("0.25", "1.5", cached_input="0.025", audio="0.5")
HAIKU_PRICE = price("1", "5", cached_input="0.1", cache_write="1.25", cache_write_long="2")
# At the global location; `regional` is any other.
PRICES = {
    LITE: LITE_PRICE.model_copy(
        update={
            "tiers": {
                "regional": times("1.1", LITE_PRICE),
                "priority": times("1.8", LITE_PRICE),
                "flex": times("0.5", LITE_PRICE),
            }
        }
    ),
    PRO: price(
        "1.25", "10", cached_input="0.125",
        above={200_000: price("2.5", "15", cached_input="0.25")},
    ),
    HAIKU: HAIKU_PRICE.model_copy(update={"tiers": {"regional": times("1.1", HAIKU_PRICE)}}),
}  # fmt: skip


def place(location: str, publisher: str) -> str:
    """What stands before `/models`."""
    return f"/projects/a-project/locations/{location}/publishers/{publisher}"


GEMINIS, CLAUDES = place("global", "google"), place("global", "anthropic")
Row = partial(AnyRow, api="generate", place=GEMINIS)
ClaudeRow = partial(AnyRow, api="rawPredict", place=CLAUDES)
# A location's own host, with a path that names it.
HOST, LOCATION = "https://europe-west4-aiplatform.googleapis.com", "europe-west4"
UNION = "https://aiplatform.eu.rep.googleapis.com"

LANE = "X-Vertex-AI-LLM-Shared-Request-Type"
FILM = {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://bucket/a.mp4"}}
KEPT = {"type": "text", "text": "rule", "cache_control": {"type": "ephemeral"}}
LONG = {"type": "text", "text": "rule", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
THINK = {"max_tokens": 1200, "thinking": {"type": "enabled", "budget_tokens": 1024}}


def hosted(name: str, what: str, page: str = GROUNDING) -> AnyRow:
    """A tool that Google runs."""
    return Row(
        f"the tool {name}", LITE, page, what, "refused", says=f"'{name}'", unseen=True,
        asks={"tools": [{name: {}}]},
    )  # fmt: skip


UNSAID = "nothing, of which nobody here is sure"

ROWS = (
    Row("input and output", LITE, PRICING, "each token", usd="0.0004"),
    Row("a stream", LITE, GENERATE, "its tokens, told so far in each chunk", stream=True,
        usd="0.0004"),
    Row("a location that costs more", LITE, LOCATIONS, "1.1 times", origin=HOST,
        place=place(LOCATION, "google"), usd="0.00044"),
    Row("a location that costs more, streamed", LITE, LOCATIONS, "1.1 times", origin=HOST,
        place=place(LOCATION, "google"), stream=True, usd="0.00044"),
    Row("several regions that cost more", LITE, LOCATIONS, "1.1 times", origin=UNION,
        place=place("eu", "google"), usd="0.00044"),
    Row("a location, where it costs no more", PRO, LOCATIONS, "each token", origin=HOST,
        place=place(LOCATION, "google"), usd="0.00225"),
    Row("a context above 200,000 tokens", PRO, PRICING, "twice the input, 1.5 times the output",
        asks={"parts": [FILM]}, unseen=True, used={"input": 300_000, "unseen": 299_000},
        usd="0.7515"),
    Row("thoughts", LITE, THINKING, "as output, beside the candidates",
        used={"output": 150, "reasoning": 50}, usd="0.000475"),
    Row("cached input", LITE, CACHING, "a tenth of fresh input", used={"cached": 400},
        usd="0.00031"),
    Row("cached input at a location that costs more", LITE, CACHING, "1.1 times", origin=HOST,
        place=place(LOCATION, "google"), used={"cached": 400}, usd="0.000341"),
    Row("a cached content by name", LITE, CACHING, "what it holds, and its storage", "refused",
        says="`cachedContent`", asks={"cachedContent": "cachedContents/1"}),
    Row("a cache that is made", LITE, CACHING, "each hour that it is kept", "refused",
        says="cachedContents", path="/v1/projects/a-project/locations/global/cachedContents"),
    Row("the lane priority", LITE, PRIORITY, "1.8 times", headers={LANE: "priority"},
        usd="0.00072"),
    Row("the lane priority, streamed", LITE, PRIORITY, "1.8 times", stream=True,
        headers={LANE: "priority"}, usd="0.00072"),
    Row("the lane flex", LITE, FLEX, "half", headers={LANE: "flex"}, usd="0.0002"),
    Row("the lane standard, by its name", LITE, PRIORITY, "nothing more",
        headers={LANE: "standard"}, usd="0.0004"),
    Row("a lane that nobody prices", LITE, PRIORITY, "", "refused", says="'next-years'",
        headers={LANE: "next-years"}),
    hosted("googleSearch", "$14 to $35 for 1,000 prompts"),
    hosted("enterpriseWebSearch", "$45 for 1,000 prompts"),
    hosted("googleMaps", "$25 for 1,000 prompts"),
    hosted("retrieval", "the texts that it finds, and the search"),
    Row("what Model Armor screens", LITE, GENERATE, "each token that it screens", "refused",
        says="`modelArmorConfig`", asks={"modelArmorConfig": {"promptTemplateName": "a"}}),
    Row("a file by URI", LITE, GENERATE, "what it holds", "refused", says="'fileData'",
        asks={"parts": [FILM]}),
    ClaudeRow("Claude", HAIKU, CLAUDE, "each token", usd="0.0015"),
    ClaudeRow("Claude, streamed", HAIKU, CLAUDE, "its tokens, told at its start and end",
              stream=True, usd="0.0015"),
    ClaudeRow("Claude at a location that costs more", HAIKU, LOCATIONS, "1.1 times", origin=HOST,
              place=place(LOCATION, "anthropic"), usd="0.00165"),
    ClaudeRow("Claude: a read of the cache", HAIKU, CLAUDE_CACHING, "a tenth of fresh input",
              asks={"system": [KEPT]}, used={"cached": 400}, usd="0.00114"),
    ClaudeRow("Claude: a write for 5 minutes", HAIKU, CLAUDE_CACHING, "1.25 times fresh input",
              asks={"system": [KEPT]}, used={"written": 400}, usd="0.0016"),
    ClaudeRow("Claude: a write for an hour", HAIKU, CLAUDE_CACHING, "twice fresh input",
              asks={"system": [LONG]}, used={"written_long": 400}, usd="0.0019"),
    ClaudeRow("Claude: thoughts", HAIKU, CLAUDE, "as output, in full", asks=THINK,
              used={"output": 1100}, usd="0.0065"),
    ClaudeRow("Claude: tokens that are counted", HAIKU, CLAUDE_COUNT, "nothing", "free",
              path=f"/v1{CLAUDES}/models/count-tokens:rawPredict"),
    Row("tokens that are counted", LITE, COUNT, "nothing", "free",
        path=f"/v1{GEMINIS}/models/{LITE}:countTokens"),
    Row("a film that is made", "veo-3.1-generate-001", PRICING, "each second", "refused",
        says="predictLongRunning",
        path=f"/v1{GEMINIS}/models/veo-3.1-generate-001:predictLongRunning"),
    Row("a reply without its usage", LITE, GENERATE, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.0004"),
    Row("a stream that is cut", LITE, GENERATE, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.0004"),
    ClaudeRow("Claude: a stream that is cut", HAIKU, CLAUDE, "its tokens", "unconfirmed",
              stream=True, reply={"fault": "cut_stream"}, usd="0.0015"),
    Row("a 400", LITE, ERRORS, "nothing", "released", reply={"status": 400, "text": "No."}),
    Row("a 403", LITE, ERRORS, "nothing", "released", reply={"status": 403, "text": "No."}),
    Row("a 429", LITE, ERRORS, "nothing", "again", reply={"status": 429, "text": "Exhausted."}),
    Row("a 500", LITE, ERRORS, UNSAID, "unconfirmed", reply={"status": 500, "text": "Broken."}),
    Row("a 503", LITE, ERRORS, UNSAID, "unconfirmed", reply={"status": 503, "text": "Later."}),
)  # fmt: skip

PROVIDER = Provider("Vertex AI", "https://aiplatform.googleapis.com", "/v1", PRICES, ROWS)
