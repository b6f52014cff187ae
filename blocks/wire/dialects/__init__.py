"""The APIs that the wire speaks, a room a family: from a request what it may cost, from a reply
what was billed. Pure.

May import: errors, prices, wire.dialects.anthropic, wire.dialects.bedrock, wire.dialects.cohere,
wire.dialects.gemini, wire.dialects.openai, wire.replies, wire.requests.
Begin with: this file's list; openai/chat.py is the one to read first.
"""

from prefect_governor.blocks.errors import NotGoverned
from prefect_governor.blocks.wire.dialects.anthropic.messages import AnthropicMessages
from prefect_governor.blocks.wire.dialects.bedrock.converse import Converse
from prefect_governor.blocks.wire.dialects.bedrock.invoke import InvokeAnthropic
from prefect_governor.blocks.wire.dialects.cohere.chat import CohereChat
from prefect_governor.blocks.wire.dialects.gemini.generate import Gemini
from prefect_governor.blocks.wire.dialects.ollama import Ollama
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.dialects.openai.embeddings import OpenAIEmbeddings
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.requests.plans import Dialect

# In this order: the first that knows a path has it.
DIALECTS: tuple[Dialect, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    OpenAIEmbeddings(),
    AnthropicMessages(),
    Gemini(),
    Ollama(),
    CohereChat(),
    Converse(),
    InvokeAnthropic(),
)

# What to do instead on paths that bill and that no dialect knows.
INSTEAD = {
    "/completions": "use the chat completions (…/chat/completions) or the responses API",
    "/cachedContents": "leave out the cache, which LiteLLM's `cache_control` makes with Gemini: it "
    "is billed by the hour that it is kept, beside the tokens, and Gemini caches by itself what "
    "it has seen",
    "/batches": "call the models one by one: what a batch costs is in no reply to its request",
}

PASSING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# POSTs that ask about a text or a model and are billed to nobody.
# docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html
FREE_POSTS = (
    "/v1/messages/count_tokens",
    ":countTokens",
    "/models/count-tokens:rawPredict",
    "/count-tokens",
    "/api/show",
)


def is_free(method: str, path: str) -> bool:
    """Whether a request costs nothing whatever it holds, so that it passes as it is."""
    return method in PASSING_METHODS or (method == "POST" and path.rstrip("/").endswith(FREE_POSTS))


def dialect_of(method: str, path: str) -> Dialect:
    """The dialect of a request. Raises NotGoverned where none knows its path."""
    for dialect in DIALECTS:
        if dialect.matches(method, path):
            return dialect
    known = ", ".join(dialect.name for dialect in DIALECTS)
    fix = next(
        (fix for end, fix in INSTEAD.items() if path.rstrip("/").endswith(end)),
        'Use one of those, or a client of your own under a governor with bypass="warn", which lets'
        " it go uncounted; governor.reserve(max_usd=…) counts what it costs",
    )
    raise NotGoverned(
        f"{method} {path} is on no path whose cost is known (known: {known}), so it was not sent. "
        f"{fix[0].upper()}{fix[1:]}"
    )
