"""Anthropic's messages."""

from functools import partial

from tests.integration.billing.prices import price, times
from tests.integration.billing.table import Provider
from tests.integration.billing.table import Row as AnyRow

PRICING = "platform.claude.com/docs/en/about-claude/pricing"
CACHING = "platform.claude.com/docs/en/build-with-claude/prompt-caching"
COMPATIBLE = "platform.claude.com/docs/en/api/openai-sdk"
CONTEXT = "platform.claude.com/docs/en/build-with-claude/context-windows"
ERRORS = "platform.claude.com/docs/en/api/errors"
FILES = "platform.claude.com/docs/en/build-with-claude/pdf-support"
MESSAGES = "platform.claude.com/docs/en/api/messages"
PLACES = "platform.claude.com/docs/en/build-with-claude/data-residency"
SEARCH = "platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool"
FETCH = "platform.claude.com/docs/en/agents-and-tools/tool-use/web-fetch-tool"
THINKING = "platform.claude.com/docs/en/build-with-claude/extended-thinking"
TIERS = "platform.claude.com/docs/en/api/service-tiers"
TOOLS = "platform.claude.com/docs/en/agents-and-tools/tool-use/overview"
VISION = "platform.claude.com/docs/en/build-with-claude/vision"

Row = partial(AnyRow, api="messages")

SONNET = price(
    "3", "15", cached_input="0.3", cache_write="3.75", cache_write_long="6", search="0.01"
)
PRICES = {
    "claude-sonnet-4-5": SONNET,
    "claude-sonnet-4-6": SONNET.model_copy(update={"tiers": {"us": times("1.1", SONNET)}}),
    "claude-haiku-4-5": price(
        "1", "5", cached_input="0.1", cache_write="1.25", cache_write_long="2"
    ),
}

OLD, NEW = "claude-sonnet-4-5", "claude-sonnet-4-6"
SHORT = {"type": "text", "text": "rule", "cache_control": {"type": "ephemeral"}}
LONG = {"type": "text", "text": "rule", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
PICTURE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}
LINKED = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
PDF = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
TEXT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a b"}}
FIND = {"name": "find", "input_schema": {"type": "object"}}
WEB = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
PAGES = {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 2}


def hosted(kind: str, what: str) -> AnyRow:
    """A tool that the provider runs, or that it describes at a length nobody knows."""
    return Row(
        f"the tool {kind}", OLD, TOOLS, what, "refused", says=f"'{kind}'", unseen=True,
        asks={"tools": [{"type": kind, "name": "tool"}]},
    )  # fmt: skip


