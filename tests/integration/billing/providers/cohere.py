"""Cohere."""

from functools import partial

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider
from tests.integration.billing.table import Row as AnyRow

PRICING = "cohere.com/pricing"
BILLED = "docs.cohere.com/docs/how-does-cohere-pricing-work"
CHAT = "docs.cohere.com/reference/chat"
REASONING = "docs.cohere.com/docs/reasoning"
EMBED = "docs.cohere.com/reference/embed"
RANK = "docs.cohere.com/reference/rerank"
IMAGES = "docs.cohere.com/docs/image-inputs"

Row = partial(AnyRow, api="cohere")
Embedding = partial(AnyRow, api="embed")
Ranking = partial(AnyRow, api="rerank")

R, R7, A = "command-r-08-2024", "command-r7b-12-2024", "command-a-03-2025"
THINKS = "command-a-reasoning-08-2025"
PRICES = {
    R: price("0.15", "0.6"),
    R7: price("0.0375", "0.15"),
    A: price("2.5", "10"),
    THINKS: price("2.5", "10"),
    "embed-v4.0": price("0.12", "0"),
    "embed-english-v3.0": price("0.1", "0"),
    "rerank-v3.5": price("0", "0", search="0.002"),
    "rerank-v4.0-pro": price("0", "0", search="0.0025"),
    "rerank-v5.0-pro": price("0.05", "0"),
}
GIVEN = {
    f"cohere_chat/{THINKS}": {
        "input_usd_per_million_tokens": "2.5",
        "output_usd_per_million_tokens": "10",
    }
}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
DOCUMENTS = ["A law of 1848.", {"id": "b", "data": {"title": "Another", "text": "Of 1849."}}]
TEXTS = [{"type": "text", "text": "word " * 1000}]
LAWS = [f"A law of {year}." for year in range(1600, 1850)]

