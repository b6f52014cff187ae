"""Gemini's own API, and its chat completions."""

from functools import partial

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider
from tests.integration.billing.table import Row as AnyRow

PRICING = "ai.google.dev/gemini-api/docs/pricing"
BILLING = "ai.google.dev/gemini-api/docs/billing"
CACHING = "ai.google.dev/gemini-api/docs/caching"
COMPATIBLE = "ai.google.dev/gemini-api/docs/openai"
GENERATE = "ai.google.dev/api/generate-content"
GROUNDING = "ai.google.dev/gemini-api/docs/google-search"
THINKING = "ai.google.dev/gemini-api/docs/thinking"
TOKENS = "ai.google.dev/gemini-api/docs/tokens"
TOOLS = "ai.google.dev/gemini-api/docs/tools"

EMBEDDING = "ai.google.dev/api/embeddings"

Row = partial(AnyRow, api="generate")
Embedding = partial(AnyRow, api="embedContent")
EMBED, TEXT = "gemini-embedding-001", "word " * 1001

PRICES = {
    "gemini-2.5-flash-lite": price("0.1", "0.4", cached_input="0.01", audio="0.3"),
    "gemini-2.5-flash": price(
        "0.3", "2.5", cached_input="0.03", audio="1",
        tiers={"priority": price("0.54", "4.5", cached_input="0.054", audio="1.8")},
    ),
    "gemini-2.5-pro": price(
        "1.25", "10", cached_input="0.125",
        above={200_000: price("2.5", "15", cached_input="0.25")},
    ),
    "gemini-3.1-pro-preview": price(
        "2", "12", cached_input="0.2", above={200_000: price("4", "18", cached_input="0.4")}
    ),
    "gemini-2.5-flash-image": price("0.3", "2.5", image="30"),
    "gemini-embedding-001": price("0.15", "0"),
}  # fmt: skip

