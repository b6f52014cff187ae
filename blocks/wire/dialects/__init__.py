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
from prefect_governor.blocks.wire.dialects.cohere.embed import CohereEmbed
from prefect_governor.blocks.wire.dialects.free import is_free
from prefect_governor.blocks.wire.dialects.gemini.embed import GeminiEmbed
from prefect_governor.blocks.wire.dialects.gemini.generate import Gemini
from prefect_governor.blocks.wire.dialects.ollama import Ollama
from prefect_governor.blocks.wire.dialects.ollama_embed import OllamaEmbed
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.dialects.openai.embeddings import OpenAIEmbeddings
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.dialects.rerank import Rerank
from prefect_governor.blocks.wire.requests.plans import Dialect

__all__ = ["DIALECTS", "dialect_of", "is_free"]

# In this order: the first that knows a path has it.
DIALECTS: tuple[Dialect, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    OpenAIEmbeddings(),
    AnthropicMessages(),
    Gemini(),
    GeminiEmbed(),
    Ollama(),
    OllamaEmbed(),
    CohereChat(),
    CohereEmbed(),
    Rerank(),
    Converse(),
    InvokeAnthropic(),
)

_AT_OPENAI = 'it is free at OpenAI: where it is theirs, say so, provider="openai" to the client'
# What to do instead on paths that bill and that no dialect knows.
INSTEAD = {
    "/completions": "use the chat completions (…/chat/completions) or the responses API",
    "/cachedContents": "leave out the cache, which LiteLLM's `cache_control` makes with Gemini: it "
    "is billed by the hour that it is kept, beside the tokens, and Gemini caches by itself what "
    "it has seen",
    "/v1/chat": "use Cohere's second version (…/v2/chat, cohere.ClientV2)",
    "/moderations": _AT_OPENAI,
    "/files": _AT_OPENAI,
    "/responses/input_tokens": _AT_OPENAI,
    "/conversations": "at Mistral it runs a model, bounded by nothing in the request: use chat "
    f"completions there. {_AT_OPENAI[0].upper()}{_AT_OPENAI[1:]}",
    "/batches": "call the models one by one: what a batch costs is in no reply to its request",
}


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
        f"{method} {path} is on no path whose cost is known, so it was not sent. "
        f"{fix[0].upper()}{fix[1:]} (known: {known})"
    )