ROWS = (
    Row("input and output", R, PRICING, "each billed token", usd="0.00021"),
    Row("a larger model", A, PRICING, "each billed token", usd="0.0035"),
    Row("a stream", R, CHAT, "its billed tokens, told as it ends", stream=True, usd="0.00021"),
    Row("a fraction of a nano-dollar a token", R7, PRICING, "each billed token",
        used={"input": 1001, "output": 99}, usd="0.000052388"),
    Row("tokens that Cohere adds itself", R, BILLED, "nothing: they are no billed units",
        usd="0.00021"),
    Row("cached input", R, CHAT, "as fresh input, of which no page says less",
        used={"cached": 400}, usd="0.00021"),
    Row("no limit to the output", R, CHAT, "what is written, 4,096 tokens at the most",
        asks={"max_tokens": None}, usd="0.00021"),
    Row("documents to cite", R, CHAT, "their text, as input", asks={"documents": DOCUMENTS},
        usd="0.00021"),
    Row("tools", R, CHAT, "their description, as input", usd="0.00021",
        asks={"tools": [{"type": "function", "function": {"name": "find", "parameters": {}}}]}),
    Row("thoughts", THINKS, REASONING, "as output, within the limit", given=GIVEN,
        asks={"thinking": {"type": "enabled", "token_budget": 100}}, used={"output": 180},
        usd="0.0043"),
    Embedding("embeddings", "embed-v4.0", PRICING, "each token of text", usd="0.00012"),
    Embedding("embeddings of the third family", "embed-english-v3.0", PRICING, "each token",
              base="/v1", usd="0.0001"),
    Embedding("embeddings of parts", "embed-v4.0", EMBED, "each token of text",
              asks={"texts": None, "inputs": [{"content": TEXTS}]}, usd="0.00012012"),
    Embedding("an image to embed", "embed-v4.0", PRICING, "each of its tokens, four times as dear",
              "refused", says="`images`", asks={"images": ["data:image/png;base64,iVBORw0KGgo="]}),
    Embedding("an image among parts", "embed-v4.0", PRICING, "each of its tokens", "refused",
              says="'image_url'", asks={"texts": None, "inputs": [{"content": [PICTURE]}]}),
    Embedding("image tokens in a reply", "embed-v4.0", PRICING, "each of them", "unconfirmed",
              used={"also": {"image_tokens": 300}}, usd="0.00012"),
    Embedding("embeddings without their usage", "embed-v4.0", EMBED, "each token", "unconfirmed",
              reply={"fault": "no_usage"}, usd="0.00012"),
    Ranking("a ranking", "rerank-v3.5", PRICING, "each search of up to 100 documents",
            used={"searches": 1}, usd="0.002"),
    Ranking("a ranking of its first version", "rerank-v4.0-pro", PRICING, "each search",
            base="/v1", used={"searches": 1}, usd="0.0025"),
    Ranking("a ranking of more than 100 documents", "rerank-v3.5", PRICING, "each search",
            asks={"documents": LAWS}, used={"input": 500, "searches": 3}, usd="0.006"),
    Ranking("a long document", "rerank-v3.5", PRICING, "each chunk of 500 tokens as a document",
            words=60_000, used={"searches": 2}, usd="0.004"),
    Ranking("a ranking by the token", "rerank-v5.0-pro", PRICING, "each token", usd="0.00005"),
    Ranking("a ranking without its usage", "rerank-v3.5", RANK, "each search", "unconfirmed",
            used={"searches": 1}, reply={"fault": "no_usage"}, usd="0.002"),
    Ranking("a ranking that names tokens alone", "rerank-v3.5", RANK, "each search", "unconfirmed",
            used={"searches": 1, "also": {"search_units": None, "total_tokens": 9}}, usd="0.002"),
    Ranking("a document that is no text", "rerank-v3.5", RANK, outcome="refused",
            says="`documents`", asks={"documents": [{"image": ["x"]}]}),
    Row("a chat with a model that ranks", "rerank-v3.5", PRICING, outcome="refused",
        says="that of a ranking"),
    Row("a model of one's own key", "command-unheard-of", PRICING, outcome="refused",
        says="'cohere_chat/command-unheard-of'"),
    Row("a model that the list has at 0", "command-a-plus-05-2026", PRICING,
        "nothing in the list, which does not say that it is free", "refused",
        says="input_cost_per_token"),
    Row("an image", A, IMAGES, "tokens by a rule that no page states", "refused",
        says="'image_url'", asks={"parts": [PICTURE]}),
    Row("an image that is accepted", A, IMAGES, "tokens by a rule that no page states",
        asks={"parts": [PICTURE]}, unseen=True, used={"input": 3000, "unseen": 2000},
        usd="0.0085"),
    Row("the chat of its first version", R, "docs.cohere.com/reference/chat-v1",
        "each billed token", "refused", says="cohere.ClientV2", path="/v1/chat"),
    Row("a raw prompt", R, CHAT, outcome="refused", says="`raw_prompting`",
        asks={"raw_prompting": True}),
    Row("a field that nobody knows", R, CHAT, outcome="refused", says="`next_years`",
        asks={"next_years": 1}),
    Row("units of another kind", R, CHAT, "searches, of no known price", "unconfirmed",
        used={"also": {"search_units": 1}}, usd="0.00021"),
    Row("a reply without its usage", R, CHAT, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00021"),
    Row("a stream that is cut", R, CHAT, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.00021"),
    Row("a 422", R, CHAT, "nothing", "released", reply={"status": 422, "text": "No."}),
    Row("a 429", R, CHAT, "nothing", "again", reply={"status": 429, "text": "Later."}),
    Row("a 500", R, CHAT, "nothing, which no page promises", "unconfirmed",
        reply={"status": 500, "text": "Broken."}),
)  # fmt: skip

PROVIDER = Provider("Cohere", "https://api.cohere.com", "/v2", PRICES, ROWS)