LITE, FLASH, PRO = "gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"
DRAWS = {"generationConfig": {"maxOutputTokens": 2000}}
PICTURE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
VOICE = {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}
FILM = {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/a.mp4"}}
FIND = {"tools": [{"functionDeclarations": [{"name": "find", "parameters": {"type": "object"}}]}]}


def hosted(name: str, what: str, page: str = TOOLS) -> AnyRow:
    """A tool that Google runs."""
    return Row(
        f"the tool {name}", FLASH, page, what, "refused", says=f"'{name}'", unseen=True,
        asks={"tools": [{name: {}}]},
    )  # fmt: skip


ROWS = (
    Row("input and output", LITE, PRICING, "each token", usd="0.00014"),
    Row("a stream", LITE, GENERATE, "its tokens, told so far in each chunk", stream=True,
        usd="0.00014"),
    Row("thoughts", FLASH, THINKING, "as output, beside the candidates",
        used={"output": 150, "reasoning": 50}, usd="0.000675"),
    Row("thoughts, streamed", FLASH, THINKING, "as output", stream=True,
        used={"output": 150, "reasoning": 50}, usd="0.000675"),
    Row("cached input", FLASH, CACHING, "a tenth of fresh input", used={"cached": 400},
        usd="0.000442"),
    Row("a cached content by name", FLASH, CACHING, "what it holds, and its storage", "refused",
        says="`cachedContent`", asks={"cachedContent": "cachedContents/1"}),
    Row("a cached content that is accepted", FLASH, CACHING, "what it holds, at a tenth",
        asks={"cachedContent": "cachedContents/1"}, unseen=True,
        used={"input": 21_000, "unseen": 20_000, "cached": 20_000}, usd="0.00115"),
    Row("a cache that is made", FLASH, CACHING, "each hour that it is kept", "refused",
        says="cachedContents", path="/v1beta/cachedContents"),
    Row("a context above 200,000 tokens", PRO, PRICING, "twice the input, 1.5 times the output",
        asks={"parts": [FILM]}, unseen=True, used={"input": 300_000, "unseen": 299_000},
        usd="0.7515"),
    Row("cached input above 200,000 tokens", PRO, PRICING, "twice cached input",
        asks={"parts": [FILM]}, unseen=True,
        used={"input": 300_000, "unseen": 299_000, "cached": 200_000}, usd="0.3015"),
    Row("several candidates", LITE, GENERATE, "the output of each",
        asks={"generationConfig": {"candidateCount": 2}}, used={"output": 200}, usd="0.00018"),
    Row("no limit to the output", LITE, GENERATE, "what is written, up to the model's own limit",
        asks={"generationConfig": None}, usd="0.00014"),
    Row("the answer cut at its limit", LITE, GENERATE, "what was written", used={"output": 200},
        reply={"finish_reason": "MAX_TOKENS"}, usd="0.00018"),
    Row("functions", LITE, TOOLS, "their declarations, as input", asks=FIND, usd="0.00014"),
    Row("an image", LITE, TOKENS, "258 tokens a tile", "refused", says="'inlineData'",
        asks={"parts": [PICTURE]}),
    Row("an image that is accepted", LITE, TOKENS, "258 tokens a tile", asks={"parts": [PICTURE]},
        unseen=True, used={"input": 2032, "unseen": 1032}, usd="0.0002432"),
    Row("audio input that is accepted", FLASH, PRICING, "32 tokens a second, at their own rate",
        asks={"parts": [VOICE]}, unseen=True,
        used={"input": 2920, "unseen": 1920, "audio": 1920}, usd="0.00247"),
    Row("audio input, streamed", FLASH, PRICING, "32 tokens a second, at a rate of their own",
        asks={"parts": [VOICE]}, unseen=True, stream=True,
        used={"input": 2920, "unseen": 1920, "audio": 1920}, usd="0.00247"),
    Row("audio input without a usage", FLASH, PRICING, "32 tokens a second", "unconfirmed",
        asks={"parts": [VOICE]}, unseen=True, reply={"fault": "no_usage"},
        used={"input": 901_000, "unseen": 900_000, "audio": 900_000}, usd="0.90055"),
    Row("audio read from a cache", FLASH, PRICING, "a tenth of fresh audio", "above",
        asks={"parts": [VOICE]}, unseen=True, usd="0.000742",
        used={"input": 2920, "unseen": 1920, "usd": "0.000742", "cached": 1920,
              "also": {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1920}]}}),
    Row("a film by URI", FLASH, TOKENS, "263 tokens a second", "refused", says="'fileData'",
        asks={"parts": [FILM]}),
    Row("images as output", FLASH, PRICING, "1,290 tokens an image", "refused",
        says="`responseModalities`",
        asks={"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}),
    Row("speech as output", FLASH, PRICING, "audio tokens", "refused", says="`speechConfig`",
        asks={"generationConfig": {"speechConfig": {}}}),
    Row("a model that writes images", "gemini-2.5-flash-image", PRICING,
        "1,290 tokens an image, at a price of their own", asks=DRAWS,
        used={"output": 1290, "images": 1290},
        usd="0.039"),
    Row("images in an answer that does not say how many", "gemini-2.5-flash-image", PRICING,
        "images and text", "above", asks=DRAWS, used={"output": 1390, "images": 1290,
        "also": {"candidatesTokensDetails": None}}, usd="0.03925"),
    Row("a model that writes songs", "lyria-3-pro-preview", PRICING, "$0.08 a song", "refused",
        says="output_cost_per_image"),
    Row("a model of speech", "gemini-2.5-flash-preview-tts", PRICING, "audio tokens", "refused",
        says="output_cost_per_audio_token"),
    Row("a film that is made", "veo-3.1-generate-preview", PRICING, "each second", "refused",
        says="predictLongRunning",
        path="/v1beta/models/veo-3.1-generate-preview:predictLongRunning"),
    hosted("googleSearch", "$14 to $35 for 1,000 prompts", GROUNDING),
    hosted("googleMaps", "$25 for 1,000 prompts"),
    hosted("urlContext", "the pages, as input"),
    hosted("codeExecution", "what its code writes, as input"),
    hosted("fileSearch", "what it finds, as input"),
    hosted("computerUse", "its description, and screenshots"),
    Row("priority", FLASH, PRICING, "1.8 times", asks={"serviceTier": "priority"}, usd="0.00099"),
    Row("a lane that nobody prices", FLASH, PRICING, "", "refused", says="`serviceTier`",
        asks={"serviceTier": "reserved"}),
    Row("a router among models", FLASH, GENERATE, "what a dearer model costs", "refused",
        says="`routingConfig`", asks={"generationConfig": {"routingConfig": {}}}),
    Row("a field that nobody knows", LITE, GENERATE, outcome="refused", says="`nextYears`",
        asks={"nextYears": 1}),
    Row("a prompt that is blocked", LITE, BILLING, "its input", used={"output": 0},
        reply={"text": None, "blocked": "SAFETY"}, usd="0.0001"),
    Row("the chat's path", LITE, COMPATIBLE, "each token", api="chat", base="/v1beta/openai",
        usd="0.00014"),
    Row("thoughts on the chat's path", FLASH, COMPATIBLE, "as output, told in the total alone",
        api="chat", base="/v1beta/openai",
        used={"output": 150, "also": {"completion_tokens": 100}}, usd="0.000675"),
    Row("priority on the chat's path", FLASH, PRICING, "1.8 times, thoughts too", api="chat",
        base="/v1beta/openai", asks={"service_tier": "priority"}, used={"reasoning": 50},
        usd="0.00099"),
    Row("embeddings", "gemini-embedding-001", PRICING, "each token", api="embeddings",
        base="/v1beta/openai", usd="0.00015"),
    Embedding("embeddings by their own path", EMBED, PRICING, "each token", usd="0.00015"),
    Embedding("embeddings of several texts", EMBED, EMBEDDING, "each token", usd="0.0001503",
              path=f"/v1beta/models/{EMBED}:batchEmbedContents",
              asks={"content": None, "requests": [{"model": f"models/{EMBED}",
                                                   "content": {"parts": [{"text": TEXT}]}}]}),
    Embedding("an image to embed", EMBED, PRICING, "each of its tokens", "refused",
              says="'inlineData'", asks={"content": {"parts": [{"inlineData": {}}]}}),
    Embedding("embeddings without their usage", EMBED, EMBEDDING, "each token", "unconfirmed",
              reply={"fault": "no_usage"}, usd="0.00015"),
    Row("a reply without its usage", LITE, GENERATE, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00014"),
    Row("a stream that is cut", LITE, GENERATE, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.00014"),
    Row("a 400", LITE, BILLING, "nothing", "released", reply={"status": 400, "text": "No."}),
    Row("a 500", LITE, BILLING, "nothing", "released", reply={"status": 500, "text": "Broken."}),
    Row("a 503", LITE, BILLING, "nothing", "released", reply={"status": 503, "text": "Later."}),
    Row("no reply, billed", LITE, BILLING, "its tokens", "unconfirmed",
        reply={"fault": "disconnect_after_billing"}, usd="0.00014"),
)  # fmt: skip

PROVIDER = Provider("Gemini", "https://generativelanguage.googleapis.com", "/v1beta", PRICES, ROWS)
