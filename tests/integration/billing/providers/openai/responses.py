"""OpenAI's responses."""

from dataclasses import replace
from functools import partial

from tests.integration.billing.providers.openai.chat import (
    CACHING,
    ERRORS,
    EU,
    FILES,
    FLEX,
    IMAGES,
    PLACES,
    PLACES_PRICES,
    PRICES,
    PRICING,
    PRIORITY,
    REASONING,
)
from tests.integration.billing.table import Provider
from tests.integration.billing.table import Row as AnyRow

RESPONSES = "developers.openai.com/api/reference/resources/responses"
STATE = "developers.openai.com/api/docs/guides/conversation-state"
SEARCH = "developers.openai.com/api/docs/guides/tools-web-search"
TOOLS = "developers.openai.com/api/docs/guides/tools"
BACKGROUND = "developers.openai.com/api/docs/guides/background"

Row = partial(AnyRow, api="responses")

MINI, FULL = "gpt-4o-mini", "gpt-4o"
FILE = {"type": "input_file", "file_id": "file-1"}
LINKED = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
PICTURE = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"}
VOICE = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
FIND = {"type": "function", "name": "find", "parameters": {"type": "object"}}
WEB = {"tools": [{"type": "web_search"}]}


def hosted(kind: str, what: str) -> AnyRow:
    """A tool that the provider runs, of a cost that nothing in the request bounds."""
    return Row(
        f"the hosted tool {kind}", "gpt-5", TOOLS, what, "refused", says=f"'{kind}'",
        asks={"tools": [{"type": kind}]}, unseen=True,
    )  # fmt: skip


