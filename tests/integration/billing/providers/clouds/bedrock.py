"""Amazon Bedrock: Converse, InvokeModel of Claude, OpenAI's chat there."""

from functools import partial

from tests.integration.billing.prices import price, times
from tests.integration.billing.table import Outcome, Provider
from tests.integration.billing.table import Row as AnyRow

GUIDE = "docs.aws.amazon.com/bedrock/latest/userguide"
API = "docs.aws.amazon.com/bedrock/latest/APIReference"
PRICING = "aws.amazon.com/bedrock/pricing"
CACHING = f"{GUIDE}/prompt-caching.html"
CHAT = f"{GUIDE}/inference-chat-completions.html"
CONVERSE = f"{API}/API_runtime_Converse.html"
STREAM = f"{API}/API_runtime_ConverseStream.html"
COUNT = f"{GUIDE}/count-tokens.html"
GUARDRAILS = f"{GUIDE}/guardrails-how.html"
INVOKE = f"{API}/API_runtime_InvokeModel.html"
LATENCY = f"{GUIDE}/latency-optimized-inference.html"
PARAMETERS = f"{GUIDE}/model-parameters-anthropic-claude-messages.html"
PROFILES = f"{GUIDE}/inference-profiles-support.html"
PROMPTS = f"{GUIDE}/prompt-management-test.html"
THINKING = f"{GUIDE}/claude-messages-extended-thinking.html"
TIERS = f"{GUIDE}/service-tiers-inference.html"
TOOLS = f"{GUIDE}/tool-use.html"
VIDEO = "docs.aws.amazon.com/nova/latest/userguide/modalities-video.html"

Row = partial(AnyRow, api="converse")

HAIKU, NOVA = "us.anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-pro-v1:0"
WORLD, EUROPE = HAIKU.replace("us.", "global.", 1), HAIKU.replace("us.", "eu.", 1)
OLD, DEEPSEEK = "anthropic.claude-3-5-haiku-20241022-v1:0", "deepseek.v3.2"
OPEN = "openai.gpt-oss-120b-1:0"
# A profile of one's own, and a prompt of one's own.
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
PROMPT = "arn:aws:bedrock:us-east-1:123456789012:prompt/A1B2C3:1"

CLAUDE = price("1", "5", cached_input="0.1", cache_write="1.25", cache_write_long="2")
NOVA_PRICE = price("0.8", "3.2", cached_input="0.2")
NEAR = price("0.62", "1.85")
# Of Virginia, and what all regions of a profile cost.
PRICES = {
    WORLD: CLAUDE,
    HAIKU: times("1.1", CLAUDE),
    EUROPE: times("1.1", CLAUDE),
    ARN: times("1.1", CLAUDE),
    OLD: price("0.8", "4", cached_input="0.08", cache_write="1"),
    NOVA: NOVA_PRICE.model_copy(
        update={"tiers": {"flex": times("0.5", NOVA_PRICE), "priority": times("1.75", NOVA_PRICE)}}
    ),
    DEEPSEEK: NEAR.model_copy(update={"tiers": {"priority": times("1.75", NEAR)}}),
    OPEN: price("0.15", "0.6"),
}
IRELAND = "https://bedrock-runtime.eu-west-1.amazonaws.com"
STOCKHOLM = "https://bedrock-runtime.eu-north-1.amazonaws.com"
PLACES = {IRELAND: PRICES, STOCKHOLM: {**PRICES, DEEPSEEK: price("0.74", "2.22")}}

