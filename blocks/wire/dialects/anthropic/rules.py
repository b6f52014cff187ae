"""What a request to Anthropic's messages may hold: what its bytes bound, what is refused and why.

A field, a part or a tool that stands in no table here is refused by name: it might be one that
costs.
"""

from collections.abc import Mapping

MAX_TOKENS_FIELD = "max_tokens"
# Text among them is counted as the bytes that it is sent as.
FIELDS = frozenset(
    {"model", "messages", MAX_TOKENS_FIELD, "system", "metadata", "stop_sequences", "stream",
     "temperature", "top_k", "top_p", "thinking", "tools", "tool_choice", "cache_control",
     "output_config", "output_format", "diagnostics", "user_profile_id", "workspace_id",
     "thread", "service_tier", "speed", "inference_geo", "anthropic_version",
     "anthropic_beta"}
)  # fmt: skip
REFUSED_FIELDS: Mapping[str, str] = {
    "billing_policy": "it is billed to somebody else than whose money this is",
    "container": "code that runs at the provider is billed beside the tokens",
    "mcp_servers": "what tools at the provider read has a length that nobody sees here",
    "context_management": "what it compacts is billed beside the answer",
    "compaction": "what it compacts is billed beside the answer",
    "fallbacks": "it lets the provider choose a dearer model",
    "fallback_credit_token": "it lets the provider choose a dearer model",
}
# Values that cost what the price says; others are dearer, or nobody knows.
SERVICE_TIERS = frozenset({"auto", "standard_only"})
SPEEDS = frozenset({"standard"})
REGIONS = frozenset({"global", "us"})
VALUES: Mapping[str, frozenset[str]] = {
    "service_tier": SERVICE_TIERS,
    "speed": SPEEDS,
    "inference_geo": REGIONS,
}

# Parts whose bytes bound them. What is sealed (a thought's signature) holds no more than its bytes.
BYTE_PARTS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text", "citations"}),
    "thinking": frozenset({"thinking", "signature"}),
    "redacted_thinking": frozenset({"data"}),
    "tool_use": frozenset({"id", "name", "input", "caller", "toolset_name"}),
    "tool_reference": frozenset({"tool_name"}),
}
# Parts that hold others in `content`.
HOLDERS: Mapping[str, frozenset[str]] = {
    "tool_result": frozenset({"tool_use_id", "content", "is_error", "toolset_name"}),
    "search_result": frozenset({"source", "title", "content", "citations"}),
}
# Parts with a `source`, by its type; a document of others is in `anthropic_messages`.
IMAGE_SOURCES = frozenset({"base64", "url", "file"})
DOCUMENT_SOURCES = frozenset({"text", "content"})
DOCUMENT_FIELDS = frozenset({"source", "title", "context", "citations"})
IMAGE_FIELDS = frozenset({"source"})
UNSEEN_DOCUMENTS: Mapping[str, str] = {
    "base64": "each page of a PDF is billed as an image beside its text",
    "url": "a document by URL has a length that nobody sees here",
    "file": "a document by id has a length that nobody sees here",
}
_HOSTED = "what a tool at the provider read is of a length that its bytes do not bound"
UNSEEN_PARTS: Mapping[str, str] = {
    "server_tool_use": _HOSTED,
    "web_search_tool_result": _HOSTED,
    "web_fetch_tool_result": _HOSTED,
    "tool_search_tool_result": _HOSTED,
    "compaction": "what was compacted has a length that nobody sees here",
    "browser_state": "a screenshot's tokens are not bounded by its bytes",
}
REFUSED_PARTS: Mapping[str, str] = {
    "code_execution_tool_result": _HOSTED,
    "bash_code_execution_tool_result": _HOSTED,
    "text_editor_code_execution_tool_result": _HOSTED,
    "mcp_tool_use": _HOSTED,
    "mcp_tool_result": _HOSTED,
    "container_upload": "code that runs at the provider is billed beside the tokens",
}

# Tools that run on the caller's side, by the beginning of their type, and the tokens of their
# descriptions, which the provider writes. Anthropic, "Tool use", pricing: 245 and 700.
CUSTOM_TOOLS = frozenset({"custom"})
WRITTEN_TOOLS: Mapping[str, int] = {"bash_": 512, "text_editor_": 1024}
# The same page: the system prompt that comes with tools has 159 to 530 tokens.
TOOLS_PROMPT_TOKENS = 1024
# The instructions that a wished-for format comes with.
FORMAT_PROMPT_TOKENS = 1024
# Searches that the provider makes, as often as their `max_uses` says at the most: billed by the
# search, what they find by the token (Anthropic, "Web search tool", usage and pricing). To fetch a
# page is billed by the token alone. Later versions may run code to filter, which is not bounded.
SEARCH_TOOLS = frozenset({"web_search_20250305"})
FETCH_TOOLS = frozenset({"web_fetch_20250910"})
REFUSED_TOOLS: Mapping[str, str] = {
    "web_search_": "this version of the search runs code at the provider",
    "web_fetch_": "this version of the fetch runs code at the provider",
    "code_execution_": "code that runs at the provider is billed beside the tokens",
    "tool_search_": "what it finds has a length that nobody sees here",
    "advisor_": "another model is billed beside this one",
    "mcp_toolset": "its tools have a length that nobody sees here",
    "computer_": "the provider writes its description, of a length that is not known here",
    "browser_": "the provider writes its description, of a length that is not known here",
    "memory_": "the provider writes its description, of a length that is not known here",
}
