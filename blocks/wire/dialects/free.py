"""Requests that cost nothing whatever they hold: they pass as they are. Pure.

What one provider gives away another bills (Mistral's moderation, its conversations, which run a
model), so that most of them are free at their own provider alone.
"""

import re
from collections.abc import Mapping

# To look at what is there, or to take it away, is billed by nobody.
PASSING_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
# POSTs that ask about a text or a model, under names that nobody bills:
# platform.claude.com/docs/en/build-with-claude/token-counting ("free to use");
# ai.google.dev/gemini-api/docs/billing and firebase.google.com/docs/ai-logic/count-tokens (no
# charge); docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html; github.com/ollama/ollama,
# docs/api.md.
FREE_ANYWHERE = (
    "/v1/messages/count_tokens",
    ":countTokens",
    ":computeTokens",
    "/models/count-tokens:rawPredict",
    "/count-tokens",
    "/api/show",
    "/api/pull",
)
# Of a provider, by LiteLLM's name, what follows its version's part of a path.
FREE_AT: Mapping[str, re.Pattern[str]] = {
    # developers.openai.com/api/docs/guides/moderation ("free to use"),
    # developers.openai.com/api/docs/guides/token-counting, …/guides/conversation-state (a
    # conversation keeps items, and only responses are billed), …/api-reference/files and /uploads
    # (billed is what a vector store keeps); traces are what its Agents SDK tells of its runs.
    "openai": re.compile(
        r"/v1/(moderations|responses/input_tokens|files|traces/ingest"
        r"|conversations(/[^/]+)?(/items)?|uploads(/[^/]+/(parts|complete|cancel))?)$"
    ),
    # platform.claude.com/docs/en/build-with-claude/files: what is done with files is free, what is
    # read of them is billed as input.
    "anthropic": re.compile(r"/v1/files$"),
    # ai.google.dev/gemini-api/docs/files: "at no cost".
    "gemini": re.compile(r"/upload/v1(beta|alpha)?/files$"),
    # docs.cohere.com/docs/how-does-cohere-pricing-work: priced is text, embeddings and ranking.
    "cohere_chat": re.compile(r"/v1/(tokenize|detokenize|check-api-key)$"),
}
# A path that servers may read as another: what stands behind these is cut off by some of them.
_READ_OTHERWISE = re.compile(r"[?#;\\%\x00-\x20]")


def is_free(method: str, path: str, provider: str | None = None) -> bool:
    """Whether a request costs nothing whatever it holds. `provider` is whose it is, by LiteLLM's
    name; None where nobody knows."""
    if method in PASSING_METHODS:
        return True
    if method != "POST" or _READ_OTHERWISE.search(path) is not None:
        return False
    path = path.rstrip("/")
    free = FREE_AT.get(provider or "")
    return path.endswith(FREE_ANYWHERE) or (free is not None and free.search(path) is not None)