SHORT = {"system": [{"text": "rule"}, {"cachePoint": {"type": "default"}}]}
LONG = {"system": [{"text": "rule"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}
PICTURE = {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}
PDF = {"document": {"format": "pdf", "name": "a", "source": {"bytes": "JVBERi0="}}}
TEXT = {"document": {"format": "txt", "name": "a", "source": {"text": "a b"}}}
FILM = {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/a.mp4"}}}}
FIND = {"toolSpec": {"name": "find", "inputSchema": {"json": {"type": "object"}}}}
WEB = {"systemTool": {"name": "nova_grounding"}}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
GUARD = {"guardrailIdentifier": "a1b2c3", "guardrailVersion": "1"}
KEPT = {"type": "text", "text": "rule", "cache_control": {"type": "ephemeral"}}


def more(**fields: object) -> dict[str, object]:
    """A vendor's own parameters."""
    return {"additionalModelRequestFields": fields}


def failed(status: int, kind: str, outcome: Outcome, billed: str = "nothing") -> AnyRow:
    """An error, by the name that Bedrock gives it."""
    return Row(
        f"a {status}, {kind}", HAIKU, CONVERSE, billed, outcome,
        reply={"status": status, "text": "No."},
    )  # fmt: skip


UNSAID = "nothing, which no page promises"

ROWS = (
    Row("input and output", NOVA, PRICING, "each token", usd="0.00112"),
    Row("a stream", NOVA, STREAM, "its tokens, told after its end", stream=True, usd="0.00112"),
    Row("no limit to the output", NOVA, CONVERSE, "what is written, up to the model's own limit",
        asks={"inferenceConfig": None}, usd="0.00112"),
    Row("a region's own price", DEEPSEEK, PRICING, "each token", usd="0.000805"),
    Row("a dearer region", DEEPSEEK, PRICING, "each token, a fifth dearer", origin=STOCKHOLM,
        usd="0.000962"),
    Row("a profile of some regions", HAIKU, PROFILES, "1.1 times the global profile",
        usd="0.00165"),
    Row("a profile of some regions, elsewhere", EUROPE, PROFILES, "1.1 times the global profile",
        origin=IRELAND, usd="0.00165"),
    Row("the global profile", WORLD, PROFILES, "each token", usd="0.0015"),
    Row("a profile of one's own", ARN, PROFILES, "the model behind it", "refused",
        says=f"'bedrock/{ARN}'"),
    Row("a profile of one's own, at the price given for it", ARN, PROFILES, "the model behind it",
        given={f"bedrock/{ARN}": {"input_usd_per_million_tokens": "1.1",
                                  "output_usd_per_million_tokens": "5.5"}}, usd="0.00165"),
    Row("a prompt that stands at Bedrock", PROMPT, PROMPTS, "its text, as input", "refused",
        says="the prompt stands at the provider",
        given={f"bedrock/{PROMPT}": {"input_usd_per_million_tokens": "1.1",
                                     "output_usd_per_million_tokens": "5.5"}}),
    Row("variables of a prompt", HAIKU, PROMPTS, "the prompt that they stand in", "refused",
        says="`promptVariables`", asks={"promptVariables": {"name": {"text": "a"}}}),
    Row("a read of the cache", HAIKU, CACHING, "a tenth of fresh input", asks=SHORT,
        used={"cached": 400}, usd="0.001254"),
    Row("a read of a cache that nobody asked for", NOVA, CACHING, "a quarter of fresh input",
        used={"cached": 400}, usd="0.00088"),
    Row("a write for 5 minutes", HAIKU, CACHING, "1.25 times fresh input", asks=SHORT,
        used={"written": 400}, usd="0.00176"),
    Row("a write for an hour", HAIKU, CACHING, "twice fresh input", asks=LONG,
        used={"written_long": 400}, usd="0.00209"),
    Row("a write for an hour, streamed", HAIKU, CACHING, "twice fresh input", asks=LONG,
        stream=True, used={"written_long": 400}, usd="0.00209"),
    Row("thoughts", HAIKU, THINKING, "as output, in full, whatever is shown of them",
        asks={**more(**THINK), "inferenceConfig": {"maxTokens": 1200}}, used={"output": 1100},
        usd="0.00715"),
    Row("the lane flex", NOVA, TIERS, "half", asks={"serviceTier": {"type": "flex"}},
        usd="0.00056"),
    Row("the lane priority", NOVA, TIERS, "1.75 times", asks={"serviceTier": {"type": "priority"}},
        usd="0.00196"),
    Row("the lane priority, streamed", NOVA, TIERS, "1.75 times", stream=True,
        asks={"serviceTier": {"type": "priority"}}, usd="0.00196"),
    Row("capacity that is reserved", NOVA, TIERS, "by the month", "refused",
        says="`serviceTier.type` 'reserved'", asks={"serviceTier": {"type": "reserved"}}),
    Row("a lane that a model does not have", HAIKU, TIERS, "", "refused",
        says="`serviceTier.type` 'flex'", asks={"serviceTier": {"type": "flex"}}),
    Row("inference that is optimised for latency", HAIKU, LATENCY, "more a token", "refused",
        says="`performanceConfig.latency` 'optimized'",
        asks={"performanceConfig": {"latency": "optimized"}}),
    Row("a guardrail", HAIKU, GUARDRAILS, "each text unit, by policy", "refused",
        says="`guardrailConfig`", asks={"guardrailConfig": GUARD}),
    Row("a guardrail among a vendor's parameters", HAIKU, GUARDRAILS, "each text unit, by policy",
        "refused", says="amazon-bedrock-guardrailConfig",
        asks=more(**{"amazon-bedrock-guardrailConfig": GUARD})),
    Row("a text for a guardrail", HAIKU, GUARDRAILS, "each text unit, by policy", "refused",
        says="'guardContent'", asks={"parts": [{"guardContent": {"text": {"text": "a"}}}]}),
    Row("a second limit among a vendor's parameters", HAIKU, PARAMETERS, "what is written",
        "refused", says="additionalModelRequestFields.max_tokens", asks=more(max_tokens=4000)),
    Row("tools among a vendor's parameters", HAIKU, PARAMETERS, "their descriptions, as input",
        "refused", says="additionalModelRequestFields.tools", asks=more(tools=[])),
    Row("functions", HAIKU, TOOLS, "their definitions and a prompt of up to 530 tokens",
        asks={"toolConfig": {"tools": [FIND]}}, used={"input": 1346, "unseen": 346},
        usd="0.0020306"),
    Row("a search of the provider's own", NOVA, TOOLS, "each search, and what it finds as input",
        "refused", says="'systemTool'", asks={"toolConfig": {"tools": [WEB]}}, unseen=True),
    Row("an image", HAIKU, CONVERSE, "up to 1,600 tokens", asks={"parts": [PICTURE]},
        used={"input": 2568, "unseen": 1568}, usd="0.0033748"),
    Row("an image, of a model whose rule is not known", NOVA, CONVERSE, "its tokens", "refused",
        says="an image", asks={"parts": [PICTURE]}),
    Row("a document that is text", HAIKU, CONVERSE, "its text, as input", asks={"parts": [TEXT]},
        usd="0.00165"),
    Row("a PDF", HAIKU, CONVERSE, "its text and each page as an image", "refused",
        says="a document from 'bytes'", asks={"parts": [PDF]}),
    Row("a PDF that is accepted", HAIKU, CONVERSE, "its text and each page as an image",
        asks={"parts": [PDF]}, unseen=True, used={"input": 11_000, "unseen": 10_000},
        usd="0.01265"),
    Row("a film", NOVA, VIDEO, "288 tokens a second", "refused", says="`video`",
        asks={"parts": [FILM]}),
    Row("a film that is accepted", NOVA, VIDEO, "288 tokens a second", asks={"parts": [FILM]},
        unseen=True, used={"input": 3880, "unseen": 2880}, usd="0.003424"),
    Row("a field that nobody knows", HAIKU, CONVERSE, outcome="refused", says="`nextYears`",
        asks={"nextYears": 1}),
    Row("Claude by InvokeModel", OLD, INVOKE, "each token", api="invoke", usd="0.0012"),
    Row("Claude by InvokeModel, streamed", OLD, INVOKE, "each token", api="invoke", stream=True,
        usd="0.0012"),
    Row("a write by InvokeModel", OLD, CACHING, "1.25 times fresh input", api="invoke",
        asks={"system": [KEPT]}, used={"written": 400}, usd="0.00128"),
    Row("another vendor's model by InvokeModel", NOVA, INVOKE, "each token", "refused",
        says="InvokeModel of 'amazon.nova-pro-v1:0'", api="invoke"),
    Row("a guardrail by a header", OLD, INVOKE, "each text unit, by policy", "refused",
        says="`x-amzn-bedrock-guardrailidentifier`", api="invoke",
        headers={"X-Amzn-Bedrock-GuardrailIdentifier": "a1b2c3"}),
    Row("a lane by a header", OLD, INVOKE, "half, or more", "refused",
        says="`x-amzn-bedrock-service-tier`", api="invoke",
        headers={"X-Amzn-Bedrock-Service-Tier": "priority"}),
    Row("the chat's path", OPEN, CHAT, "each token", api="chat", base="/openai/v1", usd="0.00021"),
    Row("tokens that are counted", HAIKU, COUNT, "nothing", "free",
        path=f"/model/{HAIKU}/count-tokens"),
    Row("a film that is made", "amazon.nova-reel-v1:1", PRICING, "each second", "refused",
        says="/async-invoke", path="/async-invoke"),
    Row("a reply without its usage", HAIKU, CONVERSE, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00165"),
    Row("a stream without its usage", HAIKU, STREAM, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "no_usage"}, usd="0.00165"),
    Row("a stream that is cut", HAIKU, STREAM, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.00165"),
    Row("no reply, billed", HAIKU, CONVERSE, "its tokens", "unconfirmed",
        reply={"fault": "disconnect_after_billing"}, usd="0.00165"),
    failed(400, "ValidationException", "released"),
    failed(403, "AccessDeniedException", "released"),
    failed(404, "ResourceNotFoundException", "released"),
    failed(429, "ThrottlingException", "again"),
    failed(408, "ModelTimeoutException", "unconfirmed", UNSAID),
    failed(424, "ModelErrorException", "unconfirmed", UNSAID),
    failed(500, "InternalServerException", "unconfirmed", UNSAID),
    failed(503, "ServiceUnavailableException", "unconfirmed", UNSAID),
)  # fmt: skip

PROVIDER = Provider(
    "Amazon Bedrock",
    "https://bedrock-runtime.us-east-1.amazonaws.com",
    "",
    PRICES,
    ROWS,
    places=PLACES,
)
