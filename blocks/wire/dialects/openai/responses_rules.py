"""What a request to OpenAI's Responses API may hold: what its bytes bound, what is refused and why.

A field, an item, a part or a tool that stands in no table here is refused by name: it might be one
that costs.
"""

import re
from collections.abc import Mapping

MAX_TOKENS_FIELD = "max_output_tokens"
# Fields that hold text which the provider may count as input. The input is counted by item.
COUNTED_FIELDS = frozenset({"instructions", "tools", "tool_choice", "text"})
# Fields that change no bound. `truncation` and `max_tool_calls` only ever lower it; to store a
# response costs nothing.
PLAIN_FIELDS = frozenset(
    {"model", "input", "stream", "stream_options", "service_tier", "temperature", "top_p",
     "top_logprobs", "user", "metadata", "safety_identifier", "prompt_cache_key",
     "prompt_cache_retention", "prompt_cache_options", "parallel_tool_calls", "max_tool_calls",
     "reasoning", "store", "truncation", "include", "moderation", MAX_TOKENS_FIELD}
)  # fmt: skip
REFUSED_FIELDS: Mapping[str, str] = {
    "prompt": "a stored prompt by id has a length that nobody sees here, and may bring tools of "
    "its own; send its text in `instructions` and `input`",
    "context_management": "what it compacts is billed beside the answer",
    "web_search_options": "a hosted search is billed by the query and reads pages of any length",
    "background": "what it costs is in no reply to this request; wait for the answer, or stream it",
}
# What a model thought stands at the provider under a name, whose length nobody sees, unless it is
# asked for: sealed, it is bounded by its bytes where it is sent back, and asking costs nothing
# (developers.openai.com/api/docs/guides/reasoning, encrypted reasoning items;
# learn.microsoft.com/azure/ai-foundry/openai/how-to/responses). Of models that do not think it is
# an error: "Encrypted content is not supported with this model."
INCLUDE = "include"
SEALED_REASONING = "reasoning.encrypted_content"
SEALS_AT = frozenset({"openai", "azure"})
SEALS = re.compile(r"^(o[1-9]|gpt-([5-9]|[1-9]\d)|codex)(?!.*-(chat|search|audio|realtime))")
# Fields that stand for text of a length that nobody sees, and what to send instead.
UNSEEN_FIELDS: Mapping[str, tuple[str, str]] = {
    "previous_response_id": (
        "an earlier response by id has a length that nobody sees here",
        "Send the conversation's items in `input`",
    ),
    "conversation": (
        "a conversation by id has a length that nobody sees here",
        "Send its items in `input`",
    ),
}
# Items by what of them is text: counted without its escapes in JSON. The rest of an item is counted
# as it is sent.
TEXT_ITEMS: Mapping[str, tuple[str, ...]] = {
    "function_call": ("arguments",),
    "custom_tool_call": ("input",),
}
# Items whose `content` (or `output`, `summary`) is text or a list of parts.
PART_ITEMS: Mapping[str, tuple[str, ...]] = {
    "message": ("content",),
    "function_call_output": ("output",),
    "custom_tool_call_output": ("output",),
    "reasoning": ("summary", "content"),
}
# Items that stand for what nobody sees.
UNSEEN_ITEMS: Mapping[str, str] = {
    "item_reference": "an earlier item by id has a length that nobody sees here",
    "compaction": "what was compacted has a length that nobody sees here",
    "web_search_call": "what a search read is of a length that its bytes do not bound",
    "file_search_call": "what a search read is of a length that its bytes do not bound",
}
REFUSED_ITEMS: Mapping[str, str] = {
    "image_generation_call": "an image's tokens are not bounded by its bytes",
    "computer_call_output": "a screenshot's tokens are not bounded by its bytes",
}
TEXT_PARTS: Mapping[str, str] = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
# Bounded by the model's own rule, see `images`.
IMAGE_PART = "input_image"
UNSEEN_PARTS: Mapping[str, str] = {
    "input_file": "a file's tokens are not bounded by the request's bytes",
    "input_audio": "audio's tokens are not bounded by its bytes",
}
LOCAL_TOOLS = frozenset({"function", "custom"})
# Searches that the provider makes, as often as `max_tool_calls` says at the most
# (platform.openai.com/docs/guides/tools-web-search: billed by the call, its text by the token).
SEARCH_TOOLS = ("web_search", "web_search_preview")
# The same page: whose searches are billed as a fixed block of tokens, beside the usage.
FIXED_SEARCHES = re.compile(r"gpt-4(o|\.1)-mini")