ROWS = (
    Row("input and output", OLD, PRICING, "each token", usd="0.0045"),
    Row("a stream", OLD, MESSAGES, "its tokens, told at its start and end", stream=True,
        usd="0.0045"),
    Row("a smaller model", "claude-haiku-4-5", PRICING, "each token", usd="0.0015"),
    Row("a read of the cache", OLD, CACHING, "a tenth of fresh input",
        asks={"system": [SHORT]}, used={"cached": 400}, usd="0.00342"),
    Row("a write for 5 minutes", OLD, CACHING, "1.25 times fresh input", asks={"system": [SHORT]},
        used={"written": 400}, usd="0.0048"),
    Row("a write for an hour", OLD, CACHING, "twice fresh input", asks={"system": [LONG]},
        used={"written_long": 400}, usd="0.0057"),
    Row("writes of both kinds and a read", OLD, CACHING, "each at its own rate",
        asks={"system": [LONG, SHORT]}, used={"written": 200, "written_long": 200, "cached": 200},
        usd="0.00471"),
    Row("a write for an hour, streamed", OLD, CACHING, "twice fresh input", stream=True,
        asks={"system": [LONG]}, used={"written_long": 400}, usd="0.0057"),
    Row("a cache that the request asks for as a whole", OLD, CACHING, "1.25 times fresh input",
        asks={"cache_control": {"type": "ephemeral"}}, used={"written": 400}, usd="0.0048"),
    Row("a write for an hour, without a usage", OLD, CACHING, "twice fresh input", "unconfirmed",
        asks={"system": [LONG]}, used={"written_long": 1000}, reply={"fault": "no_usage"},
        usd="0.0075"),
    Row("thoughts", OLD, THINKING, "as output, in full, whatever is shown of them",
        asks={"max_tokens": 1200, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        used={"output": 1100, "also": {"output_tokens_details": {"thinking_tokens": 1000}}},
        usd="0.0195"),
    Row("thoughts between calls of tools", OLD, THINKING, "more than max_tokens, up to the budget",
        asks={"max_tokens": 1024, "thinking": {"type": "enabled", "budget_tokens": 4000},
              "tools": [FIND]},
        headers={"anthropic-beta": "interleaved-thinking-2025-05-14"},
        used={"output": 4500, "beyond": 4000}, usd="0.0705"),
    Row("an image", OLD, VISION, "up to 1,600 tokens", asks={"parts": [PICTURE]},
        used={"input": 2568, "unseen": 1568}, usd="0.009204"),
    Row("an image by URL", NEW, VISION, "up to 1,600 tokens", asks={"parts": [LINKED]},
        used={"input": 2568, "unseen": 1568}, usd="0.009204"),
    Row("custom tools", OLD, TOOLS, "their definitions and a prompt of up to 530 tokens",
        asks={"tools": [FIND]}, used={"input": 1346, "unseen": 346}, usd="0.005538"),
    Row("the bash tool", OLD, TOOLS, "245 tokens beside the tools' prompt",
        asks={"tools": [{"type": "bash_20250124", "name": "bash"}]},
        used={"input": 1591, "unseen": 591}, usd="0.006273"),
    Row("a document that is text", OLD, FILES, "its text, as input", asks={"parts": [TEXT]},
        usd="0.0045"),
    Row("a PDF", OLD, FILES, "its text and each page as an image", "refused", says="'url'",
        asks={"parts": [PDF]}),
    Row("a PDF that is accepted", OLD, FILES, "its text and each page as an image",
        asks={"parts": [PDF]}, unseen=True, used={"input": 11_000, "unseen": 10_000},
        usd="0.0345"),
    Row("citations", OLD, FILES, "instructions and marks of the provider's own", "refused",
        says="`citations`", asks={"parts": [{**TEXT, "citations": {"enabled": True}}]}),
    Row("a context of a million tokens", NEW, CONTEXT, "nothing more", unseen=True,
        asks={"parts": [PDF], "inference_geo": "global"},
        used={"input": 700_000, "unseen": 699_000}, usd="2.1015"),
    Row("the region us", NEW, PLACES, "1.1 times", asks={"inference_geo": "us"}, usd="0.00495"),
    Row("the region us, a write for an hour", NEW, PLACES, "1.1 times twice fresh input",
        asks={"inference_geo": "us", "system": [LONG]}, used={"written_long": 400}, usd="0.00627"),
    Row("the region global", NEW, PLACES, "nothing more", asks={"inference_geo": "global"},
        usd="0.0045"),
    Row("a workspace whose region is us", NEW, PLACES, "1.1 times, as the reply says",
        used={"also": {"inference_geo": "us"}, "usd": "0.00495"}, usd="0.00495"),
    Row("a region without a price", OLD, PLACES, outcome="refused", says="'us'",
        asks={"inference_geo": "us"}),
    Row("a region that nobody knows", NEW, PLACES, outcome="refused", says="`inference_geo` 'mars'",
        asks={"inference_geo": "mars"}),
    Row("standard service alone", OLD, TIERS, "nothing more",
        asks={"service_tier": "standard_only"}, usd="0.0045"),
    Row("the fast lane", NEW, PRICING, "6 times", "refused", says="`speed` 'fast'",
        asks={"speed": "fast"}),
    Row("a search", OLD, SEARCH, "$10 for 1,000, and what they find as input", "refused",
        says="'web_search_20250305'", asks={"tools": [WEB]}),
    Row("a search that is accepted", OLD, SEARCH, "$10 for 1,000, and what they find as input",
        asks={"tools": [WEB]}, unseen=True,
        used={"input": 9000, "unseen": 8000, "searches": 2}, usd="0.0485"),
    Row("a search that is accepted, streamed", OLD, SEARCH, "the same", stream=True,
        asks={"tools": [WEB]}, unseen=True,
        used={"input": 9000, "unseen": 8000, "searches": 2}, usd="0.0485"),
    Row("a search that is accepted, without a usage", OLD, SEARCH, "the same", "unconfirmed",
        asks={"tools": [WEB]}, unseen=True, reply={"fault": "no_usage"},
        used={"input": 500_000, "unseen": 499_000, "searches": 2}, usd="1.5215"),
    Row("searches without a number", OLD, SEARCH, "each search", "refused", says="`max_uses`",
        asks={"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, unseen=True),
    Row("a search that runs code", OLD, SEARCH, "each search, and the code", "refused",
        says="'web_search_20260209'", unseen=True,
        asks={"tools": [{"type": "web_search_20260209", "name": "web_search", "max_uses": 2}]}),
    Row("pages that are fetched", OLD, FETCH, "what they hold, as input", asks={"tools": [PAGES]},
        unseen=True, used={"input": 9000, "unseen": 8000,
                           "also": {"server_tool_use": {"web_fetch_requests": 2}}}, usd="0.0285"),
    hosted("code_execution_20250825", "each hour of a container"),
    hosted("computer_20250124", "its description, and screenshots"),
    hosted("memory_20250818", "its description"),
    hosted("tool_search_tool_regex_20251119", "the tools that it finds"),
    Row("servers of tools", OLD, TOOLS, "what tools elsewhere write", "refused",
        says="`mcp_servers`", asks={"mcp_servers": [{"type": "url", "url": "https://example.com"}]}),
    Row("a container", OLD, TOOLS, "each hour of it", "refused", says="`container`",
        asks={"container": "container_1"}),
    Row("a context that is edited", OLD, CONTEXT, "the tokens of what it compacts", "refused",
        says="`context_management`", asks={"context_management": {"edits": []}}),
    Row("a field that nobody knows", OLD, MESSAGES, outcome="refused", says="`next_years`",
        asks={"next_years": 1}),
    Row("a batch", OLD, PRICING, "half, told a day later", "refused", says="/v1/messages/batches",
        path="/v1/messages/batches"),
    AnyRow("the chat's path", OLD, COMPATIBLE, "each token", usd="0.0045"),
    AnyRow("the chat's path, where a workspace may be in the region us", NEW, COMPATIBLE,
           "1.1 times, of which the reply says nothing", used={"usd": "0.00495"}, usd="0.00495"),
    AnyRow("the chat's path, where no region is set", NEW, COMPATIBLE,
           "nothing more, of which the reply says nothing", "above", stream=True, usd="0.0045"),
    Row("a refusal of the model", OLD, MESSAGES, "as any answer",
        reply={"text": None, "refusal": "I cannot."}, usd="0.0045"),
    Row("a usage with a tool of unknown price", OLD, MESSAGES, "what nobody here knows",
        "unconfirmed", used={"also": {"server_tool_use": {"code_execution_requests": 1}}}),
    Row("a message without its usage", OLD, MESSAGES, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.0045"),
    Row("a stream that is cut", OLD, MESSAGES, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.0045"),
    Row("a 400", OLD, ERRORS, "nothing", "released", reply={"status": 400, "text": "No."}),
    Row("a 413", OLD, ERRORS, "nothing", "released", reply={"status": 413, "text": "Too large."}),
    Row("a 500", OLD, ERRORS, "nothing, which no page promises", "unconfirmed",
        reply={"status": 500, "text": "The server had an error."}),
    Row("a 529 of an overload", OLD, ERRORS, "nothing, which no page promises", "unconfirmed",
        reply={"status": 529, "text": "Overloaded."}),
)  # fmt: skip

PROVIDER = Provider("Anthropic", "https://api.anthropic.com", "/v1", PRICES, ROWS)
