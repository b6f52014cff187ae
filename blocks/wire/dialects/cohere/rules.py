"""What a request to Cohere's chat may hold: what its bytes bound, what is refused and why
(docs.cohere.com/reference/chat).

A field, a part or a tool that stands in no table here is refused by name: it might be one that
costs.
"""

from collections.abc import Mapping

# `priority` chooses who is served first, at the same price.
FIELDS = frozenset(
    {"model", "messages", "stream", "max_tokens", "tools", "strict_tools", "tool_choice",
     "documents", "citation_options", "response_format", "safety_mode", "stop_sequences",
     "temperature", "seed", "frequency_penalty", "presence_penalty", "k", "p", "logprobs",
     "thinking", "priority"}
)  # fmt: skip
REFUSED_FIELDS: Mapping[str, str] = {
    "connectors": "what a connector finds is read at any length",
    "raw_prompting": "what of its text is billed is said by no page",
}
MESSAGE_FIELDS = frozenset(
    {"role", "content", "tool_calls", "tool_call_id", "tool_plan", "citations"}
)
# The type of a tool that the caller runs, the only one that there is.
LOCAL_TOOL = "function"
# Parts of a message whose bytes bound their tokens.
BYTE_PARTS = frozenset({"text", "thinking", "document"})
UNSEEN_PARTS: Mapping[str, str] = {
    "image_url": "how many tokens Cohere takes an image for is not known here",
}
