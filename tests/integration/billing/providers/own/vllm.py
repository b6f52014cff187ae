"""vLLM and whatever else speaks OpenAI's dialect on a machine of one's own."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

SERVER = "docs.vllm.ai/en/latest/serving/openai_compatible_server"
ROUTER = "docs.vllm.ai/en/latest/serving/parallelism_scaling"

PRICES = {"served": price("0.55", "2.2"), "gift": price("0", "0")}
WHOSE = "hosted_vllm"
GIVEN = {
    "hosted_vllm/served": {
        "input_usd_per_million_tokens": "0.55",
        "output_usd_per_million_tokens": "2.2",
        "context_tiers": [],
        "service_tiers": [],
    }
}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}

ROWS = (
    Row("a price of one's own", "served", SERVER, "as the machine was reckoned", whose=WHOSE,
        given=GIVEN, usd="0.00077"),
    Row("a price of one's own, streamed", "served", SERVER, "as the machine was reckoned",
        whose=WHOSE, given=GIVEN, stream=True, usd="0.00077"),
    Row("cached input", "served", SERVER, "as fresh input, where no price of it is given",
        whose=WHOSE, given=GIVEN, used={"cached": 400}, usd="0.00077"),
    Row("a model without a price", "served", SERVER, outcome="refused", whose=WHOSE,
        says="'hosted_vllm/served'"),
    Row("free in one word", "gift", SERVER, "nothing: the machine is one's own", whose=WHOSE,
        given="free", usd="0"),
    Row("free by a pattern", "gift", SERVER, "nothing", whose=WHOSE,
        given={"hosted_vllm/*": "free"}, usd="0"),
    Row("free by a pattern, at somebody else's host", "gift", SERVER, "what they ask", "refused",
        whose=WHOSE, given={"hosted_vllm/*": "free"}, says="'hosted_vllm/gift'",
        origin="https://gpu.example.com"),
    Row("beams", "served", SERVER, "the output of each answer", whose=WHOSE, given=GIVEN,
        asks={"best_of": 3, "use_beam_search": True}, used={"output": 300, "beyond": 100},
        usd="0.00121"),
    Row("a guided answer", "served", SERVER, "its grammar, as input", whose=WHOSE, given=GIVEN,
        asks={"guided_json": {"type": "object"}}, usd="0.00077"),
    Row("a template of the chat", "served", SERVER, "what it makes of the text", "refused",
        whose=WHOSE, given=GIVEN, asks={"chat_template": "{{ messages }}"},
        says="`chat_template`"),
    Row("an image", "served", SERVER, "tokens by the model's own rule", "refused", whose=WHOSE,
        given=GIVEN, says="an image has no bound", asks={"parts": [PICTURE]}),
    Row("a reply without its usage", "served", SERVER, "its tokens", "unconfirmed", whose=WHOSE,
        given=GIVEN, reply={"fault": "no_usage"}, usd="0.00077"),
    Row("a 503 of a router in between", "served", ROUTER, "its tokens, perhaps", "unconfirmed",
        whose=WHOSE, given=GIVEN, reply={"status": 503, "text": "Later.", "billed": True},
        usd="0.00077"),
)  # fmt: skip

PROVIDER = Provider("vLLM", "http://gpu-box:8000", "/v1", PRICES, ROWS)