ROWS = (
    Row("input and output", MINI, PRICING, "each token", usd="0.00021"),
    Row("a stream", MINI, RESPONSES, "its tokens, told in its last event", stream=True,
        usd="0.00021"),
    Row("a model of the responses alone", "o3-pro", PRICING, "each token", usd="0.028"),
    Row("cached input", "gpt-5", CACHING, "a tenth of fresh input", used={"cached": 400},
        usd="0.0018"),
    Row("a write to the cache", "gpt-5.6", CACHING, "1.25 times fresh input, written unasked",
        used={"written": 400}, usd="0.0064"),
    Row("reasoning", "gpt-5", REASONING, "as output, though nobody sees it",
        asks={"reasoning": {"effort": "high"}}, used={"reasoning": 80}, usd="0.00225"),
    Row("function tools", MINI, TOOLS, "their definitions, as input", asks={"tools": [FIND]},
        usd="0.00021"),
    Row("instructions", MINI, RESPONSES, "as input", asks={"instructions": "Be brief."},
        usd="0.00021"),
    Row("no limit to the output", MINI, RESPONSES, "what is written, up to the model's own limit",
        asks={"max_output_tokens": None}, usd="0.00021"),
    Row("an incomplete response", MINI, RESPONSES, "what was written", used={"output": 200},
        reply={"finish_reason": "length"}, usd="0.00027"),
    Row("a failed response with a usage", MINI, RESPONSES, "what its usage says",
        reply={"finish_reason": "failed"}, usd="0.00021"),
    Row("a response that a filter ended", MINI, RESPONSES, "what was written",
        reply={"finish_reason": "content_filter"}, usd="0.00021"),
    Row("flex", "gpt-5", FLEX, "half", asks={"service_tier": "flex"}, usd="0.001125"),
    Row("priority", "gpt-5", PRIORITY, "twice", asks={"service_tier": "priority"}, usd="0.0045"),
    Row("an image by URL", FULL, IMAGES, "85 tokens at low detail", asks={"parts": [PICTURE]},
        used={"input": 1085, "unseen": 85}, usd="0.0037125"),
    Row("a host in the EU", "gpt-5.4", PLACES, "1.1 times", origin=EU, usd="0.0044"),
    Row("a context above 272,000 tokens", "gpt-5.4", PRICING, "twice the input",
        asks={"previous_response_id": "resp_1"}, unseen=True,
        used={"input": 300_000, "unseen": 299_000}, usd="1.50225"),
    Row("an earlier response by id", "gpt-5", STATE, "all of its conversation, as input",
        "refused", says="`previous_response_id`", asks={"previous_response_id": "resp_1"}),
    Row("an earlier response that is accepted", "gpt-5", STATE, "all of its conversation, as input",
        asks={"previous_response_id": "resp_1"}, unseen=True,
        used={"input": 21_000, "unseen": 20_000}, usd="0.02725"),
    Row("a conversation by id", "gpt-5", STATE, "all of its items, as input", "refused",
        says="`conversation`", asks={"conversation": "conv_1"}),
    Row("a conversation that is accepted", "gpt-5", STATE, "all of its items, as input",
        asks={"conversation": "conv_1"}, unseen=True, used={"input": 21_000, "unseen": 20_000},
        usd="0.02725"),
    Row("an item by id", "gpt-5", STATE, "its text, as input", "refused", says="'item_reference'",
        asks={"input": [{"type": "item_reference", "id": "msg_1"}]}),
    Row("thoughts by id", "gpt-5", REASONING, "as input", "refused", says="'reasoning'",
        asks={"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}),
    Row("a stored prompt by id", "gpt-5", STATE, "its text and its tools", "refused",
        says="`prompt`", asks={"prompt": {"id": "pmpt_1"}}, unseen=True),
    Row("a file by id", FULL, FILES, "its text and each page as an image", "refused",
        says="'input_file'", asks={"parts": [FILE]}),
    Row("a file by URL that is accepted", FULL, FILES, "its text and each page as an image",
        asks={"parts": [LINKED]}, unseen=True, used={"input": 9000, "unseen": 8000}, usd="0.0235"),
    Row("audio input", FULL, PRICING, "audio tokens", "refused", says="'input_audio'",
        asks={"parts": [VOICE]}),
    Row("a search", "gpt-5", SEARCH, "$10 for 1,000, and what they read as input", "refused",
        says="'web_search'", asks={**WEB, "max_tool_calls": 2}),
    Row("a search that is accepted", "gpt-5", SEARCH, "$10 for 1,000, and what they read as input",
        asks={**WEB, "max_tool_calls": 2}, unseen=True,
        used={"input": 9000, "unseen": 8000, "searches": 2}, usd="0.03225"),
    Row("a search that is accepted, streamed", "gpt-5", SEARCH, "the same", stream=True,
        asks={**WEB, "max_tool_calls": 2}, unseen=True,
        used={"input": 9000, "unseen": 8000, "searches": 2}, usd="0.03225"),
    Row("a search that is accepted, without a usage", "gpt-5", SEARCH, "the same", "unconfirmed",
        asks={**WEB, "max_tool_calls": 2}, unseen=True, reply={"fault": "no_usage"},
        used={"input": 700_000, "unseen": 699_000, "searches": 2}, usd="0.896"),
    Row("searches without a number", "gpt-5", SEARCH, "each search", "refused",
        says="`max_tool_calls`", asks=WEB, unseen=True),
    Row("a search of a model with fixed blocks", MINI, SEARCH, "8,000 tokens a search, unseen",
        "refused", says="'web_search'", asks={**WEB, "max_tool_calls": 2}, unseen=True),
    hosted("file_search", "each search, and the storage"),
    hosted("code_interpreter", "each container"),
    hosted("image_generation", "image tokens of another model"),
    hosted("computer_use_preview", "screenshots of any number"),
    hosted("mcp", "what tools elsewhere write"),
    hosted("local_shell", "what is run"),
    Row("a response in the background", "gpt-5", BACKGROUND, "what is in no reply to the request",
        "refused", says="`background`", asks={"background": True}),
    Row("a context that is compacted", "gpt-5", STATE, "the tokens of the compaction", "refused",
        says="`context_management`", asks={"context_management": [{"type": "compaction"}]}),
    Row("a model that researches", "o3-deep-research", PRICING, "each search, as many as it likes",
        "refused", says="search_context_cost_per_query"),
    Row("a field that nobody knows", "gpt-5", RESPONSES, outcome="refused", says="`next_years`",
        asks={"next_years": 1}),
    Row("a response without its usage", MINI, RESPONSES, "its tokens", "unconfirmed",
        reply={"fault": "no_usage"}, usd="0.00021"),
    Row("a stream that is cut", MINI, RESPONSES, "its tokens", "unconfirmed", stream=True,
        reply={"fault": "cut_stream"}, usd="0.00021"),
    Row("no reply, billed", MINI, ERRORS, "its tokens", "unconfirmed",
        reply={"fault": "disconnect_after_billing"}, usd="0.00021"),
    Row("a 400", MINI, ERRORS, "nothing", "released", reply={"status": 400, "text": "No."}),
    Row("a 503", MINI, ERRORS, "nothing, which no page promises", "unconfirmed",
        reply={"status": 503, "text": "Overloaded."}),
)  # fmt: skip

# To compact is a path of its own.
COMPACT = replace(
    ROWS[0], part="a compaction", page=STATE, billed="its tokens", outcome="refused", usd=None,
    says="/v1/responses/compact", path="/v1/responses/compact",
)  # fmt: skip

PROVIDER = Provider(
    "OpenAI (responses)", "https://api.openai.com", "/v1", PRICES, (*ROWS, COMPACT), PLACES_PRICES
)
