"""OpenAI's chat completions and embeddings."""

from tests.integration.billing.prices import price, times
from tests.integration.billing.table import Provider, Row

PRICING = "developers.openai.com/api/docs/pricing"
CACHING = "developers.openai.com/api/docs/guides/prompt-caching"
CHAT = "developers.openai.com/api/reference/resources/chat"
ERRORS = "developers.openai.com/api/docs/guides/error-codes"
FILES = "developers.openai.com/api/docs/guides/pdf-files"
FLEX = "developers.openai.com/api/docs/guides/flex-processing"
IMAGES = "developers.openai.com/api/docs/guides/images-vision"
PLACES = "developers.openai.com/api/docs/guides/your-data"
PREDICTED = "developers.openai.com/api/docs/guides/predicted-outputs"
PRIORITY = "developers.openai.com/api/docs/guides/priority-processing"
REASONING = "developers.openai.com/api/docs/guides/reasoning"
AUDIO = "developers.openai.com/api/docs/guides/audio"
TUNED = "developers.openai.com/api/docs/guides/fine-tuning-best-practices"

GPT_54 = price(
    "2.5", "15", cached_input="0.25", above={272_000: price("5", "22.5", cached_input="0.5")},
    tiers={"flex": price("1.25", "7.5", cached_input="0.13")},
)  # fmt: skip
PRICES = {
    "gpt-4o-mini": price("0.15", "0.6", cached_input="0.075"),
    "gpt-4o": price(
        "2.5", "10", cached_input="1.25",
        tiers={"priority": price("4.25", "17", cached_input="2.125")},
    ),
    "gpt-5": price(
        "1.25", "10", cached_input="0.125", search="0.01",
        tiers={
            "flex": price("0.625", "5", cached_input="0.0625"),
            "priority": price("2.5", "20", cached_input="0.25"),
        },
    ),
    "gpt-5.4": GPT_54,
    "gpt-5.6": price("4", "20", cached_input="0.4", cache_write="5"),
    "gpt-audio": price("2.5", "10", audio="32"),
    "o3-mini": price("1.1", "4.4", cached_input="0.55"),
    "o3-pro": price("20", "80"),
    "ft:gpt-4o-mini-2024-07-18:team::id": price("0.3", "1.2", cached_input="0.15"),
    "text-embedding-3-small": price("0.02", "0"),
    "text-embedding-3-large": price("0.13", "0"),
}  # fmt: skip
EU, US, JAPAN = (f"https://{region}.api.openai.com" for region in ("eu", "us", "jp"))
# "Data residency": what is newer than 2026-03-05 costs a tenth more.
PLACES_PRICES = {region: {**PRICES, "gpt-5.4": times("1.1", GPT_54)} for region in (EU, US, JAPAN)}

MINI, FULL = "gpt-4o-mini", "gpt-4o"
PNG = "data:image/png;base64,iVBORw0KGgo="
PICTURE = {"type": "image_url", "image_url": {"url": PNG}}
SMALL = {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}
VOICE = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
FIND = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}

