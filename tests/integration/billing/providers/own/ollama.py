"""Ollama, on a machine of one's own and on Ollama's."""

from functools import partial

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider
from tests.integration.billing.table import Row as AnyRow

API = "github.com/ollama/ollama/blob/main/docs/api.md"
CLOUD = "docs.ollama.com/cloud"
COMPATIBLE = "docs.ollama.com/api/openai-compatibility"

Row = partial(AnyRow, api="ollama")
Embedding = partial(AnyRow, api="ollamaEmbed")

PRICES = {"llama3.1": price("0", "0"), "house-llama": price("0.2", "0.4")}
HOUSE = {
    "ollama/house-llama": {
        "input_usd_per_million_tokens": "0.2",
        "output_usd_per_million_tokens": "0.4",
    }
}

ROWS = (
    Row("input and output", "llama3.1", API, "nothing: the machine is one's own", usd="0"),
    Row("a stream", "llama3.1", API, "nothing", asks={"stream": True}, usd="0"),
    Row("no limit to the output", "llama3.1", API, "nothing", asks={"options": None}, usd="0"),
    Row("a price of one's own", "house-llama", API, "as the machine was reckoned", given=HOUSE,
        usd="0.00024"),
    Row("a price of one's own, streamed", "house-llama", API, "as the machine was reckoned",
        given=HOUSE, asks={"stream": True}, usd="0.00024"),
    Row("a prompt of one's own template", "llama3.1", API, "nothing",
        asks={"template": "{{ .Prompt }}"}, usd="0"),
    Embedding("embeddings", "llama3.1", API, "nothing", usd="0"),
    Embedding("embeddings at a price of one's own", "house-llama", API,
              "as the machine was reckoned", given=HOUSE, usd="0.0002"),
    Embedding("embeddings by the older path", "llama3.1", API, "nothing, which no reply says",
              "refused", says="/api/embed", path="/api/embeddings", asks={"prompt": "x"},
              whose="ollama"),
    Row("images", "llama3.1", API, "tokens by a rule that no page states", "refused",
        says="`images`", asks={"images": ["iVBORw0KGgo="]}),
    Row("an image as output", "llama3.1", API, "each step", "refused", says="`width`",
        asks={"width": 512}),
    Row("a field that nobody knows", "llama3.1", API, outcome="refused", says="`next_years`",
        asks={"next_years": 1}),
    Row("a reply without its usage", "house-llama", API, "its tokens", "unconfirmed", given=HOUSE,
        reply={"fault": "no_usage"}, usd="0.00024"),
    Row("a 404", "llama3.1", API, "nothing", "released", reply={"status": 404, "text": "No."}),
    Row("a model of Ollama's own hosts", "gpt-oss:120b-cloud", CLOUD, "a plan's credits",
        "refused", says="'ollama/gpt-oss:120b-cloud'"),
    Row("Ollama's own host", "gpt-oss:120b", CLOUD, "a plan's credits", "refused",
        says="'ollama.com/gpt-oss:120b'", origin="https://ollama.com"),
    Row("the chat's path", "llama3.1", COMPATIBLE, "nothing", api="chat", whose="ollama", usd="0"),
)  # fmt: skip

PROVIDER = Provider("Ollama", "http://localhost:11434", "/v1", PRICES, ROWS)
