"""Together."""

from tests.integration.billing.prices import price
from tests.integration.billing.table import Provider, Row

PRICING = "docs.together.ai/docs/inference/pricing"
MODELS = "docs.together.ai/docs/serverless/models"
REFERENCE = "docs.together.ai/reference/chat-completions-1"
ERRORS = "docs.together.ai/docs/error-codes"

MIXTRAL, OSS = "mistralai/Mixtral-8x7B-Instruct-v0.1", "openai/gpt-oss-120b"
PRICES = {
    MIXTRAL: price("0.6", "0.6"),
    OSS: price("0.15", "0.6"),
    "meta-llama/Llama-3.3-70B-Instruct-Turbo": price("1.04", "1.04"),
    "meta-llama/Llama-Guard-4-12B": price("0.2", "0.2"),
    "Salesforce/Llama-Rank-V1": price("0.1", "0"),
}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
FILM = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}

ROWS = (
    Row("input and output", MIXTRAL, MODELS, "each token", usd="0.00066"),
    Row("a reasoning model", OSS, MODELS, "thoughts as output", used={"reasoning": 80},
        usd="0.00021"),
    Row("a larger model", "meta-llama/Llama-3.3-70B-Instruct-Turbo", MODELS, "each token",
        usd="0.001144"),
    Row("a stream", MIXTRAL, REFERENCE, "its tokens", stream=True, usd="0.00066"),
    Row("cached input that the list has no price of", OSS, PRICING, "less than fresh input",
        "above", used={"cached": 400, "usd": "0.00018"}, usd="0.00018"),
    Row("several answers", MIXTRAL, REFERENCE, "the output of each", asks={"n": 2},
        used={"output": 200}, usd="0.00072"),
    Row("log probabilities", MIXTRAL, REFERENCE, "nothing", asks={"logprobs": 1}, usd="0.00066"),
    Row("a model of a dedicated endpoint", "team/our-model", PRICING, "each minute of it",
        "refused", says="'together_ai/team/our-model'"),
    Row("an image", MIXTRAL, REFERENCE, "tokens by a rule that no page states", "refused",
        says="an image has no bound", asks={"parts": [PICTURE]}),
    Row("a film", MIXTRAL, REFERENCE, "tokens by a rule that no page states", "refused",
        says="'video_url'", asks={"parts": [FILM]}),
    Row("images", "black-forest-labs/FLUX.1-schnell", PRICING, "each megapixel", "refused",
        says="/v1/images/generations", path="/v1/images/generations"),
    Row("a ranking", "Salesforce/Llama-Rank-V1", PRICING, "each token", api="rerank",
        usd="0.0001"),
    Row("a reply without its usage", MIXTRAL, REFERENCE, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00066"),
    Row("a 422", MIXTRAL, ERRORS, "nothing", "released", reply={"status": 422, "text": "No."}),
    Row("a 504", MIXTRAL, ERRORS, "its tokens, perhaps", "unconfirmed",
        reply={"status": 504, "text": "Too late.", "billed": True}, usd="0.00066"),
)  # fmt: skip

PROVIDER = Provider("Together", "https://api.together.xyz", "/v1", PRICES, ROWS)