ROWS = (
    Row("input and output", MINI, PRICING, "each token", usd="0.00021"),
    Row("a stream", MINI, CHAT, "its tokens, told in its last chunk", stream=True, usd="0.00021"),
    Row(
        "a stream whose usage the caller asks for", MINI, CHAT, "its tokens", stream=True,
        asks={"stream_options": {"include_usage": True}}, usd="0.00021",
    ),
    Row("cached input", MINI, CACHING, "half of fresh input", used={"cached": 400}, usd="0.00018"),
    Row(
        "a write to the cache", "gpt-5.6", CACHING, "1.25 times fresh input, written unasked",
        used={"written": 400}, usd="0.0064",
    ),
    Row(
        "reasoning", "gpt-5", REASONING, "as output, though nobody sees it",
        asks={"reasoning_effort": "high"}, used={"reasoning": 80}, usd="0.00225",
    ),
    Row("several answers", MINI, CHAT, "the output of each", asks={"n": 3},
        used={"output": 300}, usd="0.00033"),
    Row("log probabilities", MINI, CHAT, "nothing", asks={"logprobs": True, "top_logprobs": 5},
        usd="0.00021"),
    Row("function tools", MINI, CHAT, "their definitions, as input", asks={"tools": [FIND]},
        usd="0.00021"),
    Row("no limit to the output", MINI, CHAT, "what is written, up to the model's own limit",
        asks={"max_tokens": None}, usd="0.00021"),
    Row("max_completion_tokens", "o3-mini", CHAT, "thoughts and answer together",
        asks={"max_tokens": None, "max_completion_tokens": 200}, used={"reasoning": 90},
        usd="0.00154"),
    Row("the answer cut at its limit", MINI, CHAT, "what was written", used={"output": 200},
        reply={"finish_reason": "length"}, usd="0.00027"),
    Row("a refusal of the model", MINI, CHAT, "as any answer",
        reply={"text": None, "refusal": "I cannot."}, usd="0.00021"),
    Row("flex", "gpt-5", FLEX, "half", asks={"service_tier": "flex"}, usd="0.001125"),
    Row("priority", FULL, PRIORITY, "1.7 times", asks={"service_tier": "priority"}, usd="0.00595"),
    Row("auto, answered by the standard tier", "gpt-5", PRIORITY, "the tier that the reply names",
        asks={"service_tier": "auto"}, usd="0.00225"),
    Row("a tier without a price", MINI, PRIORITY, outcome="refused", says="service tier 'turbo'",
        asks={"service_tier": "turbo"}),
    Row("an image", FULL, IMAGES, "85 tokens and 170 a tile, at most 8 tiles",
        asks={"parts": [PICTURE]}, used={"input": 2445, "unseen": 1445}, usd="0.0071125"),
    Row("an image at low detail", FULL, IMAGES, "85 tokens", asks={"parts": [SMALL]},
        used={"input": 1085, "unseen": 85}, usd="0.0037125"),
    Row("an image for a model whose rule is not known", "o3-mini", IMAGES, outcome="refused",
        says="an image has no bound for 'o3-mini'", asks={"parts": [PICTURE]}),
    Row("a predicted output", FULL, PREDICTED, "what of it is rejected, as output",
        asks={"prediction": {"type": "content", "content": "word " * 100}},
        used={"output": 250, "beyond": 50}, usd="0.005"),
    Row("audio input", "gpt-audio", AUDIO, outcome="refused", says="'input_audio'",
        asks={"parts": [VOICE]}),
    Row("audio input that is accepted", "gpt-audio", PRICING, "audio tokens at their own rate",
        asks={"parts": [VOICE]}, unseen=True, used={"input": 1600, "audio": 600, "unseen": 600},
        usd="0.0227"),
    Row("audio output", "gpt-audio", PRICING, "audio tokens at their own rate", outcome="refused",
        says="`audio`", asks={"audio": {"voice": "alloy"}}),
    Row("a modality beside text", "gpt-audio", PRICING, "its own tokens", outcome="refused",
        says="`modalities`", asks={"modalities": ["text", "audio"]}),
    Row("a file by id", FULL, FILES, "its text and each page as an image", outcome="refused",
        says="'file'", asks={"parts": [FILE]}),
    Row("a file by id that is accepted", FULL, FILES, "its text and each page as an image",
        asks={"parts": [FILE]}, unseen=True, used={"input": 9000, "unseen": 8000}, usd="0.0235"),
    Row("a file that is accepted, without a usage", FULL, FILES, "its text and its pages",
        "unconfirmed", asks={"parts": [FILE]}, unseen=True,
        used={"input": 127_000, "unseen": 126_000}, reply={"fault": "no_usage"}, usd="0.3185"),
    Row("a context above 272,000 tokens", "gpt-5.4", PRICING, "twice the input",
        asks={"parts": [FILE]}, unseen=True, used={"input": 300_000, "unseen": 299_000},
        usd="1.50225"),
    Row("a context of exactly 272,000 tokens", "gpt-5.4", PRICING, "nothing more",
        asks={"parts": [FILE]}, unseen=True, used={"input": 272_000, "unseen": 271_000},
        usd="0.6815"),
    Row("cached input above 272,000 tokens", "gpt-5.4", PRICING, "twice cached input",
        asks={"parts": [FILE]}, unseen=True,
        used={"input": 300_000, "unseen": 299_000, "cached": 200_000}, usd="0.60225"),
    Row("flex, cached", "gpt-5.4", FLEX, "flex's own rate of cached input",
        asks={"service_tier": "flex"}, used={"cached": 400}, usd="0.001552"),
    Row("a host in the EU", "gpt-5.4", PLACES, "1.1 times", origin=EU, usd="0.0044"),
    Row("a host in the EU, streamed", "gpt-5.4", PLACES, "1.1 times", origin=EU, stream=True,
        usd="0.0044"),
    Row("a host in the US", "gpt-5.4", PLACES, "1.1 times", origin=US, usd="0.0044"),
    Row("a host elsewhere", "gpt-5.4", PLACES, "1.1 times", origin=JAPAN, usd="0.0044"),
    Row("a host in the EU, an older model", MINI, PLACES, "nothing more", origin=EU, usd="0.00021"),
    Row("a fine-tuned model", "ft:gpt-4o-mini-2024-07-18:team::id", TUNED, "twice its base",
        usd="0.00042"),
    Row("a search on the chat's path", FULL, PRICING, "each search, and what it reads", "refused",
        says="`web_search_options`", asks={"web_search_options": {}}),
    Row("a model that always searches", "gpt-4o-search-preview", PRICING, "each search",
        "refused", says="search_context_cost_per_query"),
    Row("a model that writes images", "gpt-image-1", PRICING, "image tokens", "refused",
        says="cache_read_input_image_token_cost"),
    Row("a model that the list does not know", "gpt-99", PRICING, outcome="refused",
        says="'openai/gpt-99'"),
    Row("a price of one's own", "house-model", PRICING, "as was agreed",
        given={"openai/house-model": {"input_usd_per_million_tokens": "3",
                                      "output_usd_per_million_tokens": "5"}}, usd="0.0035"),
    Row("a field that nobody knows", MINI, CHAT, outcome="refused", says="`next_years`",
        asks={"next_years": 1}),
    Row("a field that the caller allows", MINI, CHAT, "nothing, by the caller's word",
        asks={"next_years": 1}, allow=("next_years",), usd="0.00021"),
    Row("a moderated request", MINI, CHAT, "nothing for the moderation", asks={"store": True},
        usd="0.00021"),
    Row("a hosted tool on the chat's path", MINI, CHAT, outcome="refused", says="'web_search'",
        asks={"tools": [{"type": "web_search"}]}),
    Row("a reply without its usage", MINI, CHAT, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00021"),
    Row("a stream without its usage", MINI, CHAT, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "no_usage"}, usd="0.00021"),
    Row("a stream that is cut", MINI, CHAT, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.00021"),
    Row("a stream whose connection breaks", MINI, CHAT, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "drop_stream"}, usd="0.00021"),
    Row("a reply that breaks off", MINI, CHAT, "its tokens", "unconfirmed",
        reply={"fault": "cut_stream"}, usd="0.00021"),
    Row("no reply, billed", MINI, ERRORS, "its tokens", "unconfirmed",
        reply={"fault": "disconnect_after_billing"}, usd="0.00021"),
    Row("no reply, not billed", MINI, ERRORS, "nothing, which nobody can tell", "unconfirmed",
        reply={"fault": "disconnect_before_billing"}),
    Row("a 500", MINI, ERRORS, "nothing, which no page promises", "unconfirmed",
        reply={"status": 500, "text": "The server had an error."}),
    Row("a 500 that is billed", MINI, ERRORS, "its tokens", "unconfirmed",
        reply={"fault": "error_500_billed"}, usd="0.00021"),
    Row("a 400", MINI, ERRORS, "nothing", "released", reply={"status": 400, "text": "No."}),
    Row("a 401", MINI, ERRORS, "nothing", "released", reply={"status": 401, "text": "No key."}),
    Row("a 403", MINI, ERRORS, "nothing", "released", reply={"status": 403, "text": "No."}),
    Row("a 404", MINI, ERRORS, "nothing", "released", reply={"status": 404, "text": "No."}),
    Row("a 408", MINI, ERRORS, "what was done before it was given up", "unconfirmed",
        reply={"status": 408, "text": "Too late.", "billed": True}, usd="0.00021"),
    Row("a 429 of a spent quota", MINI, ERRORS, "nothing", "released",
        reply={"status": 429, "text": "Quota.", "code": "insufficient_quota"}),
    Row("embeddings", "text-embedding-3-small", PRICING, "each token", api="embeddings",
        usd="0.00002"),
    Row("embeddings of a larger model", "text-embedding-3-large", PRICING, "each token",
        api="embeddings", asks={"dimensions": 256}, usd="0.00013"),
    Row("embeddings without a usage", "text-embedding-3-small", PRICING, "each token",
        "unconfirmed", api="embeddings", reply={"fault": "no_usage"}, usd="0.00002"),
    Row("the completions of old", "gpt-3.5-turbo-instruct", CHAT, outcome="refused",
        says="/v1/completions", path="/v1/completions"),
    Row("images", "gpt-image-1", PRICING, "image tokens", "refused",
        says="/v1/images/generations", path="/v1/images/generations"),
    Row("speech", "gpt-4o-mini-tts", PRICING, "audio tokens", "refused", says="/v1/audio/speech",
        path="/v1/audio/speech"),
    Row("transcription", "gpt-4o-transcribe", PRICING, "audio tokens", "refused",
        says="/v1/audio/transcriptions", path="/v1/audio/transcriptions"),
    Row("a batch", MINI, PRICING, "half, told a day later", "refused", says="/v1/batches",
        path="/v1/batches"),
)  # fmt: skip

PROVIDER = Provider(
    "OpenAI (chat completions)", "https://api.openai.com", "/v1",
    {**PRICES, "house-model": price("3", "5")}, ROWS, PLACES_PRICES,
)  # fmt: skip
