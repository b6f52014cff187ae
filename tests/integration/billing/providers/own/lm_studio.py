"""LM Studio."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

SERVER = "lmstudio.ai/docs/developer/openai-compat"

PRICES = {"local": price("0.1", "0.3"), "gift": price("0", "0"), "embeds": price("0.01", "0")}
WHOSE = "lm_studio"
GIVEN = {
    "lm_studio/local": {
        "input_usd_per_million_tokens": "0.1",
        "output_usd_per_million_tokens": "0.3",
    },
    "lm_studio/embeds": {"input_usd_per_million_tokens": "0.01"},
}

ROWS = (
    Row("a price of one's own", "local", SERVER, "as the machine was reckoned", whose=WHOSE,
        given=GIVEN, usd="0.00013"),
    Row("the responses' path", "local", SERVER, "as the machine was reckoned", whose=WHOSE,
        given=GIVEN, api="responses", usd="0.00013"),
    Row("embeddings", "embeds", SERVER, "as the machine was reckoned", whose=WHOSE, given=GIVEN,
        api="embeddings", usd="0.00001"),
    Row("a chat with a model of embeddings", "embeds", SERVER, outcome="refused", whose=WHOSE,
        given=GIVEN, says="output_usd_per_million_tokens"),
    Row("free in one word", "gift", SERVER, "nothing: the machine is one's own", whose=WHOSE,
        given="free", usd="0"),
    Row("free, streamed", "gift", SERVER, "nothing", whose=WHOSE, given="free", stream=True,
        usd="0"),
    Row("a model without a price", "local", SERVER, outcome="refused", whose=WHOSE,
        says="'lm_studio/local'"),
    Row("a draft model", "local", SERVER, "nothing more", whose=WHOSE, given=GIVEN,
        asks={"draft_model": "small", "ttl": 60}, usd="0.00013"),
    Row("a reply without its usage", "local", SERVER, "its tokens", "unconfirmed", whose=WHOSE,
        given=GIVEN, reply={"fault": "no_usage"}, usd="0.00013"),
)  # fmt: skip

PROVIDER = Provider("LM Studio", "http://127.0.0.1:1234", "/v1", PRICES, ROWS)
